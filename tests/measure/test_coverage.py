import numpy as np
import pytest
import scipy.stats

from jaxent.measure import coverage, entangle, overlap, synthetic

SETTING = coverage.Setting("t, 3 df", 2.5, 0.3)
LABELS = synthetic.design(coverage.SIZES, coverage.SETS)


def test_draws_are_independent_and_the_same_again():
    first, second = coverage.activations(SETTING, 2)
    again = next(coverage.activations(SETTING, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (384, coverage.DIMENSIONS)
    # The structure is the same, the noise is not.
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.05
    assert not np.allclose(first, second)


def test_what_is_drawn_is_what_is_printed():
    """The contributions of a draw are those of measuring its activations."""
    [x] = coverage.activations(SETTING, 1)
    measured = entangle.measure(x, LABELS)
    drawn = coverage.contributions_of_fits(coverage.draw_fits(SETTING, 1))
    for name in ("ei", "nested_ei", "sei", *coverage.MEANS):
        expected = measured.set_values[name]
        np.testing.assert_allclose(drawn[name][0], expected, rtol=1e-6, atol=1e-9)
    of_cvo = coverage.contributions_of_cvo(coverage.draw_cvo(SETTING, 1))
    np.testing.assert_allclose(of_cvo[0], measured.set_values["cvo"], rtol=1e-9)
    parts = measured.set_values
    ratio = np.array(parts["off_rise"]) / parts["own_rise"]
    np.testing.assert_allclose(drawn["sei, mean of sets"][0], ratio, rtol=1e-6)


def test_the_gate_and_too_few_flips_leave_no_interval():
    drawn = {"value": np.ones(2), "without": np.ones((2, 8)), "z": np.array([2.9, 3.1])}
    found = coverage.contributions_of_cvo(drawn)
    assert overlap.LEAST_Z == 3 and np.isnan(found[0]).all() and (found[1] == 1).all()
    flips = {"off": np.array([[1.0] * 8, [2.0] * 8]), "own": np.full((2, 8), 20.0)}
    fits = dict.fromkeys(coverage.MEANS, np.ones((2, 8)))
    for off, own in coverage.RATIOS.values():
        fits |= {off: flips["off"], own: flips["own"]}
    found = coverage.contributions_of_fits(fits)
    assert np.isnan(found["ei"][0]).all()  # 8 off-concept flips
    np.testing.assert_allclose(found["ei"][1], 0.1)
    np.testing.assert_allclose(found["sei"][0], 0.05)


def test_coverage_is_that_of_the_t_interval():
    drawn = np.random.default_rng(0).normal(0.3, 1, size=(4000, 8))
    found = coverage.cover(drawn, truth=0.3)
    expected = [
        low <= 0.3 <= high
        for low, high in (
            scipy.stats.ttest_1samp(x, 0).confidence_interval() for x in drawn[:400]
        )
    ]
    assert coverage.cover(drawn[:400], 0.3)["of_truth"] == np.mean(expected)
    assert found["of_truth"] == pytest.approx(0.95, abs=0.01)
    assert found["defined"] == 1 and found["of_expectation"] > 0.94
    drawn[:1000, 3] = np.nan
    drawn[1000:2000] = 1.0
    assert coverage.cover(drawn)["defined"] == 0.5
    assert coverage.cover(drawn[:5])["mean"] is None
