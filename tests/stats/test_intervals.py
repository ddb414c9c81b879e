import math

import numpy as np
import pytest
import scipy.stats

from jaxent.stats import intervals

NAN = math.nan


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_t_interval_is_scipys(level):
    values = np.random.default_rng(0).normal(3, 2, size=7)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(level)
    assert intervals.t_interval(values, level) == pytest.approx(tuple(expected))


def test_t_interval_of_too_few_undefined_and_equal_values():
    assert intervals.t_interval([1.0]) is None
    assert intervals.t_interval([1.0, NAN, 2.0]) is None
    low, high = intervals.t_interval([0.622] * 8)
    assert low == high == pytest.approx(0.622)


def test_over_sets_is_the_t_interval_with_its_mean():
    interval = intervals.over_sets([1.0, 2.0, 3.0])
    assert (interval.mean, interval.sets) == (2.0, 3)
    assert interval.high - 2 == pytest.approx(4.302653 / 3**0.5)
    assert (interval.low, interval.high) == intervals.t_interval([1.0, 2.0, 3.0])


def test_over_sets_is_undefined_where_a_set_is():
    assert np.isnan(intervals.over_sets([1.0]).low)
    assert np.isnan(intervals.over_sets([1.0, np.nan]).mean)
    assert np.isnan(intervals.over_sets([1.0, np.inf, 2.0]).high)
    assert np.isnan(intervals.over_sets([]).mean)
    ceiling = intervals.over_sets([1.0] * 8)
    assert ceiling.mean == 1 and np.isnan([ceiling.low, ceiling.high]).all()


def test_over_seeds_is_scipys_t_interval():
    values = [0.683, 0.712, 0.529]
    summary = intervals.over_seeds(values, 0.9)
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (summary.low, summary.high) == pytest.approx(expected)
    assert summary.n == 3
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.sd == pytest.approx(np.std(values, ddof=1))


def test_over_seeds_of_one_and_of_equal_seeds():
    one = intervals.over_seeds([0.3])
    assert one.mean == 0.3 and all(math.isnan(v) for v in (one.sd, one.low, one.high))
    expected = pytest.approx(0.622)
    assert intervals.over_seeds([0.622] * 8) == intervals.Summary(
        8, expected, 0.0, expected, expected
    )


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, r"values \[\]"),
        ([0.1, NAN], 0.95, "nan"),
        ([0.1, 0.2], 95, "level 95: expected a confidence level between 0 and 1"),
    ],
)
def test_over_seeds_refuses_what_it_cannot_summarise(values, level, message):
    with pytest.raises(ValueError, match=message):
        intervals.over_seeds(values, level)


def test_the_jackknife_of_a_mean_is_its_t_interval():
    values = np.random.default_rng(0).normal(size=9)
    leave_one_out = [np.delete(values, i).mean() for i in range(9)]
    jackknifed = intervals.jackknife(values.mean(), leave_one_out)
    assert jackknifed.low == pytest.approx(intervals.over_sets(values).low)
    assert intervals.contributions(values.mean(), leave_one_out) == pytest.approx(
        values
    )


def test_the_jackknife_is_centred_on_its_estimate():
    """Of a biased estimate too: the interval holds what stands beside it."""
    values = np.random.default_rng(1).lognormal(size=8)
    leave_one_out = [np.delete(values, i).mean() ** 2 for i in range(8)]
    estimate = values.mean() ** 2
    interval = intervals.jackknife(estimate, leave_one_out)
    assert interval.mean == pytest.approx(estimate)
    error = np.sqrt(7 / 8 * ((leave_one_out - np.mean(leave_one_out)) ** 2).sum())
    assert interval.high - estimate == pytest.approx(2.364624 * error, abs=1e-5)
    contributions = intervals.contributions(estimate, leave_one_out)
    assert contributions.mean() == pytest.approx(estimate)


def test_a_ratio_stands_sets_whose_own_ratio_is_undefined():
    parts = intervals.ratio_contributions([1, 0, 3, 2], [2, 0, 4, 3])
    assert parts.mean() == pytest.approx(6 / 9)
    without = [5 / 7, 6 / 9, 3 / 5, 4 / 6]
    assert parts == pytest.approx(intervals.contributions(6 / 9, without))


def test_a_ratio_of_too_little_is_undefined():
    assert np.isnan(intervals.ratio_contributions([1, 0], [2, 0])).all()
    assert np.isnan(intervals.ratio_contributions([1, 2, 3], [4, 4, 4], 10)).all()
    assert np.isnan(intervals.ratio_contributions([1], [2])).all()


@pytest.mark.parametrize(
    ("signed", "expected"),
    [
        ((-0.5, 0.2), (0, 0.5)),
        ((0.1, 1.5), (0.1, 1)),
        ((-0.4, -0.1), (0.1, 0.4)),
    ],
)
def test_magnitude_covers_what_the_signed_interval_covers(signed, expected):
    interval = intervals.Interval(sum(signed) / 2, *signed, 8)
    magnitude = intervals.magnitude(interval, 1)
    assert (magnitude.low, magnitude.high) == expected
