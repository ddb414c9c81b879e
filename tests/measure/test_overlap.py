import naive
import numpy as np
import pytest

from jaxent.measure import entangle, overlap, synthetic
from jaxent.stats import intervals

LABELS = synthetic.design(sets=8)


def many(truth: synthetic.Truth, labels=LABELS, d=64, number=12):
    """CVO of independent draws of the same truth."""
    draw = lambda seed: overlap.cross_products(
        synthetic.activations(labels, d, truth, np.random.default_rng(seed)), labels
    )
    return np.array(
        [
            overlap.mean_overlap(overlap.cvo_matrix(draw(seed), labels.sizes))
            for seed in range(number)
        ]
    )


def test_equals_the_definition_written_out():
    labels = synthetic.design((2, 3, 4), 4)
    x = synthetic.activations(
        labels, 30, synthetic.Truth(0.4, 1.0), np.random.default_rng(0)
    )
    found = overlap.cvo_matrix(overlap.cross_products(x, labels), labels.sizes)
    np.testing.assert_allclose(found, naive.cvo(x, labels), rtol=1e-9)


def test_the_generator_keeps_its_promises():
    rng = np.random.default_rng(0)
    for truth in (0.0, 0.3, 1.0):
        first, second, _ = synthetic.bases((3, 4, 4), 20, truth, rng)
        np.testing.assert_allclose(first @ first.T, np.eye(2), atol=1e-12)
        cosines = np.linalg.svd(first @ second.T, compute_uv=False)
        assert (cosines**2).mean() == pytest.approx(truth, abs=1e-12)
    means = synthetic.class_means(LABELS, synthetic.bases(LABELS.sizes, 20, 0.0, rng))
    axes = np.linalg.svd(means, compute_uv=False)[:8] ** 2 / len(means)
    np.testing.assert_allclose(axes, 1)
    assert synthetic.noise((4000, 10), 1.5, rng).var(0).mean() == pytest.approx(
        1, rel=0.05
    )
    with pytest.raises(ValueError, match="expected at least 11"):
        synthetic.bases((3, 4, 4), 10, 0.5, rng)
    with pytest.raises(ValueError, match="expected 0 <= overlap <= 1"):
        synthetic.Truth(1.5)


@pytest.mark.parametrize(
    "snr, scale, decay",
    [(0.7, 1, 0), (1.5, 1, 0), (1.5, 1e-3, 0), (1.5, 1e3, 0), (1.0, 1, 0.7)],
)
@pytest.mark.parametrize("truth", [0.0, 0.3, 0.6])
def test_recovers_the_truth_across_noise_and_scale(truth, snr, scale, decay):
    found = many(synthetic.Truth(truth, snr, scale, decay))
    error = abs(found.mean() - truth)
    assert error < 0.02 + 0.08 * truth, found.mean()
    assert error < 3.5 * found.std(ddof=1) / len(found) ** 0.5 + 0.03 * truth + 0.005


def test_estimators_rise_with_the_dial():
    """CVO, SEI and nested EI order the truth; without overlap CVO and SEI are within .02 of zero."""
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
                n: np.mean([getattr(f, n) for f in found])
                for n in ("sei", "nested_ei", "cvo")
            }
        )
    for name in ("sei", "nested_ei", "cvo"):
        values = [m[name] for m in measured]
        assert values == sorted(values) and values[-1] > values[0] + 0.1, (name, values)
    assert abs(measured[0]["cvo"]) < 0.02 and abs(measured[0]["sei"]) < 0.02


def test_literal_ei_reports_overlap_where_there_is_none_and_follows_the_scale():
    """What measurement at d > N does to it: the reason why it is printed for comparison only."""
    labels = synthetic.design(sets=4)
    x = synthetic.activations(
        labels, 512, synthetic.Truth(0.0, 1.0), np.random.default_rng(0)
    )
    assert entangle.measure(x, labels).ei > 1
    weak = synthetic.activations(
        labels, 512, synthetic.Truth(0.0, 0.5), np.random.default_rng(0)
    )
    found = [entangle.measure(factor * weak, labels).ei for factor in (0.03, 1.0)]
    assert max(found) > 1.5 * min(found)


def test_noise_alone_is_undefined():
    x = np.random.default_rng(1).normal(size=(len(LABELS.codes), 400))
    found = entangle.measure(x, LABELS)
    assert np.isnan(found.cvo) and "not positive definite" in found.reasons["cvo"]


def test_class_structure_rotated_to_a_known_overlap_is_recovered():
    rng = np.random.default_rng(0)
    rough = (
        synthetic.activations(LABELS, 64, synthetic.Truth(0.8, 1.5, 1, 0.5), rng) + 3
    )  # stands for real activations
    of = lambda x: overlap.mean_overlap(
        overlap.cvo_matrix(overlap.cross_products(x, LABELS), LABELS.sizes)
    )
    for truth in (0.0, 0.5):
        draws = [synthetic.rotated(rough, LABELS, truth, rng) for _ in range(6)]
        assert np.mean([of(x) for x in draws]) == pytest.approx(truth, abs=0.05)
    assert of(rough) == pytest.approx(0.8, abs=0.1)
    spread = lambda x: np.linalg.eigvalsh(
        np.cov(x.T)
    )  # as large, and along as many axes, as what it was made of
    assert spread(draws[0]).sum() == pytest.approx(spread(rough).sum(), rel=0.15)
    np.testing.assert_allclose(draws[0].mean(0), rough.mean(0), atol=1e-9)


def test_intervals():
    found = intervals.over_sets([1.0, 2.0, 3.0])
    assert (found.mean, found.sets) == (2.0, 3) and found.high - 2 == pytest.approx(
        4.302653 / 3**0.5
    )
    assert np.isnan(intervals.over_sets([1.0]).low) and np.isnan(
        intervals.over_sets([1.0, np.nan]).mean
    )
    values = np.random.default_rng(0).normal(size=9)
    without = [np.delete(values, i).mean() for i in range(9)]
    jackknifed, direct = (
        intervals.jackknife(values.mean(), without),
        intervals.over_sets(values),
    )
    assert jackknifed.low == pytest.approx(
        direct.low
    )  # of a mean, the jackknife is the t interval
    ratio = intervals.ratio([1, 0, 3, 2], [2, 0, 4, 3])
    assert ratio.low < 6 / 9 < ratio.high  # a set without any flip does not undo it
    assert np.isnan(intervals.ratio([1, 0], [2, 0]).low) and np.isnan(
        intervals.ratio([1, 2, 3], [4, 4, 4], 10).mean
    )
    assert intervals.ratio([2.0, 3, 4], [2, 2, 2]).low == pytest.approx(
        intervals.over_sets([1, 1.5, 2]).low
    )
    for signed, expected in (
        ((-0.5, 0.2), (0, 0.5)),
        ((0.1, 1.5), (0.1, 1)),
        ((-0.4, -0.1), (0.1, 0.4)),
    ):
        found = intervals.magnitude(intervals.Interval(sum(signed) / 2, *signed, 8), 1)
        assert (found.low, found.high) == expected
