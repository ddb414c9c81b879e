"""The tests behind the verdicts: one function a kind of test.

Each takes a claim and the paper's records and gives a `Decision`, or raises
`evidence.MissingError` naming a run that it needs and does not find.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from jaxent.paper import claims
from jaxent.report import comparisons, evidence, match
from jaxent.stats import differences as set_differences
from jaxent.stats import proportions

LEAST_SEEDS = 3
"""Seeds that a claim about every seed, or about their spread, needs."""

_WITHOUT_ERROR = {"sv_energy", "rank"}  # numbers of a run, not estimates
_VALUES_THEMSELVES = (
    "the values themselves, without error of measurement "
    "(one seed says nothing of others)"
)


class Decision(NamedTuple):
    """What a test gives: the outcome, and the numbers and the test in words."""

    outcome: str
    numbers: str
    test: str


Test = Callable[[claims.Claim, match.ResultSet], Decision]
Samples = Sequence[evidence.Sample]


def get_samples(claim: claims.Claim, results: match.ResultSet) -> Samples:
    """Collects the claim's metric of each of its runs.

    Args:
      claim: the claim.
      results: the paper's records.

    Returns:
      One sample a run.

    Raises:
      evidence.MissingError: a run has none.
    """
    return [evidence.get_sample(results, claim.metric, key) for key in claim.runs]


def join_numbers(samples: Samples) -> str:
    """Writes the numbers of samples.

    Args:
      samples: of a claim.

    Returns:
      One line a sample.
    """
    return "\n".join(sample.text for sample in samples)


def join_comparisons(lines: Sequence[tuple[str, str]]) -> str:
    """Writes comparisons; a test in the same words for all is named once, at the end.

    Args:
      lines: (what is compared, test in words).

    Returns:
      One line a comparison.
    """
    tests = {test for _, test in lines}
    if len(lines) > 1 and len(tests) == 1:
        return "\n".join([what for what, _ in lines] + [lines[0][1]])
    return "\n".join(f"{what}: {test}" for what, test in lines)


def _test_in_words(claim: claims.Claim, difference: set_differences.Difference) -> str:
    exact = claim.metric in _WITHOUT_ERROR and not difference.spans
    return _VALUES_THEMSELVES if exact else difference.test


def first_against_others(number: int) -> list[tuple[int, int]]:
    """Pairs the first of several runs with each other one.

    Args:
      number: of runs.

    Returns:
      Pairs of indices.

    Example:
      >>> first_against_others(3)
      [(0, 1), (0, 2)]
    """
    return [(0, other) for other in range(1, number)]


def neighbours(number: int) -> list[tuple[int, int]]:
    """Pairs each of several runs with the next.

    Args:
      number: of runs.

    Returns:
      Pairs of indices.

    Example:
      >>> neighbours(3)
      [(0, 1), (1, 2)]
    """
    return [(i, i + 1) for i in range(number - 1)]


def decide_order(
    claim: claims.Claim,
    results: match.ResultSet,
    pairs: Callable[[int], list[tuple[int, int]]],
    side: int,
) -> Decision:
    """Tests that the runs of each pair differ to one side, in each of the metrics.

    Args:
      claim: the claim.
      results: the paper's records.
      pairs: the pairs that are compared, from the number of runs.
      side: 1 if the first of a pair is to be greater, -1 if less.

    Returns:
      The decision.
    """
    metrics = [metric for metric in (claim.metric, claim.other) if metric]
    compared: list[tuple[evidence.Sample, evidence.Sample]] = []
    every: list[evidence.Sample] = []
    for metric in metrics:
        samples = [evidence.get_sample(results, metric, key) for key in claim.runs]
        every += samples
        compared += [(samples[i], samples[j]) for i, j in pairs(len(samples))]
    tested = [comparisons.compare_twice(a, b, len(compared)) for a, b in compared]
    lines = []
    for (a, b), comparison in zip(compared, tested):
        difference = comparison.support
        what = f"{a.name} minus {b.name} = {difference.estimate:.3g}"
        lines.append((what, _test_in_words(claim, difference)))
    outcome = comparisons.decide_side(tested, side, claim.metric in _WITHOUT_ERROR)
    return Decision(outcome, join_numbers(every), join_comparisons(lines))


def decide_change(claim: claims.Claim, results: match.ResultSet, side: int) -> Decision:
    """Tests that the metric falls (side -1) or rises (1) during training in every run.

    Args:
      claim: the claim.
      results: the paper's records.
      side: -1 or 1.

    Returns:
      The decision.
    """
    pairs = _before_and_after(claim, results)
    tested = [
        comparisons.compare_twice(after, before, len(pairs), True)
        for before, after in pairs
    ]
    lines = []
    for (_, after), comparison in zip(pairs, tested):
        difference = comparison.support
        what = f"{after.name} {difference.estimate:+.3g}"
        lines.append((what, _test_in_words(claim, difference)))
    outcome = comparisons.decide_side(tested, side, claim.metric in _WITHOUT_ERROR)
    return Decision(outcome, _numbers_of_pairs(pairs), join_comparisons(lines))


def _before_and_after(
    claim: claims.Claim, results: match.ResultSet
) -> list[tuple[evidence.Sample, evidence.Sample]]:
    pairs = []
    for key in claim.runs:
        before = evidence.measure_sample(results, claim.metric, key, "before")
        after = evidence.measure_sample(results, claim.metric, key)
        pairs.append((before, after))
    return pairs


def _numbers_of_pairs(pairs: Sequence[Samples | tuple]) -> str:
    return join_numbers([sample for pair in pairs for sample in pair])


def decide_unchanged(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that after is within the bound of before in every run."""
    pairs = _before_and_after(claim, results)
    tested = [
        comparisons.compare_twice(after, before, len(pairs), True)
        for before, after in pairs
    ]
    names = [after.name for _, after in pairs]
    return _decide_within(claim, tested, names, _numbers_of_pairs(pairs))


