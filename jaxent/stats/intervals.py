"""Student's t interval, and what follows from it over probe sets and over seeds.

Probes of one replicate set share no topic with another set's, so sets are the
independent draws. Resampling probes or flips within a set is not offered: directions
are refitted on the same probes, and such intervals cover far less than they claim.
"""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy  # scipy.stats is loaded at its first use: it takes seconds

_EQUAL = 1e-12  # of the mean: a smaller range is rounding


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate over replicate sets and its interval.

    Attributes:
      mean: the estimate, in the quantity's own unit.
      low: lower end; NaN for fewer than two sets, or for sets that do not differ.
      high: upper end; NaN likewise.
      sets: number of replicate sets.
    """

    mean: float
    low: float
    high: float
    sets: int


def ends(interval: Interval) -> tuple[float, float] | None:
    """The ends of an interval.

    Args:
      interval: over replicate sets.

    Returns:
      (low, high); None where they are undefined.
    """
    return None if math.isnan(interval.low) else (interval.low, interval.high)


@dataclasses.dataclass(frozen=True)
class Summary:
    """What several seeds gave.

    Attributes:
      n: number of seeds.
      mean: mean over seeds.
      sd: standard deviation with n - 1 in the divisor; NaN for one seed.
      low: lower end of the t interval of the mean; NaN for one seed.
      high: upper end of the t interval of the mean; NaN for one seed.
    """

    n: int
    mean: float
    sd: float
    low: float
    high: float


def check_level(level: float) -> None:
    """Raises ValueError unless `level` is a confidence level between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(
            f"level {level}: expected a confidence level between 0 and 1, such as 0.95"
        )


def sample_sd(values: np.ndarray) -> float:
    """SD of values [n], n >= 2, with divisor n - 1; exactly 0 for equal values."""
    return float(values.std(ddof=1)) if np.ptp(values) else 0.0


def t_interval(
    values: npt.ArrayLike, level: float = 0.95
) -> tuple[float, float] | None:
    """Student's t interval of the mean: mean -+ t_{n-1} sd / sqrt(n).

    Args:
      values: [n], independent draws.
      level: confidence level, between 0 and 1.

    Returns:
      (low, high), or None for fewer than two values or where any of them is NaN.

    Example:
      >>> low, high = t_interval([1.0, 2.0, 3.0])
      >>> round(low, 3), round(high, 3)
      (-0.484, 4.484)
      >>> t_interval([1.0]) is None
      True
    """
    values = np.asarray(values, float)
    if values.size < 2 or np.isnan(values).any():
        return None
    mean = float(values.mean())
    quantile = float(scipy.stats.t.ppf((1 + level) / 2, values.size - 1))
    half = quantile * sample_sd(values) / math.sqrt(values.size)
    return mean - half, mean + half


def over_sets(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of one value a replicate set.

    Args:
      values: [R], one value a set.
      level: confidence level, between 0 and 1.

    Returns:
      The interval; everything but `sets` is NaN if the value of any set is undefined
      (NaN or infinite). The ends are NaN too if the sets do not differ: accuracies of 1
      in every set are a ceiling, not certainty.

    Example:
      >>> over_sets([1.0, 2.0, 3.0]).mean
      2.0
      >>> over_sets([1.0, 1.0, 1.0])
      Interval(mean=1.0, low=nan, high=nan, sets=3)
      >>> over_sets([1.0, math.inf, 3.0])
      Interval(mean=nan, low=nan, high=nan, sets=3)
    """
    values = np.asarray(values, float)
    values = np.where(np.isfinite(values), values, math.nan)
    mean = float(values.mean()) if len(values) else math.nan
    low, high = math.nan, math.nan
    if len(values) and np.ptp(values) > _EQUAL * abs(mean):
        low, high = t_interval(values, level) or (low, high)
    return Interval(mean, low, high, len(values))


def over_seeds(values: npt.ArrayLike, level: float = 0.95) -> Summary:
    """Mean, SD and t interval of one value a seed.

    Equal values give an interval of width 0: for a quantity clipped at 0 (EI) that is a
    floor, not certainty.

    Args:
      values: [n], one finite value a seed.
      level: confidence level, between 0 and 1.

    Returns:
      The summary; SD and interval are NaN for one seed.

    Raises:
      ValueError: unless values is a vector of one or more finite numbers.

    Example:
      >>> summary = over_seeds([0.683, 0.712, 0.529])
      >>> f"{summary.mean:.3f} +- {summary.sd:.3f} of {summary.n} seeds"
      '0.641 +- 0.098 of 3 seeds'
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"values {values.tolist()}: expected one finite number a seed, of one or "
            "more seeds"
        )
    check_level(level)
    n, mean = len(values), float(values.mean())
    interval = t_interval(values, level)
    if interval is None:
        return Summary(n, mean, math.nan, math.nan, math.nan)
    return Summary(n, mean, sample_sd(values), *interval)


