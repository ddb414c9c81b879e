import dataclasses

import naive
import naive_sets
import numpy as np
import pytest

from jaxent.measure import entangle, overlap, synthetic

LABELS = synthetic.design(sets=8)


def many(truth: synthetic.Truth, labels=LABELS, d=64, number=12):
    """CVO of independent draws of the same truth."""
    draws = [
        synthetic.activations(labels, d, truth, np.random.default_rng(seed))
        for seed in range(number)
    ]
    return np.array([overlap.measure_overlap(x @ x.T, labels).value for x in draws])


def test_equals_the_definition_written_out():
    labels = synthetic.design((2, 3, 4), 4)
    x = synthetic.activations(
        labels, 30, synthetic.Truth(0.4, 1.0), np.random.default_rng(0)
    )
    found = overlap.cvo_matrix(overlap.cross_products(x @ x.T, labels), labels.sizes)
    np.testing.assert_allclose(found, naive.cvo(x, labels), rtol=1e-9)


@pytest.mark.parametrize(
    ("snr", "scale", "decay"),
    [(0.7, 1, 0), (1.5, 1, 0), (1.5, 1e-3, 0), (1.5, 1e3, 0), (1.0, 1, 0.7)],
)
@pytest.mark.parametrize("truth", [0.0, 0.3, 0.6])
def test_recovers_the_truth_across_noise_and_scale(truth, snr, scale, decay):
    found = many(synthetic.Truth(truth, snr, scale, decay))
    error = abs(found.mean() - truth)
    assert error < 0.02 + 0.08 * truth, found.mean()
    assert error < 3.5 * found.std(ddof=1) / len(found) ** 0.5 + 0.03 * truth + 0.005


def test_estimators_rise_with_the_dial():
    """CVO, SEI, nested EI order the truth; CVO and SEI are near 0 without overlap."""
    measured = []
    for dial in (0.0, 0.1, 0.3, 0.6):
        draws = [
            synthetic.activations(
                LABELS, 64, synthetic.Truth(dial, 2.0), np.random.default_rng(s)
            )
            for s in range(4)
        ]
        found = [entangle.measure(x, LABELS) for x in draws]
        measured.append(
            {
                n: np.mean([getattr(f.values, n) for f in found])
                for n in ("sei", "nested_ei", "cvo")
            }
        )
    for name in ("sei", "nested_ei", "cvo"):
        values = [m[name] for m in measured]
        assert values == sorted(values) and values[-1] > values[0] + 0.1, (name, values)
    assert abs(measured[0]["cvo"]) < 0.02 and abs(measured[0]["sei"]) < 0.02


def test_literal_ei_reports_overlap_where_there_is_none_and_follows_the_scale():
    """At d > N: the reason why it is printed for comparison only."""
    labels = synthetic.design(sets=4)
    x = synthetic.activations(
        labels, 512, synthetic.Truth(0.0, 1.0), np.random.default_rng(0)
    )
    assert entangle.measure(x, labels).all_probes.ei > 1
    weak = synthetic.activations(
        labels, 512, synthetic.Truth(0.0, 0.5), np.random.default_rng(0)
    )
    found = [
        entangle.measure(factor * weak, labels).all_probes.ei for factor in (0.03, 1.0)
    ]
    assert max(found) > 1.5 * min(found)


def test_noise_alone_is_undefined():
    x = np.random.default_rng(1).normal(size=(len(LABELS.codes), 400))
    found = entangle.measure(x, LABELS)
    assert np.isnan(found.values.cvo)
    reason = found.reasons["cvo"]
    assert "do not agree on the directions of" in reason and "expected 3" in reason
    assert "cvo" not in found.set_values and "cvo" not in found.intervals


def test_the_gate_is_the_jackknifed_smallest_eigenvalue():
    """With the definition written out, and a basis of its own."""
    labels = synthetic.design((2, 3, 4), 6)
    for snr, passes in ((0.25, False), (3.0, True)):
        truth = synthetic.Truth(0.4, snr)
        x = synthetic.activations(labels, 40, truth, np.random.default_rng(0))
        expected = []
        for j, m in enumerate(labels.sizes):
            basis = np.linalg.qr(np.eye(m) - 1 / m)[0][:, : m - 1].T
            phi = []
            for members in labels.sets:
                codes = labels.codes[members, j]
                means = [x[members][codes == c].mean(0) for c in range(m)]
                phi.append(basis @ np.stack(means))
            expected.append(naive_sets.agreement(phi))
        found = overlap.measure_overlap(x @ x.T, labels)
        np.testing.assert_allclose(found.z, expected, rtol=1e-9)
        assert (min(expected) >= 3) == passes == (not np.isnan(found.value))
        assert (found.reason is None) == passes == (found.contributions is not None)
        measured = entangle.measure(x, labels)
        expected = dict(zip(labels.concepts, found.z))
        assert measured.geometry.agreement == pytest.approx(expected, rel=1e-9)


def test_sets_that_are_copies_agree():
    one = synthetic.design((2, 3), 1)
    x = synthetic.activations(one, 20, synthetic.Truth(0.4), np.random.default_rng(0))
    labels = synthetic.design((2, 3), 5)
    copies = np.empty((len(labels.codes), 20))
    for members in labels.sets:
        copies[members] = x
    assert (overlap.measure_overlap(copies @ copies.T, labels).z > 1e9).all()


def test_too_few_sets_are_refused():
    labels = synthetic.design((2, 3), 3)
    x = synthetic.activations(
        labels, 30, synthetic.Truth(0.4, 1.0), np.random.default_rng(0)
    )
    measured = overlap.measure_overlap(x @ x.T, labels)
    assert np.isnan(measured.value) and measured.pairs is None
    assert measured.reason == "3 replicate sets, expected 4 or more"
    with pytest.raises(ValueError, match="CVO of 3 replicate sets: expected 4"):
        overlap.cvo_matrix(overlap.cross_products(x @ x.T, labels), labels.sizes)


def test_the_interval_is_the_jackknifes_around_the_value():
    labels = synthetic.design((2, 3, 4), 5)
    x = synthetic.activations(
        labels, 30, synthetic.Truth(0.3, 2.0), np.random.default_rng(0)
    )
    measured = overlap.measure_overlap(x @ x.T, labels)
    without = []
    for omitted in range(5):
        kept = np.delete(labels.sets, omitted, axis=0)
        without.append(naive_sets.mean_cvo(x, dataclasses.replace(labels, sets=kept)))
    expected = naive_sets.interval(naive_sets.mean_cvo(x, labels), without)
    found = entangle.measure(x, labels).intervals["cvo"]
    np.testing.assert_allclose((found.low, found.high), expected, rtol=1e-9)
    assert measured.contributions.mean() == pytest.approx(measured.value)
    assert measured.value == overlap.mean_overlap(measured.pairs)
