"""Intervals over replicate sets: probes of one set share no topic with another's, so sets are the independent draws.

Resampling probes or flips within a set is not offered: directions are refitted on the same probes, and such
intervals cover far less than they claim.
"""

import dataclasses
import math

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

_EXACT = 20  # sets up to which all sign flips are tried


@dataclasses.dataclass(frozen=True)
class Interval:
    """mean of a quantity over `sets` replicate sets and its t interval [low, high]; NaN for fewer than two sets."""

    mean: float
    low: float
    high: float
    sets: int


def over_sets(values, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of one value a set [R]; NaN if any set's value is undefined (NaN or infinite)."""
    values = np.asarray(values, float)
    values = np.where(np.isfinite(values), values, math.nan)
    n, mean = len(values), float(values.mean()) if len(values) else math.nan
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    half = float(scipy.stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def jackknife(whole: float, without_one, level: float = 0.95) -> Interval:
    """Interval of an estimate that needs several sets at once, from its values without each set [R].

    The t interval of `pseudo_values`; its mean is the bias-corrected estimate.
    """
    return over_sets(pseudo_values(whole, without_one), level)


def pseudo_values(whole: float, without_one) -> np.ndarray:
    """Tukey's R whole - (R - 1) without_r [R]."""
    without_one = np.asarray(without_one, float)
    return len(without_one) * whole - (len(without_one) - 1) * without_one


def ratio(above, below, least: float = 0) -> Interval:
    """Interval of sum(above) / sum(below) over sets [R], by jackknife; NaN where any R - 1 sets' below sums to less than `least`.

    Unlike the mean of ratios it stands sets whose own ratio is undefined.
    """
    above, below = np.asarray(above, float), np.asarray(below, float)
    kept_above, kept_below = above.sum() - above, below.sum() - below
    if len(below) < 2 or not (kept_below >= least).all() or not (kept_below > 0).all():
        return Interval(math.nan, math.nan, math.nan, len(below))
    return jackknife(above.sum() / below.sum(), kept_above / kept_below)


def magnitude(signed: Interval, most: float = math.inf) -> Interval:
    """The interval of |q| that follows from q's, from 0 where that holds 0, up to `most`: it covers at least as often.

    (|q| itself, estimated set by set, is never near 0: noise alone moves it away.)
    """
    ends = sorted((abs(signed.low), abs(signed.high)))
    low = 0.0 if signed.low <= 0 <= signed.high else ends[0]
    return Interval(min(abs(signed.mean), most), min(low, most), min(ends[1], most), signed.sets)


@dataclasses.dataclass(frozen=True)
class Change:
    """after - before over paired sets: its interval, the t test's p and the exact sign-flip test's p (two-sided).

    p_sign_flip is NaN for more than 20 sets, whose sign patterns are too many to try.
    """

    interval: Interval
    p_t: float
    p_sign_flip: float


def change(before, after, level: float = 0.95) -> Change:
    """The paired change of one value a set [R >= 2] between two measurements on the same probes; ValueError for unequal lengths."""
    before, after = np.asarray(before, float), np.asarray(after, float)
    if before.shape != after.shape or len(before) < 2:
        raise ValueError(f"paired values of {len(before)} and {len(after)} sets: expected equally many, 2 or more")
    difference = after - before
    if np.isnan(difference).any():
        return Change(over_sets(difference), math.nan, math.nan)
    p_t = float(scipy.stats.ttest_1samp(difference, 0).pvalue) if np.ptp(difference) else float(difference[0] == 0)
    return Change(over_sets(difference, level), p_t, sign_flip(difference))


def sign_flip(difference: np.ndarray) -> float:
    """The share of all 2^R sign patterns whose mean difference [R] is at least as far from 0; NaN above 20 sets."""
    if len(difference) > _EXACT:
        return math.nan
    total = np.zeros(1)
    for one in np.abs(difference):
        total = np.concatenate([total + one, total - one])
    return float((np.abs(total) >= abs(difference.sum()) * (1 - 1e-12)).mean())
