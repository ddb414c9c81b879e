"""Noise of several shapes, for activations whose structure is known."""

import types
from collections.abc import Callable, Mapping

import numpy as np

from jaxent.measure import concepts

_MASSIVE_AXES, _MASSIVE_SD = 3, 10.0
_ELLIPTICAL_DF = 2.5
_SPREADS = (0.5, 1.5)  # the least and the largest SD of a class, before scaling


def gauss(labels: concepts.Labels, d: int, rng: np.random.Generator) -> np.ndarray:
    """Independent normal noise [N, d] of variance 1.

    Args:
      labels: of the N probes.
      d: dimensions.
      rng: draws it.

    Returns:
      [N, d].
    """
    return rng.normal(size=(len(labels.codes), d))


def student(labels: concepts.Labels, d: int, rng: np.random.Generator) -> np.ndarray:
    """Independent noise [N, d] of Student's t with 3 degrees of freedom, variance 1.

    Args:
      labels: of the N probes.
      d: dimensions.
      rng: draws it.

    Returns:
      [N, d].
    """
    return rng.standard_t(3, size=(len(labels.codes), d)) / 3**0.5


def elliptical(labels: concepts.Labels, d: int, rng: np.random.Generator) -> np.ndarray:
    """A multivariate t of 2.5 degrees of freedom, variance 1: some probes are outliers.

    Args:
      labels: of the N probes.
      d: dimensions.
      rng: draws it.

    Returns:
      [N, d]; a row is normal noise times one number.
    """
    n, df = len(labels.codes), _ELLIPTICAL_DF
    scale = np.sqrt((df - 2) / rng.chisquare(df, size=(n, 1)))
    return scale * rng.normal(size=(n, d))


def heteroscedastic(
    labels: concepts.Labels, d: int, rng: np.random.Generator
) -> np.ndarray:
    """Normal noise whose SD depends on the class of the first concept.

    Args:
      labels: of the N probes.
      d: dimensions.
      rng: draws it.

    Returns:
      [N, d], of mean variance 1 over balanced classes; the last class has three times
      the SD of the first.
    """
    spreads = np.linspace(*_SPREADS, labels.sizes[0])
    spreads = spreads / np.sqrt((spreads**2).mean())
    return spreads[labels.codes[:, :1]] * gauss(labels, d, rng)


def massive(labels: concepts.Labels, d: int, rng: np.random.Generator) -> np.ndarray:
    """Normal noise with three dimensions of ten times the SD, as language models have.

    Args:
      labels: of the N probes.
      d: dimensions.
      rng: draws it.

    Returns:
      [N, d], of variance 100 along the first three axes and 1 along the others.
    """
    noise = gauss(labels, d, rng)
    noise[:, :_MASSIVE_AXES] *= _MASSIVE_SD
    return noise


Noise = Callable[[concepts.Labels, int, np.random.Generator], np.ndarray]

KINDS: Mapping[str, Noise] = types.MappingProxyType(
    {
        "Gauss": gauss,
        "t, 3 df": student,
        "elliptical t, 2.5 df": elliptical,
        "heteroscedastic": heteroscedastic,
        "three massive dimensions": massive,
    }
)
"""Every shape by its title."""
