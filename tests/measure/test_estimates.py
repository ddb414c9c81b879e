import dataclasses

import designs
import naive
import numpy as np
import pytest

from jaxent.measure import entangle


def assert_equals_naive(x, labels, measured, alpha=1.0):
    codes, sizes, n = labels.codes, labels.sizes, len(x)
    values, counts, geometry = measured.values, measured.counts, measured.geometry
    before, after, dominant = naive.literal(x, codes, sizes, alpha)
    np.testing.assert_allclose(list(values.accuracy.values()), before / n)
    damage = np.array(geometry.damage)
    np.testing.assert_allclose(damage * n, before - after, atol=1e-9)
    assert geometry.dominant == dominant
    nested = np.maximum(naive.nested(x, codes, sizes, alpha), 0)
    nested_flips = counts.nested_own_flips + counts.nested_off_flips
    assert counts.nested_own_flips == np.trace(nested)
    assert nested_flips == nested.sum()
    rise = naive.rise(x, codes, sizes, alpha)
    np.testing.assert_allclose(geometry.rise, rise, atol=1e-9)
    overlaps = naive.overlaps(x, codes, sizes, alpha)
    np.testing.assert_allclose(geometry.overlaps, overlaps, atol=1e-9)
    margins = naive.margins(x, codes, sizes)
    np.testing.assert_allclose(list(values.margins.values()), margins, atol=1e-12)
    assert max(map(abs, geometry.structural_zeros.values())) < 1e-12
    for j, row in enumerate(geometry.concept_damage):
        of_concept = [lost for lost, o in zip(geometry.damage, dominant) if o == j]
        mean = np.mean(of_concept, 0) if of_concept else [np.nan] * len(sizes)
        np.testing.assert_allclose(row, mean)


@pytest.mark.parametrize(("d", "noise"), [(150, 2.0), (40, 3.0)])
def test_everything_equals_naive_refits(d, noise):
    labels = dataclasses.replace(designs.LABELS, sets=None)  # one fit of all probes
    x = designs.activations(labels, d, noise)
    measured = entangle.measure(x, labels)
    assert_equals_naive(x, labels, measured)


def test_layers_are_measured_as_each_alone():
    labels = designs.LABELS
    x = np.stack([designs.activations(labels, 40, 3.0, seed) for seed in range(2)])
    for layer, measured in zip(x, entangle.measure_layers(x, labels)):
        alone = entangle.measure(layer, labels)
        assert measured.counts == alone.counts
        assert measured.values.sei == pytest.approx(alone.values.sei)
