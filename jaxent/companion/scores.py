"""What each predictor says of each companion, and how training judges it."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import scipy  # scipy.stats is loaded at its first use: it takes seconds

from jaxent.stats import proportions


@dataclasses.dataclass(frozen=True)
class Axes:
    """A companion on both axes; lists hold one value a seed.

    Attributes:
      ct: symmetric crosstalk with the target, of the drop of recall margin on training
        texts.
      cosine: of the mean gradients at the initial adapter.
      alignment: cosine / sqrt(r_target r_companion), with r the reliability of each
        mean gradient (from its halves); None where one is not positive.
      drop: held-out loss of the target (nats a token) before a few steps on the
        companion alone, minus after them.
    """

    ct: float
    cosine: list[float]
    alignment: list[float | None]
    drop: list[float]


def score_companions(
    axes: dict[str, Axes], companions: Sequence[str]
) -> dict[str, dict[str, float]]:
    """What each predictor says of each companion: higher is better.

    "two axes" is the mean z of alignment and drop, minus the z of crosstalk, over the
    companions; no weight is fitted. Means are over the seeds in which a value is
    defined.

    Args:
      axes: by domain.
      companions: those that are compared.

    Returns:
      {predictor: {companion: score}}. A score is NaN where its value is defined in no
      seed; the score of "two axes" is then NaN for every companion.

    Example:
      >>> axes = {
      ...     "math": Axes(0.1, [0.2], [0.4], [0.1]),
      ...     "fiction": Axes(0.3, [0.1], [0.2], [0.0]),
      ... }
      >>> score_companions(axes, ("math", "fiction"))["two axes"]
      {'math': 2.0, 'fiction': -2.0}
    """
    measured = {
        "crosstalk": [-axes[c].ct for c in companions],
        "alignment": [_mean_of_defined(axes[c].alignment) for c in companions],
        "drop": [_mean_of_defined(axes[c].drop) for c in companions],
    }
    z = {
        name: scipy.stats.zscore(values) if np.ptp(values) else np.zeros(len(values))
        for name, values in measured.items()
    }
    measured["two axes"] = ((z["alignment"] + z["drop"]) / 2 + z["crosstalk"]).tolist()
    return {name: dict(zip(companions, values)) for name, values in measured.items()}


def _mean_of_defined(values: Sequence[float | None]) -> float:
    """Mean of the values that are not None; NaN without any."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else math.nan


def judge_predictor(
    predicted: dict[str, float], worse: dict[str, list[float]]
) -> dict[str, int | float | None]:
    """How a predictor orders what was measured.

    Args:
      predicted: score of each companion, higher is better; a companion whose score is
        NaN is left out.
      worse: measured rises of held-out loss of each companion, one a seed.

    Returns:
      right: how many of the `pairs` of companions have their mean rises in the
      predicted order; clear_right: the same of the clear_pairs, which all seeds order
      alike. rho: Spearman's between prediction and minus the mean rise, with its exact
      p; both are None for fewer than three companions.

    Example:
      >>> verdict = judge_predictor({"a": 2.0, "b": 1.0}, {"a": [0.1], "b": [0.3]})
      >>> verdict["right"], verdict["pairs"]
      (1, 1)
    """
    scores = {c: score for c, score in predicted.items() if not math.isnan(score)}
    right = pairs = clear_right = clear_pairs = 0
    for a, b in itertools.combinations(scores, 2):
        difference = np.subtract(worse[b], worse[a])
        is_right = int((scores[a] - scores[b]) * difference.mean() > 0)
        right, pairs = right + is_right, pairs + 1
        seeds_agree = np.all(difference > 0) or np.all(difference < 0)
        if len(difference) > 1 and seeds_agree:
            clear_right, clear_pairs = clear_right + is_right, clear_pairs + 1
    ranks = None
    if len(scores) > 2:
        mean_gain = [-np.mean(worse[c]) for c in scores]
        ranks = proportions.spearman(list(scores.values()), mean_gain)
    return {
        "right": right,
        "pairs": pairs,
        "clear_right": clear_right,
        "clear_pairs": clear_pairs,
        "rho": None if ranks is None else ranks.rho,
        "p": None if ranks is None else ranks.p,
    }
