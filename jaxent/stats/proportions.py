"""Statistics of pass counts and of ranks: the paper's section 5.3, with better tests.

Order of trust for two conditions on the same problems: the counts, `paired` (exact
McNemar and a paired bootstrap on per-problem outcomes), then the paper's own
`two_proportion_z`, which assumes two independent samples. Proportions and their
differences are fractions: 0.116 is 11.6 percentage points.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy  # scipy.stats is loaded at its first use: it takes seconds

from jaxent.stats import intervals

_RESAMPLES = 10_000
_ENUMERATED = 8  # values up to which all n! orders are tried: 40,320


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval, in the estimate's unit.

    Attributes:
      estimate: the estimate.
      low: lower end; NaN where there is none.
      high: upper end; NaN where there is none.
    """

    estimate: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Tails:
    """p values of one test.

    Attributes:
      two_sided: against "the two differ".
      greater: one-sided, for "the first is greater".
      less: one-sided, for "the first is less".
    """

    two_sided: float
    greater: float
    less: float


def _check_counts(**counts) -> None:
    """ValueError naming the first argument that is no count."""
    for name, value in counts.items():
        is_integer = isinstance(value, (int, np.integer))
        if isinstance(value, bool) or not is_integer or value < 0:
            raise ValueError(
                f"{name} is {value!r}: expected a count, an integer of 0 or more"
            )


