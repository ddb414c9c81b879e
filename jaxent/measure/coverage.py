"""Do the printed intervals cover? Draws of known structure, and the shares that hold.

The structure of a setting is drawn once and its noise again in every draw. What an
interval should hold is the expectation of the same function over such draws, at that
number and size of sets; for CVO the planted overlap too.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from jaxent.measure import (
    estimates,
    noise,
    overlap,
    ridge,
    summary,
    synthetic,
)
from jaxent.stats import intervals

SIZES, SETS = (3, 4, 4), 8
DIMENSIONS = 256
SNRS = (0.5, 0.7, 1.0, 2.5, 5.0)
OVERLAPS = (0.0, 0.3, 0.6, 0.9)
RATIOS = {"ei": ("off_flips", "own_flips"), "sei": ("off_rise", "own_rise")}
RATIOS["nested_ei"] = ("nested_off_flips", "nested_own_flips")
MEANS = ("overlap", "v_purity", "accuracy.concept 1", "margin.concept 1")
_TOGETHER = 25  # draws a jitted call
Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Setting:
    """One point of the grid.

    Attributes:
      noise: a key of `noise.KINDS`.
      snr: SD of the class means over the noise's, an axis.
      overlap: planted, of every two concepts.
    """

    noise: str
    snr: float
    overlap: float

    @property
    def name(self) -> str:
        """What its files are called."""
        number = list(noise.KINDS).index(self.noise)
        return f"noise{number}_snr{self.snr:g}_overlap{self.overlap:g}"


def grid() -> list[Setting]:
    """All settings, those of one SNR together.

    Example:
      >>> len(grid()), grid()[0].name
      (100, 'noise0_snr1_overlap0')
    """
    order = sorted(SNRS, key=lambda snr: abs(snr - 1))
    every = itertools.product(order, OVERLAPS, noise.KINDS)
    return [Setting(kind, snr, truth) for snr, truth, kind in every]


def activations(
    setting: Setting, draws: int, seed: int = 0, d: int = DIMENSIONS
) -> Iterator[np.ndarray]:
    """Independent draws of a setting's noise about one structure.

    Args:
      setting: the setting.
      draws: how many.
      seed: of the structure and of every draw, so that a draw is the same whoever
        asks for it.
      d: dimensions.

    Yields:
      [384, d], eight sets of 48 cells.
    """
    labels = synthetic.design(SIZES, SETS)
    number = list(noise.KINDS).index(setting.noise)
    key = [seed, number, round(10 * setting.snr), round(10 * setting.overlap)]
    rng = np.random.default_rng(key)
    subspaces = synthetic.bases(SIZES, d, setting.overlap, rng)
    means = synthetic.class_means(labels, subspaces)
    for draw in range(draws):
        rng = np.random.default_rng([*key, 1 + draw])
        yield means + noise.KINDS[setting.noise](labels, d, rng) / setting.snr


def draw_cvo(setting: Setting, draws: int, seed: int = 0) -> dict[str, np.ndarray]:
    """CVO of every draw, whatever the gate says, and the gate's z.

    Args:
      setting: the setting.
      draws: how many.
      seed: of the draws.

    Returns:
      value [draws], without [draws, R] (each set left out) and z [draws], the least.
    """
    labels = synthetic.design(SIZES, SETS)
    found: dict[str, list] = {"value": [], "without": [], "z": []}
    for x in activations(setting, draws, seed):
        inner = overlap.cross_products(ridge.centred_gram(x), labels)
        pairs = overlap.cvo_matrix(inner, SIZES)
        found["value"].append(overlap.mean_overlap(pairs))
        found["without"].append(overlap.leave_one_out(inner, SIZES))
        found["z"].append(overlap.agreement(inner, SIZES).min())
    return {name: np.array(values) for name, values in found.items()}


@jax.jit
def _estimate_draws(xs, codes, sets):
    """The arrays of every set of every draw, with leading axes [draws, R]."""

    def of_sets(x):
        def of_set(members):
            gram = x[members] @ x[members].T  # a fit centres it
            return estimates.estimate(gram, codes[members], SIZES, 1.0, False)

        return jax.lax.map(of_set, sets)

    return jax.lax.map(of_sets, xs)


def draw_fits(setting: Setting, draws: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The numbers of every set of every draw, fitted one by one.

    Args:
      setting: the setting.
      draws: how many.
      seed: of the draws.

    Returns:
      By name of `summary.numbers`, [draws, R].
    """
    labels = synthetic.design(SIZES, SETS)
    rows: list[dict] = []
    every = activations(setting, draws, seed)
    while batch := list(itertools.islice(every, _TOGETHER)):
        with ridge.float64_on_cpu():
            arrays = jax.tree.map(
                np.asarray,
                _estimate_draws(
                    jnp.asarray(np.stack(batch)), labels.codes, labels.sets
                ),
            )
        for i, r in itertools.product(range(len(batch)), range(SETS)):
            one = {name: array[i, r] for name, array in arrays.items()}
            rows.append(summary.numbers(one, labels))
    return {
        name: np.array([row[name] for row in rows]).reshape(draws, SETS)
        for name in rows[0]
    }


