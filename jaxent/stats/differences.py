"""Intervals of a difference over seeds and over replicate sets, and the test that a verdict takes from them.

Seeds and probe sets are two sources of chance. Each that the runs have gives an interval; a difference counts as seen
only if all of them agree (measurement.md, section 7: flips within a set are no replicates).
"""

import dataclasses
import itertools
import math

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

_ENUMERATED = 16  # sets up to which all sign patterns are tried


@dataclasses.dataclass(frozen=True)
class Difference:
    """A difference, its intervals over seeds and over replicate sets (None where there are too few), and the tests in words.

    sets may as well hold an interval over problems. significant: whether a further test named in `test` agrees.
    """

    estimate: float
    seeds: tuple[float, float] | None
    sets: tuple[float, float] | None
    test: str
    significant: bool = True

    @property
    def spans(self) -> list[tuple[float, float]]:
        return [i for i in (self.seeds, self.sets) if i is not None]

    def above(self, bound: float = 0.0) -> bool:
        """Whether every interval there is lies above the bound."""
        return (
            self.significant
            and bool(self.spans)
            and all(low > bound for low, _ in self.spans)
        )

    def below(self, bound: float = 0.0) -> bool:
        return (
            self.significant
            and bool(self.spans)
            and all(high < bound for _, high in self.spans)
        )

    def within(self, bound: float) -> bool:
        """Whether every interval lies inside +- bound."""
        return bool(self.spans) and all(
            -bound < low and high < bound for low, high in self.spans
        )


def t_interval(values, level: float = 0.95) -> tuple[float, float] | None:
    """Student's t interval of the mean of values [n]; None for fewer than two or undefined ones."""
    values = np.asarray(values, float)
    if values.size < 2 or np.isnan(values).any():
        return None
    mean = float(values.mean())
    half = (
        float(
            scipy.stats.t.ppf((1 + level) / 2, values.size - 1)
            * values.std(ddof=1)
            / math.sqrt(values.size)
        )
        if np.ptp(values)
        else 0.0
    )
    return mean - half, mean + half


def welch(a, b, level: float = 0.95) -> tuple[float, float] | None:
    """Welch's interval of mean(a) - mean(b); None unless both have two values or more."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if min(a.size, b.size) < 2:
        return None
    parts = [float(v.var(ddof=1)) / v.size if np.ptp(v) else 0.0 for v in (a, b)]
    d, total = float(a.mean() - b.mean()), sum(parts)
    if not total:
        return d, d
    freedom = total**2 / sum(p**2 / (v.size - 1) for p, v in zip(parts, (a, b)))
    half = float(scipy.stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(total)
    return d - half, d + half


def sign_flip(difference) -> float | None:
    """The exact two-sided p of a mean difference [R]: the share of sign patterns at least as far from 0; None above 16 sets."""
    difference = np.asarray(difference, float)
    if not 2 <= difference.size <= _ENUMERATED:
        return None
    signs = np.array(list(itertools.product((1, -1), repeat=difference.size)))
    flipped = np.abs(signs @ difference)
    return float((flipped >= flipped[0] * (1 - 1e-12)).mean())


def difference(
    a, b, a_sets, b_sets, paired: bool = False, level: float = 0.95
) -> Difference:
    """mean(a) - mean(b) over seeds; sets: one value a replicate set each [R], on the same probes, or None.

    paired: a and b are of the same runs, seed by seed (before and after), so that their differences are taken first.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    estimate, words = float(a.mean() - b.mean()), []
    seeds = (
        t_interval(a - b, level) if paired and a.size == b.size else welch(a, b, level)
    )
    if seeds:
        words.append(
            f"{'paired' if paired else 'Welch'} t over {a.size if paired else f'{a.size} and {b.size}'} seeds {_span(seeds)}"
        )
    over_sets = None
    if a_sets is not None and b_sets is not None and len(a_sets) == len(b_sets):
        change = np.asarray(a_sets) - np.asarray(b_sets)
        over_sets, p = t_interval(change, level), sign_flip(change)
        words.append(
            f"t over {len(change)} replicate sets {_span(over_sets)}"
            + (f", sign-flip p = {p:.3g}" if p is not None else "")
        )
    return Difference(
        estimate,
        seeds,
        over_sets,
        "; ".join(words) or "no test: one seed and no replicate sets",
    )


def _span(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.3g}, {interval[1]:.3g}]"


def sd_interval(values, level: float = 0.95) -> tuple[float, float]:
    """The chi-squared interval of the SD of values [n], n >= 2."""
    values = np.asarray(values, float)
    n, squares = values.size, float(((values - values.mean()) ** 2).sum())
    low, high = (
        scipy.stats.chi2.ppf(q, n - 1) for q in ((1 + level) / 2, (1 - level) / 2)
    )
    return math.sqrt(squares / low), math.sqrt(squares / high)