def _check_passes(passes, problems) -> None:
    """ValueError unless `passes` of `problems` can be."""
    _check_counts(passes=passes, problems=problems)
    if not 0 < problems >= passes:
        raise ValueError(
            f"{passes} passes of {problems} problems: expected at least one problem "
            "and no more passes than problems"
        )


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a pass rate.

    It holds the proportions p with |k/n - p| <= z sqrt(p (1 - p) / n)
    (scipy.stats.binomtest(...).proportion_ci).

    Args:
      k: passes.
      n: problems.
      level: confidence level, between 0 and 1.

    Returns:
      k / n and its interval.

    Raises:
      ValueError: unless 0 <= k <= n and n > 0.

    Example:
      >>> rate = wilson(79, 164)
      >>> round(rate.estimate, 3), round(rate.low, 3), round(rate.high, 3)
      (0.482, 0.407, 0.558)
    """
    _check_passes(k, n)
    intervals.check_level(level)
    test = scipy.stats.binomtest(int(k), int(n))
    ends = test.proportion_ci(level, method="wilson")
    return Interval(k / n, float(ends.low), float(ends.high))


def newcombe(k1: int, n1: int, k2: int, n2: int, level: float = 0.95) -> Interval:
    """Newcombe's hybrid score interval of p1 - p2 between two independent samples.

    With d = k1/n1 - k2/n2 and Wilson's interval (l, u) of each rate:
    low = d - hypot(p1 - l1, u2 - p2), high = d + hypot(u1 - p1, p2 - l2), without
    continuity correction. Chosen over Wald's d +- z sqrt(sum p (1 - p) / n), which
    covers .88 instead of .95 at 20 problems and p = .02 against .1, and leaves [-1, 1];
    at 164 problems their ends differ by less than a point. Conditions run on the same
    problems are not independent: use `paired` where per-problem outcomes exist.
    (Newcombe 1998, Statistics in Medicine 17:873, method 10)

    Args:
      k1: passes of the first condition.
      n1: its problems.
      k2: passes of the second condition.
      n2: its problems.
      level: confidence level, between 0 and 1.

    Returns:
      The difference of the pass rates and its interval.

    Raises:
      ValueError: unless 0 <= k <= n and n > 0 for both.

    Example:
      >>> change = newcombe(56, 70, 48, 80)
      >>> round(change.estimate, 3), round(change.low, 4), round(change.high, 4)
      (0.2, 0.0524, 0.3339)
    """
    first, second = wilson(k1, n1, level), wilson(k2, n2, level)
    difference = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    low, high = difference - below, difference + above
    return Interval(difference, max(low, -1.0), min(high, 1.0))


@dataclasses.dataclass(frozen=True)
class ZTest:
    """z of p1 - p2 and its normal p values.

    Attributes:
      z: the statistic.
      one_tailed: p on the side on which the difference fell.
      two_tailed: p on both sides.
    """

    z: float
    one_tailed: float
    two_tailed: float


def two_proportion_z(k1: int, n1: int, k2: int, n2: int) -> ZTest:
    """The paper's pooled two-proportion z test (section 5.3).

    z = (k1/n1 - k2/n2) / sqrt(p (1 - p) (1/n1 + 1/n2)), p = (k1 + k2) / (n1 + n2).
    From the published counts: z = 2.12 for 79 against 60 of 164, -3.09 for 68 against
    96 (printed 2.15 and -3.08). A one-tailed p whose side was picked after seeing the
    data is half of what it should be.

    Args:
      k1: passes of the first condition.
      n1: its problems.
      k2: passes of the second condition.
      n2: its problems.

    Returns:
      The test; NaN if nothing or everything passes in both.

    Raises:
      ValueError: unless 0 <= k <= n and n > 0 for both.

    Example:
      >>> test = two_proportion_z(79, 164, 60, 164)
      >>> round(test.z, 2), round(test.one_tailed, 3), round(test.two_tailed, 3)
      (2.12, 0.017, 0.034)
    """
    _check_passes(k1, n1)
    _check_passes(k2, n2)
    pooled = (k1 + k2) / (n1 + n2)
    if pooled in (0, 1):
        return ZTest(math.nan, math.nan, math.nan)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    z = (k1 / n1 - k2 / n2) / deviation
    one_tailed = float(scipy.stats.norm.sf(abs(z)))
    return ZTest(z, one_tailed, 2 * one_tailed)


def mcnemar_exact(only_a: int, only_b: int) -> Tails:
    """Exact McNemar test of discordant pairs (scipy.stats.binomtest).

    Under equal ability only_a is Binomial(only_a + only_b, 1/2); problems on which the
    two agree say nothing.

    Args:
      only_a: problems that a alone passed.
      only_b: problems that b alone passed.

    Returns:
      p values; 1 without discordant pairs.

    Raises:
      ValueError: for anything but counts.

    Example:
      >>> round(mcnemar_exact(29, 10).two_sided, 4)
      0.0034
    """
    _check_counts(only_a=only_a, only_b=only_b)
    discordant = int(only_a + only_b)
    if discordant == 0:
        return Tails(1.0, 1.0, 1.0)

    def p(side: str) -> float:
        test = scipy.stats.binomtest(int(only_a), discordant, 0.5, alternative=side)
        return float(test.pvalue)

    return Tails(p("two-sided"), p("greater"), p("less"))


@dataclasses.dataclass(frozen=True)
class Paired:
    """Two conditions on the same problems; both + only_a + only_b + neither = n.

    Attributes:
      both: problems that both passed.
      only_a: problems that a alone passed.
      only_b: problems that b alone passed.
      neither: problems that none passed.
      difference: a's pass rate minus b's, (only_a - only_b) / n, with its interval.
      p: McNemar's p values; p.greater is for "a is better".
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    difference: Interval
    p: Tails

    @property
    def n(self) -> int:
        """Number of problems."""
        return self.both + self.only_a + self.only_b + self.neither


