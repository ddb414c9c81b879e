import naive
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
    assert entangle.measure(x, labels).values.ei > 1
    weak = synthetic.activations(
        labels, 512, synthetic.Truth(0.0, 0.5), np.random.default_rng(0)
    )
    found = [
        entangle.measure(factor * weak, labels).values.ei for factor in (0.03, 1.0)
    ]
    assert max(found) > 1.5 * min(found)


def test_noise_alone_is_undefined():
    x = np.random.default_rng(1).normal(size=(len(LABELS.codes), 400))
    found = entangle.measure(x, LABELS)
    assert (
        np.isnan(found.values.cvo) and "not positive definite" in found.reasons["cvo"]
    )


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


def test_pseudo_values_average_to_the_bias_corrected_estimate():
    x = synthetic.activations(
        LABELS, 64, synthetic.Truth(0.3, 1.0), np.random.default_rng(0)
    )
    measured = overlap.measure_overlap(x @ x.T, LABELS)
    inner = overlap.cross_products(x @ x.T, LABELS)
    leave_one_out = []
    for omitted in range(8):
        kept = np.delete(np.arange(8), omitted)
        pairs = overlap.cvo_matrix(inner[np.ix_(kept, kept)], LABELS.sizes)
        leave_one_out.append(overlap.mean_overlap(pairs))
    corrected = 8 * measured.value - 7 * np.mean(leave_one_out)
    assert measured.pseudo_values.mean() == pytest.approx(corrected)
    assert measured.value == overlap.mean_overlap(measured.pairs)
