"""Intervals over replicate sets: probes of one set share no topic with another's, so sets are the independent draws.

Resampling probes or flips within a set is not offered: directions are refitted on the same probes, and such
intervals cover far less than they claim.
"""

import dataclasses
import math

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds


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
    half = float(
        scipy.stats.t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)
    )
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
    return Interval(
        min(abs(signed.mean), most), min(low, most), min(ends[1], most), signed.sets
    )
