import itertools

import numpy as np
import pytest
import scipy.stats

from jaxent.stats import differences, intervals

ZEROS = np.zeros(8)
AFTER, BEFORE = [1.0, 1.1, 1.2], [0.0, 0.1, 0.2]


def test_differences_need_every_interval_on_one_side():
    shifted = ZEROS + 1 + 0.01 * np.arange(8)
    seen = differences.difference(AFTER, BEFORE, shifted, ZEROS)
    assert seen.above() and not seen.below() and not seen.within(0.5)
    assert seen.within(2)
    split = differences.difference(AFTER, BEFORE, np.array([5.0, -4.0] * 4), ZEROS)
    assert not split.above() and split.seeds[0] > 0
    alone = differences.difference([1.0], [0.0], None, None)
    assert not alone.above() and "no test" in alone.test


def test_a_further_test_that_disagrees_decides():
    agreed = differences.Difference(1.0, (0.5, 1.5), None, "t")
    refused = differences.Difference(1.0, (0.5, 1.5), None, "t", significant=False)
    assert agreed.above() and not refused.above()
    below = differences.Difference(-1.0, (-1.5, -0.5), (-2.0, -0.1), "t")
    assert below.below() and not below.below(-0.2) and not below.above()


def test_a_paired_difference_takes_differences_first():
    a, b = np.array([0.5, 0.7, 0.6]), np.array([0.1, 0.4, 0.3])
    paired = differences.difference(a, b, None, None, paired=True)
    assert paired.seeds == intervals.t_interval(a - b)
    assert paired.test.startswith("paired t over 3 seeds [")
    unpaired = differences.difference(a, b, None, None)
    assert unpaired.seeds == differences.welch(a, b) != paired.seeds
    assert unpaired.test.startswith("Welch t over 3 and 3 seeds [")


def test_sets_are_compared_set_by_set():
    a_sets, b_sets = np.array([0.3, 0.5, 0.4, 0.8]), np.array([0.1, 0.2, 0.3, 0.2])
    compared = differences.difference([0.5], [0.2], a_sets, b_sets)
    assert compared.seeds is None
    assert compared.sets == intervals.t_interval(a_sets - b_sets)
    assert compared.test.endswith("sign-flip p = 0.125")
    assert differences.difference([0.5], [0.2], a_sets, b_sets[:3]).sets is None
    one_set = differences.difference([0.5], [0.2], a_sets[:1], b_sets[:1])
    assert one_set.test == "t over 1 replicate sets no interval"


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_welch_is_scipys(level):
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, size=5), rng.normal(0, 3, size=9)
    test = scipy.stats.ttest_ind(a, b, equal_var=False)
    expected = test.confidence_interval(level)
    assert differences.welch(a, b, level) == pytest.approx(tuple(expected))


def test_welch_of_too_few_and_of_equal_values():
    assert differences.welch([1.0], [1.0, 2.0]) is None
    assert differences.welch([2.0, 2.0], [0.5, 0.5, 0.5]) == (1.5, 1.5)


def test_sign_flip_is_the_share_of_sign_patterns():
    assert differences.sign_flip(np.ones(8)) == 2 / 2**8
    assert differences.sign_flip([1.0, 2, 3, 4, 5]) == 2 / 32
    assert differences.sign_flip([0.0, 0]) == 1
    values = np.random.default_rng(1).normal(0.5, 1, size=6)
    totals = [
        signs @ values for signs in np.array(list(itertools.product((1, -1), repeat=6)))
    ]
    expected = np.mean(np.abs(totals) >= abs(values.sum()) - 1e-12)
    assert differences.sign_flip(values) == pytest.approx(expected)
    assert differences.sign_flip([1.0]) is None
    assert differences.sign_flip(np.ones(17)) is None


def test_the_interval_of_an_sd_covers():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        low, high = differences.sd_interval(rng.normal(0, 2.0, size=6), 0.9)
        hits += low <= 2.0 <= high
    assert 0.86 < hits / 400 < 0.94


def test_paired_means_are_scipy_s():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=30), rng.normal(0.4, size=30)
    b[3] = a[3]  # a tie says nothing in the sign test
    change = differences.paired_means(a, b)
    test = scipy.stats.ttest_rel(a, b)
    span = test.confidence_interval()
    assert change.t == pytest.approx(test.statistic)
    assert change.p == pytest.approx(test.pvalue)
    assert (change.low, change.high) == pytest.approx((span.low, span.high))
    assert change.below + change.above == 29 and change.n == 30
    wins = min(change.below, change.above)
    assert change.sign_p == pytest.approx(2 * scipy.stats.binom.cdf(wins, 29, 0.5))


def test_paired_means_without_spread_or_pairs_have_no_interval():
    equal = differences.paired_means([1.0, 2.0], [1.0, 2.0])
    assert (equal.estimate, equal.low, equal.high) == (0.0, 0.0, 0.0)
    assert np.isnan([equal.t, equal.p]).all() and equal.sign_p == 1.0
    assert np.isnan(differences.paired_means([1.0], [0.0]).low)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], [], "two vectors of one length"),
        ([1.0], [1.0, 2.0], "two vectors of one length"),
        ([np.nan], [1.0], "NaN or infinity"),
    ],
)
def test_paired_means_refuse_what_is_no_pair(a, b, message):
    with pytest.raises(ValueError, match=message):
        differences.paired_means(a, b)