def jackknife(
    estimate: float, leave_one_out: npt.ArrayLike, level: float = 0.95
) -> Interval:
    """Interval of an estimate that takes several sets together.

    It is the t interval of `contributions`: the estimate -+ t_{R-1} times the
    jackknife's standard error. It is centred on the estimate, so that it always holds
    it.

    Args:
      estimate: the value from all R sets.
      leave_one_out: [R], the value without each set.
      level: confidence level, between 0 and 1.

    Returns:
      The interval over R sets.

    Example:
      >>> jackknife(2.0, [2.5, 2.0, 1.5]) == over_sets([1.0, 2.0, 3.0])
      True
    """
    return over_sets(contributions(estimate, leave_one_out), level)


def contributions(estimate: float, leave_one_out: npt.ArrayLike) -> np.ndarray:
    """What each set contributes to an estimate that takes several together.

    Set r contributes w + (R - 1) (mean of w_s - w_r), with w the estimate and w_s that
    without set s: Tukey's pseudo-values, moved so that their mean is the estimate.
    Differences of contributions, set by set, are those of a difference of estimates.

    Args:
      estimate: the value from all R sets.
      leave_one_out: [R], the value without each set.

    Returns:
      [R]; the set values themselves where the estimate is their mean.

    Example:
      >>> contributions(2.0, [2.5, 2.0, 1.5]).tolist()
      [1.0, 2.0, 3.0]
    """
    without = np.asarray(leave_one_out, float)
    return estimate + (len(without) - 1) * (without.mean() - without)


def ratio_contributions(
    numerators: npt.ArrayLike, denominators: npt.ArrayLike, minimum: float = 0
) -> np.ndarray:
    """`contributions` of sum(numerators) / sum(denominators) over sets.

    Unlike a mean of ratios it allows sets whose own ratio is undefined.

    Args:
      numerators: [R], one a set.
      denominators: [R], one a set.
      minimum: the least sum of R - 1 denominators for which a ratio says something.

    Returns:
      [R], whose mean is the ratio; NaN where any R - 1 denominators sum to less than
      `minimum` or to 0, and for fewer than two sets.

    Example:
      >>> ratio_contributions([2.0, 3.0, 4.0], [2.0, 2.0, 2.0]).tolist()
      [1.0, 1.5, 2.0]
    """
    numerators = np.asarray(numerators, float)
    denominators = np.asarray(denominators, float)
    kept_numerators = numerators.sum() - numerators
    kept_denominators = denominators.sum() - denominators
    enough = (kept_denominators >= minimum).all() and (kept_denominators > 0).all()
    if len(denominators) < 2 or not enough:
        return np.full(len(denominators), math.nan)
    estimate = numerators.sum() / denominators.sum()
    return contributions(estimate, kept_numerators / kept_denominators)


def magnitude(signed: Interval, maximum: float = math.inf) -> Interval:
    """The interval of |q| that follows from the interval of q.

    It covers at least as often. |q| itself, estimated set by set, is never near 0:
    noise alone moves it away.

    Args:
      signed: the interval of q.
      maximum: the largest value that |q| can have.

    Returns:
      The interval of |q|: it begins at 0 where the interval of q holds 0.

    Example:
      >>> magnitude(Interval(-0.15, -0.5, 0.2, 8), 1)
      Interval(mean=0.15, low=0.0, high=0.5, sets=8)
    """
    ends = sorted((abs(signed.low), abs(signed.high)))
    low = 0.0 if signed.low <= 0 <= signed.high else ends[0]
    return Interval(
        min(abs(signed.mean), maximum),
        min(low, maximum),
        min(ends[1], maximum),
        signed.sets,
    )
