"""How far activations drifted from the base model's, inside and outside a subspace."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Drift:
    """Mean squared drift over mean |h0|^2; total = inside + outside.

    Attributes:
      total: in all directions.
      inside: in the subspace.
      outside: in its complement, on which CSR's penalty acts.
      dimensions: of the subspace.
    """

    total: float
    inside: float
    outside: float
    dimensions: int


def measure_drift(h: np.ndarray, base: np.ndarray, basis: np.ndarray) -> Drift:
    """Drift of activations from the base model's.

    total = mean |h - h0|^2 / mean |h0|^2, and inside = mean |S'(h - h0)|^2 over the
    same, in float64.

    Args:
      h: activations [N, D].
      base: the base model's activations h0 [N, D].
      basis: orthonormal basis S [D, p] of the subspace.

    Returns:
      The drift.

    Example:
      >>> base = np.array([[1.0, 0.0], [0.0, 1.0]])
      >>> drift = measure_drift(base + [[0.5, 1.0]], base, np.array([[1.0], [0.0]]))
      >>> drift
      Drift(total=1.25, inside=0.25, outside=1.0, dimensions=1)
    """
    moved, size = np.float64(h) - base, (np.float64(base) ** 2).sum()
    coordinates = moved @ basis
    total = (moved**2).sum() / size
    inside = (coordinates**2).sum() / size
    outside = ((moved - coordinates @ basis.T) ** 2).sum() / size
    return Drift(float(total), float(inside), float(outside), basis.shape[1])
