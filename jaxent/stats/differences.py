"""Intervals of a difference over seeds and over replicate sets.

Seeds and probe sets are two sources of chance. Each that the runs have gives an
interval; a difference counts as seen only if all intervals agree (flips within a set
are no replicates).
"""

import dataclasses
import itertools
import math

import numpy as np
import numpy.typing as npt
import scipy  # scipy.stats is loaded at its first use: it takes seconds

from jaxent.stats import intervals

_ENUMERATED = 16  # sets up to which all sign patterns are tried


@dataclasses.dataclass(frozen=True)
class Difference:
    """A difference with its intervals and its test.

    Attributes:
      estimate: the difference of the means.
      seeds: interval over seeds, None where there are too few.
      sets: interval over replicate sets, or over problems; None where there are none.
      test: what was tested, in words.
      significant: whether a further test that `test` names agrees.
    """

    estimate: float
    seeds: tuple[float, float] | None
    sets: tuple[float, float] | None
    test: str
    significant: bool = True

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The intervals that exist."""
        return [i for i in (self.seeds, self.sets) if i is not None]

    def above(self, bound: float = 0.0) -> bool:
        """Whether there is an interval and every interval is above the bound."""
        every = bool(self.spans) and all(low > bound for low, _ in self.spans)
        return self.significant and every

    def below(self, bound: float = 0.0) -> bool:
        """Whether there is an interval and every interval is below the bound."""
        every = bool(self.spans) and all(high < bound for _, high in self.spans)
        return self.significant and every

    def within(self, bound: float) -> bool:
        """Whether there is an interval and every interval is inside +- bound."""
        return bool(self.spans) and all(
            -bound < low and high < bound for low, high in self.spans
        )


def welch(
    a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95
) -> tuple[float, float] | None:
    """Welch's t interval of mean(a) - mean(b) of independent samples.

    Args:
      a: [n] values.
      b: [m] values.
      level: confidence level, between 0 and 1.

    Returns:
      (low, high), or None unless both samples have two values or more.

    Example:
      >>> low, high = welch([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
      >>> round(low, 3), round(high, 3)
      (-1.267, 3.267)
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if min(a.size, b.size) < 2:
        return None
    variances = [_variance_of_mean(values) for values in (a, b)]
    estimate, total = float(a.mean() - b.mean()), sum(variances)
    if not total:
        return estimate, estimate
    freedom = total**2 / sum(
        variance**2 / (values.size - 1) for variance, values in zip(variances, (a, b))
    )
    quantile = float(scipy.stats.t.ppf((1 + level) / 2, freedom))
    half = quantile * math.sqrt(total)
    return estimate - half, estimate + half


def _variance_of_mean(values: np.ndarray) -> float:
    """Squared standard error of the mean of values [n]; exactly 0 for equal values."""
    return float(values.var(ddof=1)) / values.size if np.ptp(values) else 0.0


def sign_flip(differences: npt.ArrayLike) -> float | None:
    """Exact two-sided p of a mean difference by flipping signs.

    Args:
      differences: [R], one paired difference a set.

    Returns:
      The share of the 2^R sign patterns whose sum is at least as far from 0; None for
      fewer than 2 or more than 16 sets.

    Example:
      >>> sign_flip([1.0, 2.0, 3.0, 4.0, 5.0])
      0.0625
    """
    differences = np.asarray(differences, float)
    if not 2 <= differences.size <= _ENUMERATED:
        return None
    signs = np.array(list(itertools.product((1, -1), repeat=differences.size)))
    flipped = np.abs(signs @ differences)
    return float((flipped >= flipped[0] * (1 - 1e-12)).mean())


def difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    a_sets: npt.ArrayLike | None,
    b_sets: npt.ArrayLike | None,
    paired: bool = False,
    level: float = 0.95,
) -> Difference:
    """mean(a) - mean(b) over seeds, with intervals over seeds and over replicate sets.

    Args:
      a: [n], one value a seed.
      b: [m], one value a seed.
      a_sets: [R], one value a replicate set, or None.
      b_sets: [R], one value a replicate set on the same probes, or None.
      paired: a and b are of the same runs, seed by seed (before and after), so that
        their differences are taken first.
      level: confidence level, between 0 and 1.

    Returns:
      The difference; its intervals are t intervals (Welch's if not paired).

    Example:
      >>> change = difference([0.5, 0.6, 0.7], [0.1, 0.3, 0.2], None, None, paired=True)
      >>> round(change.estimate, 3), change.above(0)
      (0.4, True)
      >>> change.test
      'paired t over 3 seeds [0.152, 0.648]'
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    seeds, words = _over_seeds(a, b, paired, level)
    over_sets = None
    if a_sets is not None and b_sets is not None:
        changes = _paired_changes(a_sets, b_sets)
        if changes is not None:
            over_sets = intervals.ends(intervals.over_sets(changes, level))
            words.append(_sets_in_words(changes, over_sets))
    test = "; ".join(words) or "no test: one seed and no replicate sets"
    return Difference(float(a.mean() - b.mean()), seeds, over_sets, test)


def _over_seeds(
    a: np.ndarray, b: np.ndarray, paired: bool, level: float
) -> tuple[tuple[float, float] | None, list[str]]:
    """The interval over seeds, and what it is in words."""
    if paired and a.size == b.size:
        seeds = intervals.t_interval(a - b, level)
        test = f"paired t over {a.size} seeds"
    else:
        seeds = welch(a, b, level)
        test = f"Welch t over {a.size} and {b.size} seeds"
    return seeds, [f"{test} {_format_interval(seeds)}"] if seeds else []


def _paired_changes(a_sets: npt.ArrayLike, b_sets: npt.ArrayLike) -> np.ndarray | None:
    """Differences [R] set by set; None where the numbers of sets differ."""
    a_sets, b_sets = np.asarray(a_sets), np.asarray(b_sets)
    return a_sets - b_sets if len(a_sets) == len(b_sets) else None


def _sets_in_words(changes: np.ndarray, interval: tuple[float, float] | None) -> str:
    """The test over sets in words."""
    span = "no interval" if interval is None else _format_interval(interval)
    p = sign_flip(changes)
    sign_flips = "" if p is None else f", sign-flip p = {p:.3g}"
    return f"t over {len(changes)} replicate sets {span}{sign_flips}"


def _format_interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3g}, {interval[1]:.3g}]"


@dataclasses.dataclass(frozen=True)
class PairedMeans:
    """The mean of paired differences with its interval and two tests of it.

    Attributes:
      n: number of pairs.
      estimate: mean of a - b.
      low: lower end of its t interval; NaN for fewer than two pairs.
      high: upper end of its t interval; NaN for fewer than two pairs.
      t: Student's t of the differences; NaN where they do not vary.
      p: its two-sided p; NaN where they do not vary.
      below: pairs in which a is less than b.
      above: pairs in which a is greater than b.
      sign_p: two-sided p of the exact sign test of below against above, ties left out.
    """

    n: int
    estimate: float
    low: float
    high: float
    t: float
    p: float
    below: int
    above: int
    sign_p: float


def paired_means(
    a: npt.ArrayLike, b: npt.ArrayLike, level: float = 0.95
) -> PairedMeans:
    """Compares two conditions that were measured on the same items.

    The t interval is about the mean difference; the sign test (scipy.stats.binomtest)
    asks only how often a is less, whatever the size of the differences.

    Args:
      a: [n], one value an item.
      b: [n], of the same items in the same order.
      level: confidence level, between 0 and 1.

    Returns:
      The mean of a - b, its interval and the tests.

    Raises:
      ValueError: unless both are equally long vectors of one or more finite numbers.

    Example:
      >>> change = paired_means([1.0, 2.0, 2.0, 3.0, 1.0], [2.0, 3.0, 4.0, 4.0, 3.0])
      >>> round(change.estimate, 2), round(change.t, 2), change.below, change.sign_p
      (-1.4, -5.72, 5, 0.0625)
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise ValueError(
            f"values are {a.shape} and {b.shape}: expected two vectors of one length"
        )
    if not np.isfinite([a, b]).all():
        raise ValueError("values hold NaN or infinity: expected finite numbers")
    intervals.check_level(level)
    changes = a - b
    low, high = intervals.t_interval(changes, level) or (math.nan, math.nan)
    t = p = math.nan
    if np.ptp(changes):
        test = scipy.stats.ttest_1samp(changes, 0.0)
        t, p = float(test.statistic), float(test.pvalue)
    below, above = int(np.sum(changes < 0)), int(np.sum(changes > 0))
    sign_p = 1.0
    if below + above:
        sign_p = float(scipy.stats.binomtest(below, below + above).pvalue)
    estimate = float(changes.mean())
    return PairedMeans(changes.size, estimate, low, high, t, p, below, above, sign_p)


def sd_interval(values: npt.ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The chi-squared interval of a standard deviation.

    The ends are sqrt(sum (v - mean)^2 / q), with q the (1 + level) / 2 and the
    (1 - level) / 2 quantiles of chi-squared with n - 1 degrees of freedom.

    Args:
      values: [n], n >= 2.
      level: confidence level, between 0 and 1.

    Returns:
      (low, high) of the SD.

    Example:
      >>> low, high = sd_interval([1.0, 2.0, 3.0])
      >>> round(low, 3), round(high, 3)
      (0.521, 6.285)
    """
    values = np.asarray(values, float)
    n, squares = values.size, float(((values - values.mean()) ** 2).sum())
    upper = scipy.stats.chi2.ppf((1 + level) / 2, n - 1)
    lower = scipy.stats.chi2.ppf((1 - level) / 2, n - 1)
    return math.sqrt(squares / upper), math.sqrt(squares / lower)