def paired(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    level: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> Paired:
    """Compares the outcomes of two conditions problem by problem.

    The interval is the percentile paired bootstrap of the difference: problems are
    redrawn with both their outcomes. Only how often each of the four kinds is drawn
    matters, so `resamples` multinomial draws replace resampled arrays. Simulated
    coverage at level .95: .95 for 43 expected discordant pairs of 164 and for 9 of 30,
    .92 to .93 for 3 and 7 of 164 (BCa: .94 to .95, and .88 to .91; hence percentile).
    (Efron and Tibshirani 1993, ch. 13; McNemar 1947)

    Args:
      a: bool [n], whether each problem passed.
      b: bool [n], the same problems in the same order.
      level: confidence level, between 0 and 1.
      resamples: bootstrap draws.
      seed: of the draws.

    Returns:
      Counts, difference with interval, and McNemar's p values. The interval is NaN
      without discordant pairs, where the bootstrap sees no spread at all.

    Raises:
      ValueError: unless both are bool vectors of one length.

    Example:
      >>> a = np.array([True] * 8 + [False] * 2)
      >>> b = np.array([True] * 3 + [False] * 7)
      >>> compared = paired(a, b)
      >>> compared.only_a, compared.only_b, compared.difference.estimate
      (5, 0, 0.5)
      >>> compared.p.two_sided
      0.0625
    """
    a, b = np.asarray(a), np.asarray(b)
    if not (a.dtype == b.dtype == bool and a.ndim == 1 and a.shape == b.shape):
        raise ValueError(_bad_outcomes(a, b))
    if not a.size:
        raise ValueError(_bad_outcomes(a, b))
    intervals.check_level(level)
    _check_counts(resamples=resamples)
    both, neither = int(np.sum(a & b)), int(np.sum(~a & ~b))
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    low, high = _bootstrap(only_a, only_b, a.size, level, resamples, seed)
    difference = Interval((only_a - only_b) / a.size, low, high)
    p = mcnemar_exact(only_a, only_b)
    return Paired(both, only_a, only_b, neither, difference, p)


def _bad_outcomes(a: np.ndarray, b: np.ndarray) -> str:
    """What is wrong with the outcomes given to `paired`."""
    return (
        f"outcomes are {a.dtype} {a.shape} and {b.dtype} {b.shape}: expected two bool "
        "vectors of one length, aligned by problem"
    )


def _bootstrap(
    only_a: int, only_b: int, n: int, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Percentile interval of (only_a - only_b) / n; NaN without discordant pairs."""
    if only_a + only_b == 0 or resamples == 0:
        return math.nan, math.nan
    share = np.array([only_a, only_b, n - only_a - only_b]) / n
    drawn = np.random.default_rng(seed).multinomial(n, share, size=resamples)
    differences = (drawn[:, 0] - drawn[:, 1]) / n
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation.

    Attributes:
      rho: the correlation of the ranks.
      p: two-sided p value.
      n: number of pairs.
      exact: whether p is over all n! orders; otherwise it is the t approximation's.
    """

    rho: float
    p: float
    n: int
    exact: bool


def spearman(x: npt.ArrayLike, y: npt.ArrayLike) -> RankCorrelation:
    """Spearman's rank correlation, ties at their mean rank.

    Up to 8 pairs p is exact: the share of all n! pairings with |rho| at least as large
    (the t approximation gives .005 for Table 10's six conditions, the exact p is .017);
    above, it is scipy's t approximation (scipy.stats.spearmanr, permutation_test).

    Args:
      x: [n], n >= 3.
      y: [n].

    Returns:
      The correlation; rho and p are NaN if x or y is constant.

    Raises:
      ValueError: for fewer than three pairs, unequal lengths or values not finite.

    Example:
      >>> ranks = spearman([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 25.0])
      >>> round(ranks.rho, 2), round(ranks.p, 3), ranks.exact
      (0.8, 0.333, True)
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    paired_values = x.ndim == 1 and x.shape == y.shape and len(x) >= 3
    if not paired_values or not np.isfinite([x, y]).all():
        raise ValueError(
            f"ranks of {x.shape} and {y.shape} values: expected two equally long "
            "vectors of 3 or more finite numbers"
        )
    exact = len(x) <= _ENUMERATED
    if not np.ptp(x) or not np.ptp(y):
        return RankCorrelation(math.nan, math.nan, len(x), exact)
    correlation = scipy.stats.spearmanr(x, y)
    p = _share_of_pairings(x, y) if exact else float(correlation.pvalue)
    return RankCorrelation(float(correlation.statistic), p, len(x), exact)


def _share_of_pairings(x: np.ndarray, y: np.ndarray) -> float:
    """Share of all n! pairings of x with y whose |rho| is at least as large."""
    # Centred ranks make the product below rho up to a positive factor.
    centred = scipy.stats.rankdata(y) - (len(y) + 1) / 2

    def strength(ranks, axis):
        return np.abs(np.moveaxis(ranks, axis, -1) @ centred)

    test = scipy.stats.permutation_test(
        (scipy.stats.rankdata(x),),
        strength,
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        n_resamples=math.factorial(len(x)),
    )
    return float(test.pvalue)
