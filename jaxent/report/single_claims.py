"""Claims that no general test fits: one function a claim, by its id."""

import dataclasses

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

from jaxent.paper import claims
from jaxent.report import claim_tests, comparisons, evidence, match
from jaxent.stats import differences as set_differences
from jaxent.stats import intervals, proportions

_RECOVERING = 0.25
"""Share of seeds that recover in the paper."""
_MIDDLE = 2500
"""Half of the steps of training."""


def decide_faster(
    claim: claims.Claim, results: match.ResultSet
) -> claim_tests.Decision:
    """Compares, by rank, the first step from which EI stays at 0.

    Seeds that never get there rank last.
    """
    samples = claim_tests.get_samples(claim, results)
    if min(sample.values.size for sample in samples) < 2:
        raise evidence.MissingError(
            "each size needs two seeds or more for a test of ranks"
        )
    steps = np.concatenate([sample.values for sample in samples])
    never = 1 + max(steps[np.isfinite(steps)], default=0)
    smaller, larger = (
        np.where(np.isinf(sample.values), never, sample.values) for sample in samples
    )
    test = scipy.stats.mannwhitneyu(smaller, larger, alternative="two-sided")
    p = float(test.pvalue)
    ranks = scipy.stats.rankdata(np.concatenate([smaller, larger]))
    later = np.mean(ranks[: smaller.size]) > np.mean(ranks[smaller.size :])
    outcome = comparisons.UNDECIDED
    if p < 1 - comparisons.LEVEL:
        outcome = comparisons.SUPPORTED if later else comparisons.CONTRADICTED
    words = f"Mann-Whitney over {smaller.size} and {larger.size} seeds, p = {p:.3g}"
    return claim_tests.Decision(outcome, claim_tests.join_numbers(samples), words)


def decide_late(claim: claims.Claim, results: match.ResultSet) -> claim_tests.Decision:
    """EI is above the base model's halfway, and at the end below that halfway."""
    [key] = claim.runs
    before = evidence.measure_sample(results, "ei", key, "before")
    middle = evidence.measure_sample(results, "ei", key, _MIDDLE)
    end = evidence.measure_sample(results, "ei", key)
    rise = comparisons.compare_twice(middle, before, 2, paired=True)
    fall = comparisons.compare_twice(end, middle, 2, paired=True)
    reversed_fall = comparisons.Comparison(
        _negate(fall.support), _negate(fall.contradict)
    )
    numbers = (
        f"base {before.values.mean():.3f}, step {_MIDDLE} {middle.values.mean():.3f}, "
        f"end {end.values.mean():.3f} ({end.values.size} seeds)"
    )
    words = (
        f"to step {_MIDDLE} {rise.support.estimate:+.3g}: {rise.support.test}\n"
        f"from there {fall.support.estimate:+.3g}: {fall.support.test}"
    )
    outcome = comparisons.decide_side([rise, reversed_fall], side=1, exact=False)
    return claim_tests.Decision(outcome, numbers, words)


def _negate(difference: set_differences.Difference) -> set_differences.Difference:
    return dataclasses.replace(
        difference,
        estimate=-difference.estimate,
        seeds=_negate_interval(difference.seeds),
        sets=_negate_interval(difference.sets),
    )


def _negate_interval(
    interval: tuple[float, float] | None,
) -> tuple[float, float] | None:
    return None if interval is None else (-interval[1], -interval[0])


def decide_recoveries(
    claim: claims.Claim, results: match.ResultSet
) -> claim_tests.Decision:
    """A seed that recovers shows that some do.

    That none does is shown where the interval of their share excludes the paper's.
    """
    [key] = claim.runs
    sample = evidence.get_sample(results, claim.metric, key)
    recovering, n = int(sample.values.sum()), sample.values.size
    share = proportions.wilson(recovering, n)
    outcome = comparisons.UNDECIDED
    if recovering:
        outcome = comparisons.SUPPORTED
    elif share.high < _RECOVERING:
        outcome = comparisons.CONTRADICTED
    numbers = f"{sample.name}: {recovering} of {n} seeds"
    words = f"share of seeds, Wilson [{100 * share.low:.0f}, {100 * share.high:.0f}]%"
    return claim_tests.Decision(outcome, numbers, words)


def decide_one_way(
    claim: claims.Claim, results: match.ResultSet
) -> claim_tests.Decision:
    """The interval of the lean is above 0."""
    [key] = claim.runs
    sample = evidence.get_sample(results, claim.metric, key)
    if sample.interval is None:
        raise evidence.MissingError("the crosstalk has no interval over replicate sets")
    low, high = sample.interval
    outcome = comparisons.UNDECIDED
    if low > 0:
        outcome = comparisons.SUPPORTED
    elif high < 0:
        outcome = comparisons.CONTRADICTED
    words = (
        "lean, 1 if only code loses and -1 if only math does: "
        f"jackknife over replicate sets [{low:.3g}, {high:.3g}]"
    )
    return claim_tests.Decision(outcome, sample.text, words)


def decide_loss_ratio(
    claim: claims.Claim, results: match.ResultSet
) -> claim_tests.Decision:
    """(B0 - first) / (B0 - second) is at least the bound.

    The test is on the mean over problems of (B0 - first) - bound (B0 - second), which
    needs no quotient.
    """
    base_key = {"model": claim.runs[0]["model"], "condition": "B0"}
    samples = [
        evidence.get_sample(results, "he_plus", key) for key in (base_key, *claim.runs)
    ]
    base, first, second = comparisons.shares_passed(*samples)
    bound = claim_tests.get_bound(claim)
    excess = 100 * ((base - first) - bound * (base - second))
    interval = intervals.t_interval(excess)
    if interval is None:
        raise evidence.MissingError("one problem gives no interval over problems")
    low, high = interval
    lost = [100 * float(np.mean(base - share)) for share in (first, second)]
    outcome = comparisons.UNDECIDED
    if lost[1] > 0 and low >= 0:
        outcome = comparisons.SUPPORTED
    elif lost[1] > 0 and high < 0:
        outcome = comparisons.CONTRADICTED
    words = (
        f"lost {lost[0]:.1f} and {lost[1]:.1f} points; t over problems of "
        f"loss 1 - {bound:g} x loss 2: [{low:.1f}, {high:.1f}] points"
    )
    return claim_tests.Decision(outcome, claim_tests.join_numbers(samples), words)


BY_CLAIM: dict[str, claim_tests.Test] = {
    "larger_is_faster": decide_faster,
    "late_at_7b": decide_late,
    "recoveries": decide_recoveries,
    "one_way": decide_one_way,
    "nl_twice_math": decide_loss_ratio,
}
"""By a claim's id, the function that decides it."""
