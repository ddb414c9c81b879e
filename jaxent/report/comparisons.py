"""Samples compared: a difference with its intervals, and what it decides."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxent.report import evidence
from jaxent.stats import differences, intervals, proportions

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not decided"
LEVEL = 0.95
"""Confidence level."""


class Comparison(NamedTuple):
    """A difference at the level of support and, corrected, at that of contradiction.

    A claim is contradicted by any of its comparisons, so that the second level is
    corrected for their number.
    """

    support: differences.Difference
    contradict: differences.Difference


def shares_passed(*samples: evidence.Sample) -> list[np.ndarray]:
    """Lists what each sample passed of the same problems.

    Args:
      *samples: of coding.

    Returns:
      For each, the share passed of each problem [n], problems in one order.

    Raises:
      evidence.MissingError: they were evaluated on different problems.
    """
    shares = [sample.passed or {} for sample in samples]
    if any(share.keys() != shares[0].keys() for share in shares):
        raise evidence.MissingError(
            f"{samples[0].name} and others were evaluated on different problems"
        )
    return [np.array([share[task] for task in shares[0]]) for share in shares]


def compare(
    a: evidence.Sample, b: evidence.Sample, paired: bool = False, level: float = 0.95
) -> differences.Difference:
    """Compares two samples with what intervals there can be.

    Args:
      a: a sample.
      b: another, of the same metric.
      paired: whether both are of the same runs, in order.
      level: confidence level.

    Returns:
      a minus b: over problems for coding, else over seeds and replicate sets.

    Raises:
      evidence.MissingError: coding was evaluated on different problems.
    """
    if a.passed is not None:
        passed_a, passed_b = shares_passed(a, b)
        return _compare_problems(passed_a, passed_b, level)
    if a.interval and b.interval:
        low, high = a.interval[0] - b.interval[1], a.interval[1] - b.interval[0]
        text = (
            "difference of the ends of the two intervals over replicate sets "
            f"[{low:.3g}, {high:.3g}], which is conservative"
        )
        estimate = float(a.values.mean() - b.values.mean())
        return differences.Difference(estimate, None, (low, high), text)
    difference = differences.difference(
        a.values, b.values, a.sets, b.sets, paired, level
    )
    if a.trained and difference.seeds is None and difference.sets is not None:
        text = f"{difference.test} (one seed: nothing about others)"
        difference = dataclasses.replace(difference, test=text)
    return difference


def _compare_problems(
    a: np.ndarray, b: np.ndarray, level: float
) -> differences.Difference:
    """Shares of the same problems [n], in points; for one seed by McNemar's test."""
    if np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all():
        paired = proportions.paired(a == 1, b == 1, level)
        low, high = 100 * paired.difference.low, 100 * paired.difference.high
        p = paired.p.two_sided
        text = (
            f"{paired.only_a} against {paired.only_b} problems passed by one alone, "
            f"exact McNemar p = {p:.3g}"
        )
        if not np.isnan(low):
            text += f"; paired bootstrap [{low:.1f}, {high:.1f}] points"
        estimate = 100 * paired.difference.estimate
        significant = p < 1 - level
        return differences.Difference(estimate, None, (low, high), text, significant)
    interval = intervals.t_interval(100 * (a - b), level)
    if interval is None:
        raise evidence.MissingError("one problem gives no interval over problems")
    low, high = interval
    text = f"t over {len(a)} problems, seeds averaged [{low:.1f}, {high:.1f}] points"
    estimate = 100 * float(np.mean(a - b))
    return differences.Difference(estimate, None, (low, high), text)


def compare_twice(
    a: evidence.Sample, b: evidence.Sample, number: int, paired: bool = False
) -> Comparison:
    """Compares two samples.

    Args:
      a: a sample.
      b: another, of the same metric.
      number: comparisons that the claim makes.
      paired: whether both are of the same runs.

    Returns:
      a minus b at both levels.
    """
    corrected = 1 - (1 - LEVEL) / number
    return Comparison(
        compare(a, b, paired, LEVEL),
        compare(a, b, paired, corrected),
    )


def decide_side(comparisons: Sequence[Comparison], side: int, exact: bool) -> str:
    """Decides whether all differences are on one side of 0.

    Args:
      comparisons: of the claim.
      side: 1 for above 0, -1 for below.
      exact: whether values without an interval count as they are.

    Returns:
      The outcome.
    """
    if all(_is_on_side(c.support, side, exact) for c in comparisons):
        return SUPPORTED
    if exact and any(_has_no_width(c.support) for c in comparisons):
        opposite = any(side * c.support.estimate <= 0 for c in comparisons)
        return CONTRADICTED if opposite else UNDECIDED
    if any(_is_on_side(c.contradict, -side, exact) for c in comparisons):
        return CONTRADICTED
    return UNDECIDED


def _is_on_side(difference: differences.Difference, side: int, exact: bool) -> bool:
    if exact and not difference.spans:
        return side * difference.estimate > 0
    return difference.above() if side > 0 else difference.below()


def _has_no_width(difference: differences.Difference) -> bool:
    return not difference.spans or difference.spans == [(0.0, 0.0)]
