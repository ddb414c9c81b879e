"""Statistics of pass counts, of seeds and of ranks: the paper's section 5.3 with the tests its data allow.

Order of trust for two conditions on the same problems: the counts, `paired` (exact McNemar and a paired bootstrap on
per-problem outcomes), then the paper's own `two_proportion_z`, which takes the two for independent samples. Proportions
and their differences are fractions: 0.116 is 11.6 percentage points.
"""

import dataclasses
import math

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

_RESAMPLES = 10_000
_ENUMERATED = 8  # values up to which all n! orders are tried: 40,320


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval [low, high], in the estimate's unit; NaN where none can be given."""

    estimate: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Tails:
    """p values of one test: two-sided, and one-sided for "the first is greater" and "the first is less"."""

    two_sided: float
    greater: float
    less: float


def _counts(**counts) -> None:
    for name, value in counts.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, np.integer))
            or value < 0
        ):
            raise ValueError(
                f"{name} is {value!r}: expected a count, an integer of 0 or more"
            )


def _passes(k, n) -> None:
    _counts(passes=k, problems=n)
    if not 0 < n >= k:
        raise ValueError(
            f"{k} passes of {n} problems: expected at least one problem and no more passes than problems"
        )


def _level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(
            f"level {level}: expected a confidence level between 0 and 1, such as 0.95"
        )


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of k passes in n problems: k/n and the proportions p with |k/n - p| <= z sqrt(p (1 - p) / n).

    Raises ValueError unless 0 <= k <= n and n > 0. (scipy.stats.binomtest(...).proportion_ci)
    """
    _passes(k, n)
    _level(level)
    found = scipy.stats.binomtest(int(k), int(n)).proportion_ci(level, method="wilson")
    return Interval(k / n, float(found.low), float(found.high))


def newcombe(k1: int, n1: int, k2: int, n2: int, level: float = 0.95) -> Interval:
    """Newcombe's hybrid score interval of p1 - p2 between two independent samples, without continuity correction.

    With d = k1/n1 - k2/n2 and Wilson's intervals (l, u) of each: low = d - hypot(p1 - l1, u2 - p2), high =
    d + hypot(u1 - p1, p2 - l2). Chosen over Wald's d +- z sqrt(sum p (1 - p) / n), which covers .88 instead of .95 at 20
    problems and p = .02 against .1, and leaves [-1, 1]; at 164 problems their ends differ by less than a point. Conditions
    run on the same problems are not independent: use `paired` where per-problem outcomes exist.
    (Newcombe 1998, Statistics in Medicine 17:873, method 10)
    """
    first, second = wilson(k1, n1, level), wilson(k2, n2, level)
    difference = first.estimate - second.estimate
    low = difference - math.hypot(
        first.estimate - first.low, second.high - second.estimate
    )
    high = difference + math.hypot(
        first.high - first.estimate, second.estimate - second.low
    )
    return Interval(difference, max(low, -1.0), min(high, 1.0))


@dataclasses.dataclass(frozen=True)
class ZTest:
    """z of p1 - p2 and its normal p values: two-tailed, and one-tailed on the side where the difference fell."""

    z: float
    one_tailed: float
    two_tailed: float


def two_proportion_z(k1: int, n1: int, k2: int, n2: int) -> ZTest:
    """The paper's pooled two-proportion z: (k1/n1 - k2/n2) / sqrt(p (1 - p) (1/n1 + 1/n2)), p = (k1 + k2) / (n1 + n2).

    From the published counts: z = 2.12 for 79 against 60 of 164, -3.09 for 68 against 96 (printed 2.15 and -3.08).
    A one-tailed p whose side was picked after seeing the data is half of what it should be. NaN if nothing or
    everything passes in both. Raises ValueError for impossible counts. (paper, section 5.3)
    """
    _passes(k1, n1)
    _passes(k2, n2)
    pooled = (k1 + k2) / (n1 + n2)
    if pooled in (0, 1):
        return ZTest(math.nan, math.nan, math.nan)
    z = (k1 / n1 - k2 / n2) / math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    one = float(scipy.stats.norm.sf(abs(z)))
    return ZTest(z, one, 2 * one)


def mcnemar_exact(only_a: int, only_b: int) -> Tails:
    """Exact McNemar test from discordant pairs: only_a problems passed by a alone, only_b by b alone.

    Under equal ability only_a is Binomial(only_a + only_b, 1/2); problems on which the two agree say nothing. p = 1
    without discordant pairs. Raises ValueError for anything but counts. (scipy.stats.binomtest)
    """
    _counts(only_a=only_a, only_b=only_b)
    if only_a + only_b == 0:
        return Tails(1.0, 1.0, 1.0)
    p = lambda side: float(
        scipy.stats.binomtest(
            int(only_a), int(only_a + only_b), 0.5, alternative=side
        ).pvalue
    )
    return Tails(p("two-sided"), p("greater"), p("less"))


@dataclasses.dataclass(frozen=True)
class Paired:
    """Two conditions on the same problems: the 2 x 2 counts, a's pass rate minus b's with its interval, McNemar's p.

    both + only_a + only_b + neither = n; difference.estimate = (only_a - only_b) / n; p.greater is for "a is better".
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    difference: Interval
    p: Tails

    @property
    def n(self) -> int:
        return self.both + self.only_a + self.only_b + self.neither