def contributions_of_cvo(drawn: Arrays) -> np.ndarray:
    """The sets' contributions [draws, R], NaN where the gate refuses.

    Args:
      drawn: of `draw_cvo`.

    Returns:
      [draws, R].
    """
    every = [
        intervals.contributions(value, without)
        for value, without in zip(drawn["value"], drawn["without"])
    ]
    passes = drawn["z"] >= overlap.LEAST_Z
    return np.where(passes[:, None], np.stack(every), np.nan)


def contributions_of_fits(drawn: Arrays) -> dict[str, np.ndarray]:
    """The sets' contributions to each metric, as they are printed.

    The ratios of flips and of rises also as the mean of the sets' own ratios, which is
    not printed: "ei, mean of sets".

    Args:
      drawn: of `draw_fits`.

    Returns:
      By metric [draws, R], NaN where there is no interval.
    """
    found = {}
    for name, parts in RATIOS.items():
        off, own = (drawn[part] for part in parts)
        flips = name != "sei"
        least = summary.LEAST_FLIPS if flips else summary.LEAST_RISE
        minimum = least if flips else least * (SETS - 1)
        of_sums = np.stack(
            [intervals.ratio_contributions(a, b, minimum) for a, b in zip(off, own)]
        )
        if flips:
            of_sums[off.sum(1) < summary.LEAST_FLIPS] = np.nan
        found[name] = of_sums
        defined = own >= least
        found[f"{name}, mean of sets"] = np.where(
            defined, off / np.where(defined, own, 1), np.nan
        )
    return found | {name: drawn[name] for name in MEANS}


def cover(contributions: np.ndarray, truth: float | None = None) -> dict:
    """How often the 95% interval holds the expectation, and a known truth.

    Args:
      contributions: [draws, R]; a draw with a NaN has no interval.
      truth: the planted value, or None.

    Returns:
      defined (share of draws with an interval), mean, of_expectation and of_truth
      (shares of those intervals; None without any, or without a truth).

    Example:
      >>> drawn = np.random.default_rng(0).normal(size=(2000, 8))
      >>> round(cover(drawn, truth=0.0)["of_truth"], 2)
      0.95
    """
    differ = np.ptp(contributions, axis=1) > 1e-12
    defined = differ & np.isfinite(contributions).all(1)
    kept = contributions[defined]
    found = {"defined": float(defined.mean()), "mean": None}
    found |= {"of_expectation": None, "of_truth": None}
    if not len(kept):
        return found
    quantile = float(scipy.stats.t.ppf(0.975, kept.shape[1] - 1))
    value = kept.mean(1)
    half = quantile * kept.std(1, ddof=1) / kept.shape[1] ** 0.5
    found["mean"] = float(value.mean())
    found["of_expectation"] = float((abs(value - value.mean()) <= half).mean())
    if truth is not None:
        found["of_truth"] = float((abs(value - truth) <= half).mean())
    return found