def decide_equivalent(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that any two runs are within the bound of each other."""
    samples = get_samples(claim, results)
    pairs = [(samples[i], samples[j]) for i in range(len(samples)) for j in range(i)]
    steps = {key.get("step") for key in claim.runs}
    same_runs = len(steps) > 1  # the same runs at several steps
    tested = [comparisons.compare_twice(a, b, len(pairs), same_runs) for a, b in pairs]
    names = [f"{a.name} minus {b.name}" for a, b in pairs]
    return _decide_within(claim, tested, names, join_numbers(samples))


def _decide_within(
    claim: claims.Claim,
    tested: Sequence[comparisons.Comparison],
    names: Sequence[str],
    numbers: str,
) -> Decision:
    bound = get_bound(claim)
    outcome = comparisons.UNDECIDED
    if all(c.support.within(bound) for c in tested):
        outcome = comparisons.SUPPORTED
    elif any(c.contradict.above(bound) or c.contradict.below(-bound) for c in tested):
        outcome = comparisons.CONTRADICTED
    lines = [
        (f"{name} {c.support.estimate:+.3g}", c.support.test)
        for name, c in zip(names, tested)
    ]
    test = f"Within ±{bound:g}?\n{join_comparisons(lines)}"
    return Decision(outcome, numbers, test)


def get_bound(claim: claims.Claim) -> float:
    """The claim's bound.

    Args:
      claim: one whose test takes a bound.

    Returns:
      The bound.

    Raises:
      ValueError: the claim has none.
    """
    if claim.bound is None:
        raise ValueError(f"claim {claim.id} has no bound: {claim.test} needs one")
    return claim.bound


def decide_zero(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that the value is 0 in every seed."""
    samples = get_samples(claim, results)
    outcome = comparisons.UNDECIDED
    if any((sample.values != 0).any() for sample in samples):
        outcome = comparisons.CONTRADICTED
    elif all(sample.values.size >= LEAST_SEEDS for sample in samples):
        outcome = comparisons.SUPPORTED
    zeros = ", ".join(
        f"{int((s.values == 0).sum())} of {s.values.size} seeds of {s.name} at 0"
        for s in samples
    )
    test = (
        f"{zeros} ({LEAST_SEEDS} seeds or more needed; "
        "0 is the estimator's floor, not proof of no entanglement)"
    )
    return Decision(outcome, join_numbers(samples), test)


def decide_some_above_zero(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that the value is above 0 in a seed of every run."""
    samples = get_samples(claim, results)
    supported = all((sample.values > 0).any() for sample in samples)
    test = ", ".join(
        f"{int((s.values > 0).sum())} of {s.values.size} seeds of {s.name} above 0"
        for s in samples
    )
    outcome = comparisons.SUPPORTED if supported else comparisons.CONTRADICTED
    return Decision(outcome, join_numbers(samples), test)


def decide_spread(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that the SD over seeds is below the bound in every run."""
    samples = get_samples(claim, results)
    for sample in samples:
        if sample.values.size < LEAST_SEEDS:
            raise evidence.MissingError(
                f"{sample.name} has {sample.values.size} seeds: "
                f"its spread needs {LEAST_SEEDS}"
            )
    bound = get_bound(claim)
    intervals = [set_differences.sd_interval(sample.values) for sample in samples]
    outcome = comparisons.UNDECIDED
    if all(high < bound for _, high in intervals):
        outcome = comparisons.SUPPORTED
    elif any(low > bound for low, _ in intervals):
        outcome = comparisons.CONTRADICTED
    words = [
        f"SD of {sample.name} in [{low:.3g}, {high:.3g}]"
        for sample, (low, high) in zip(samples, intervals)
    ]
    test = f"chi-squared interval below {bound:g}? {'; '.join(words)}"
    return Decision(outcome, join_numbers(samples), test)


def decide_ratio(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that the first run's value over the second's is at least the bound."""
    a, b = get_samples(claim, results)
    if (b.values <= 0).any() or (a.values <= 0).any():
        raise evidence.MissingError("a value of 0 has no ratio")
    ratio = a.values.mean() / b.values.mean()
    logarithms = set_differences.welch(np.log(a.values), np.log(b.values))
    if logarithms:
        low, high = np.exp(logarithms)
        words = f"Welch t of the logarithms [{low:.3g}, {high:.3g}]"
    else:
        low = high = ratio
        words = _VALUES_THEMSELVES
    bound = get_bound(claim)
    outcome = comparisons.UNDECIDED
    if low >= bound:
        outcome = comparisons.SUPPORTED
    elif high < bound:
        outcome = comparisons.CONTRADICTED
    test = f"ratio {ratio:.3g} at least {bound:g}? {words}"
    return Decision(outcome, join_numbers([a, b]), test)


def decide_anticorrelated(claim: claims.Claim, results: match.ResultSet) -> Decision:
    """Tests that the rank correlation of two metrics over the runs is negative."""
    if claim.other is None:
        raise ValueError(f"claim {claim.id} names one metric: its test needs two")
    first = get_samples(claim, results)
    second = [evidence.get_sample(results, claim.other, key) for key in claim.runs]
    correlation = proportions.spearman(
        [sample.values.mean() for sample in first],
        [sample.values.mean() for sample in second],
    )
    outcome = comparisons.UNDECIDED
    if correlation.p < 1 - comparisons.LEVEL:
        outcome = (
            comparisons.SUPPORTED if correlation.rho < 0 else comparisons.CONTRADICTED
        )
    numbers = f"{join_numbers(first)}\n{join_numbers(second)}"
    test = (
        f"Spearman's rho = {correlation.rho:.2f} of {correlation.n} conditions, "
        f"exact p = {correlation.p:.3g}"
    )
    return Decision(outcome, numbers, test)


_FIRST_IS_GREATER = functools.partial(decide_order, pairs=first_against_others, side=1)
_FIRST_IS_LESS = functools.partial(decide_order, pairs=first_against_others, side=-1)

TESTS: dict[claims.Test, Test] = {
    claims.Test.DECREASING: functools.partial(decide_order, pairs=neighbours, side=1),
    claims.Test.LEAST: _FIRST_IS_LESS,
    claims.Test.MOST: _FIRST_IS_GREATER,
    claims.Test.GREATER: _FIRST_IS_GREATER,
    claims.Test.LESS: _FIRST_IS_LESS,
    claims.Test.RATIO: decide_ratio,
    claims.Test.ZERO: decide_zero,
    claims.Test.SOME_ABOVE_ZERO: decide_some_above_zero,
    claims.Test.EQUIVALENT: decide_equivalent,
    claims.Test.SPREAD_BELOW: decide_spread,
    claims.Test.FALLS: functools.partial(decide_change, side=-1),
    claims.Test.RISES: functools.partial(decide_change, side=1),
    claims.Test.UNCHANGED: decide_unchanged,
    claims.Test.ANTICORRELATED: decide_anticorrelated,
}
"""By kind of test, the function that decides."""
