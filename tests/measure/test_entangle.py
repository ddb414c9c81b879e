import dataclasses

import designs
import numpy as np
import pytest

from jaxent.measure import concepts, entangle, synthetic

LABELS, ROWS = designs.LABELS, designs.ROWS


def flips_and_accuracy(measured):
    counts = measured.counts
    flips = counts.own_flips, counts.off_flips, counts.nested_own_flips
    return *flips, measured.values.accuracy


def test_one_probe_of_a_class_is_predicted_by_folds_that_never_saw_it():
    rows = [{"a": int(i == 5), "b": i % 2} for i in range(12)]
    labels = concepts.label_probes(rows, ("a", "b"))
    measured = entangle.measure(designs.activations(labels, 30, 0.1), labels)
    # The fold of that probe has no such class to choose.
    assert measured.values.accuracy["a"] == 11 / 12


def test_invariance_to_rotation_shift_and_order():
    x = designs.activations(LABELS, 40, 3.0)
    first = entangle.measure(x, LABELS)
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    order = rng.permutation(len(x))
    second = entangle.measure((x @ rotation + 5)[order], [ROWS[i] for i in order])
    assert flips_and_accuracy(first) == flips_and_accuracy(second)
    for name in ("v_purity", "sei", "overlap"):
        value = getattr(first.values, name)
        assert value == pytest.approx(getattr(second.values, name))


def test_only_the_scale_free_penalty_follows_the_scale():
    x = designs.activations(LABELS, 40, 3.0)
    first = entangle.measure(x, LABELS)
    free, scaled = (
        entangle.measure(factor * x, LABELS, 0.1, scale_free=True)
        for factor in (1, 100)
    )
    assert flips_and_accuracy(free) == flips_and_accuracy(scaled)
    assert free.values.sei == pytest.approx(scaled.values.sei)
    by_default = entangle.measure(x, LABELS, scale_free=True)
    assert free.penalty.alpha == by_default.penalty.alpha and first.penalty.alpha == 1
    assert free.penalty.alpha_ratio == pytest.approx(0.1)
    assert scaled.penalty.alpha == pytest.approx(1e4 * free.penalty.alpha)
    unscaled = entangle.measure(100 * x, LABELS)
    assert flips_and_accuracy(unscaled) != flips_and_accuracy(first)


def test_renamed_classes_change_nothing():
    labels, rng = synthetic.design(sets=4), np.random.default_rng(0)
    x = synthetic.activations(labels, 60, synthetic.Truth(0.3, 1.0), rng)
    codes = np.stack(
        [rng.permutation(m)[labels.codes[:, j]] for j, m in enumerate(labels.sizes)], 1
    )
    renamed = dataclasses.replace(labels, codes=codes)
    first, second = entangle.measure(x, labels), entangle.measure(x, renamed)
    assert flips_and_accuracy(first) == flips_and_accuracy(second)
    assert first.values.weakest == second.values.weakest
    for name in ("v_purity", "sei", "overlap", "cvo"):
        value = getattr(first.values, name)
        assert value == pytest.approx(getattr(second.values, name)), name
    ratio = second.penalty.alpha_ratio
    assert first.penalty.alpha_ratio == pytest.approx(ratio)


def test_bad_input_is_refused():
    bad = designs.activations(LABELS, 5)
    with pytest.raises(ValueError, match=r"expected \[96, d\]"):
        entangle.measure(bad[:5], LABELS)
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="probe 7 hold NaN or infinity"):
        entangle.measure(bad, LABELS)
    labels = concepts.label_probes(ROWS, ("domain",))
    with pytest.raises(ValueError, match=r"1 concept \(domain\): expected two or more"):
        entangle.measure(bad, labels)