def paired(
    a, b, level: float = 0.95, resamples: int = _RESAMPLES, seed: int = 0
) -> Paired:
    """Compares per-problem outcomes a and b (bool [n], the same problems in the same order).

    The interval is the percentile paired bootstrap of the difference: problems are redrawn with both their outcomes.
    Only how often each of the four kinds is drawn matters, so `resamples` multinomial draws replace resampled
    arrays. Simulated coverage at level .95: .95 for 43 expected discordant pairs of 164 and for 9 of 30, .92 to .93 for 3
    and 7 of 164 (BCa: .94 to .95, and .88 to .91; hence percentile). NaN without discordant pairs, where the
    bootstrap sees no spread at all.
    Raises ValueError unless both are bool vectors of one length. (Efron and Tibshirani 1993, ch. 13; McNemar 1947)
    """
    a, b = np.asarray(a), np.asarray(b)
    if (
        a.dtype != bool
        or b.dtype != bool
        or a.ndim != 1
        or a.shape != b.shape
        or not a.size
    ):
        found = f"{a.dtype} {a.shape} and {b.dtype} {b.shape}"
        raise ValueError(
            f"outcomes are {found}: expected two bool vectors of one length, aligned by problem"
        )
    _level(level)
    _counts(resamples=resamples)
    both, only_a, only_b, neither = (
        int(np.sum(kind)) for kind in (a & b, a & ~b, ~a & b, ~a & ~b)
    )
    low, high = _bootstrap(only_a, only_b, a.size, level, resamples, seed)
    difference = Interval((only_a - only_b) / a.size, low, high)
    return Paired(
        both, only_a, only_b, neither, difference, mcnemar_exact(only_a, only_b)
    )


def _bootstrap(
    only_a: int, only_b: int, n: int, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    if only_a + only_b == 0 or resamples == 0:
        return math.nan, math.nan
    share = np.array([only_a, only_b, n - only_a - only_b]) / n
    drawn = np.random.default_rng(seed).multinomial(n, share, size=resamples)
    low, high = np.quantile(
        (drawn[:, 0] - drawn[:, 1]) / n, [(1 - level) / 2, (1 + level) / 2]
    )
    return float(low), float(high)


@dataclasses.dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho of n pairs and its two-sided p; exact: p is over all n! orders, otherwise by the t approximation."""

    rho: float
    p: float
    n: int
    exact: bool


def spearman(x, y) -> RankCorrelation:
    """Spearman's rank correlation of x and y [n], ties at their mean rank.

    Up to 8 pairs p is exact: the share of all n! pairings with |rho| at least as large (the t approximation gives .005
    for Table 10's six conditions, the exact p is .017); above, scipy's t approximation. rho and p are NaN if x or y is
    constant. Raises ValueError for fewer than three pairs, unequal lengths or values that are not finite.
    (scipy.stats.spearmanr, scipy.stats.permutation_test)
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 3 or not np.isfinite([x, y]).all():
        raise ValueError(
            f"ranks of {x.shape} and {y.shape} values: expected two equally long vectors of 3 or more finite numbers"
        )
    exact = len(x) <= _ENUMERATED
    if not np.ptp(x) or not np.ptp(y):
        return RankCorrelation(math.nan, math.nan, len(x), exact)
    found = scipy.stats.spearmanr(x, y)
    p = _pairings(x, y) if exact else float(found.pvalue)
    return RankCorrelation(float(found.statistic), p, len(x), exact)


def _pairings(x: np.ndarray, y: np.ndarray) -> float:
    fixed = (
        scipy.stats.rankdata(y) - (len(y) + 1) / 2
    )  # centred, so the product below is rho up to a positive factor
    strength = lambda ranks, axis: np.abs(np.moveaxis(ranks, axis, -1) @ fixed)
    ranks = scipy.stats.rankdata(x)
    return float(
        scipy.stats.permutation_test(
            (ranks,),
            strength,
            permutation_type="pairings",
            alternative="greater",
            vectorized=True,
            n_resamples=math.factorial(len(x)),
        ).pvalue
    )


@dataclasses.dataclass(frozen=True)
class Summary:
    """Mean, SD (n - 1 in the divisor) and t interval [low, high] of the mean of n seeds; NaN where n is too small."""

    n: int
    mean: float
    sd: float
    low: float
    high: float


def over_seeds(values, level: float = 0.95) -> Summary:
    """Summary of one value a seed [n]: mean +- t_{n-1} sd / sqrt(n); SD and interval are NaN for one seed.

    Equal values give an interval of width 0: for a quantity clipped at 0 (EI) that is a floor, not certainty. Raises
    ValueError unless values is a vector of one or more finite numbers.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"values {values.tolist()}: expected one finite number a seed, of one or more seeds"
        )
    _level(level)
    n, mean = len(values), float(values.mean())
    if n < 2:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    sd = float(values.std(ddof=1)) if np.ptp(values) else 0.0
    half = float(scipy.stats.t.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)
