"""How check_equivalence judges: both frameworks' float32 against float64.

A result has many parts: the logits of each position, a factor's gradient in each layer,
the loss of each step. The median over the parts of the distance from float64 says whose
rounding is larger. The maximum does not: where large numbers cancel it is one rounding
error, and the ratio of two of those may be anything. It has a bound of its own.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

RATIO = 2.0
"""How much further from float64 than the other framework's our median may be."""

ROUNDING = 2.0**-22
"""A distance of two float32 roundings, below which the ratio says nothing."""

HEADER = (
    f"{'check':<32} {'against':<13} {'difference':>10} {'ours to':>9} "
    f"{'theirs to':>9} {'ours at':>9} {'bound':>9}\n"
    f"{'':<56} {'float64':>9} {'float64':>9} {'worst':>9}"
)


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison with another framework.

    Attributes:
      name: what was compared.
      against: the other framework.
      difference: largest distance of the two frameworks' results.
      bound: the largest distance from float64 that passes; where there is no float64
        reference, the largest difference.
      ours: median distance of jaxent's float32 result from float64; None without a
        reference.
      theirs: the other framework's.
      worst: our largest.

    Example:
      >>> Check("logits", "torch", 3e-6, 1e-4, 2e-6, 1.5e-6, worst=9e-6).passed
      True
      >>> Check("logits", "torch", 3e-6, 1e-4, 4e-6, 1.5e-6, worst=9e-6).passed
      False
    """

    name: str
    against: str
    difference: float
    bound: float
    ours: float | None = None
    theirs: float | None = None
    worst: float | None = None

    @property
    def passed(self) -> bool:
        """Whether ours is within the bound and about as exact as theirs.

        About: a median at most `RATIO` times as far from float64, or within `ROUNDING`
        of it. Without a reference the difference has to be within the bound. False for
        NaN.
        """
        if self.ours is None or self.theirs is None or self.worst is None:
            return self.difference <= self.bound
        allowed = max(RATIO * self.theirs, ROUNDING)
        return self.worst <= self.bound and self.ours <= allowed

    def __str__(self):
        distances = (self.difference, self.ours, self.theirs, self.worst, self.bound)
        difference, ours, theirs, worst, bound = map(_format, distances)
        verdict = "PASS" if self.passed else "FAIL"
        return (
            f"{self.name:<32} {self.against:<13} {difference:>10} {ours:>9} "
            f"{theirs:>9} {worst:>9} {bound:>9}  {verdict}"
        )

    def to_json(self) -> dict[str, Any]:
        """The check as an object of equivalence.json."""
        return dataclasses.asdict(self) | {"passed": self.passed}


def _format(distance: float | None) -> str:
    if distance is None:
        return "-"
    return "0" if distance == 0 else f"{distance:.2e}"


def compare(
    name: str,
    against: str,
    distances: Callable[[Any, Any], np.ndarray],
    results: tuple[Any, Any, Any],
    bound: float,
) -> Check:
    """The check of two results against their reference.

    Args:
      name: what is compared.
      against: the other framework.
      distances: of a result's parts from those of the one it is compared with.
      results: ours and theirs, both of float32, and the reference of float64.
      bound: the largest distance that passes.

    Example:
      >>> compare("x", "torch", row_distances, ([[1.1]], [[0.9]], [[1.0]]), 0.2).passed
      True
    """
    ours, theirs, reference = results
    of_ours, of_theirs = distances(ours, reference), distances(theirs, reference)
    return Check(
        name,
        against,
        float(np.max(distances(ours, theirs))),
        bound,
        float(np.median(of_ours)),
        float(np.median(of_theirs)),
        float(np.max(of_ours)),
    )


def row_distances(actual, expected) -> np.ndarray:
    """|actual - expected| / |expected| of each row [..., D], in the L2 norm.

    Example:
      >>> row_distances([[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [2.0, 0.0]]).tolist()
      [0.0, 0.5]
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    gaps = np.linalg.norm(actual - expected, axis=-1)
    lengths = np.linalg.norm(expected, axis=-1)
    return (gaps / np.maximum(lengths, 1e-30)).reshape(-1)


def element_distances(actual, expected) -> np.ndarray:
    """|actual / expected - 1| of each element."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return np.abs(actual / expected - 1).reshape(-1)


def layer_distances(actual, expected) -> np.ndarray:
    """|actual - expected| / |expected| of every array of two trees, layer by layer.

    Args:
      actual: an adapter, its factors, or a gradient in them, [layers, ...] each.
      expected: the same, or the same without the adapter's configuration.

    Returns:
      One distance an array and layer, in the L2 norm.
    """
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    return np.concatenate([_of_layers(x, y) for x, y in pairs])


def _of_layers(x, y) -> np.ndarray:
    x, y = np.asarray(x), np.asarray(y)
    return row_distances(x.reshape(len(x), -1), y.reshape(len(y), -1))


def tree_relative(actual, expected) -> float:
    """Largest relative L2 difference over the arrays of two trees of one structure.

    Args:
      actual: an adapter, its factors, or a gradient in them.
      expected: the same, or the same without the adapter's configuration.
    """
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    gaps = [row_distances(np.ravel(x), np.ravel(y)) for x, y in pairs]
    return float(np.max(gaps))


def to_record(checks: Iterable[Check]) -> dict[str, Any]:
    """The part of equivalence.json that the checks decide.

    Example:
      >>> record = to_record([Check("NF4 codes", "bitsandbytes", 0, 0)])
      >>> record["passed"], record["checks"][0]["name"]
      (True, 'NF4 codes')
    """
    rows = [check.to_json() for check in checks]
    return {
        "passed": all(row["passed"] for row in rows),
        "ratio": RATIO,
        "rounding": ROUNDING,
        "checks": rows,
    }
