"""How check_equivalence judges: both frameworks' float32 against float64."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

RATIO = 2.0
"""How much further from float64 than the other framework a result may be."""

ROUNDING = 2.0**-22
"""A distance of two float32 roundings, below which the ratio says nothing."""

HEADER = (
    f"{'check':<32} {'against':<13} {'difference':>10} {'ours to':>9} "
    f"{'theirs to':>9} {'bound':>9}\n{'':<56} {'float64':>9} {'float64':>9}"
)


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison with another framework.

    Attributes:
      name: what was compared.
      against: the other framework.
      difference: distance of the two frameworks' results.
      bound: the largest distance from float64 that passes; where there is no float64
        reference, the largest difference.
      ours: distance of jaxent's float32 result from float64; None without a reference.
      theirs: the other framework's.

    Example:
      >>> Check("logits", "transformers", 3e-6, 1e-4, ours=2e-6, theirs=1.5e-6).passed
      True
      >>> Check("logits", "transformers", 3e-6, 1e-4, ours=4e-6, theirs=1.5e-6).passed
      False
    """

    name: str
    against: str
    difference: float
    bound: float
    ours: float | None = None
    theirs: float | None = None

    @property
    def passed(self) -> bool:
        """Whether ours is within the bound and about as exact as theirs.

        About: at most `RATIO` times as far from float64, or within `ROUNDING` of it.
        Without a reference the difference has to be within the bound. False for NaN.
        """
        if self.ours is None or self.theirs is None:
            return self.difference <= self.bound
        allowed = max(RATIO * self.theirs, ROUNDING)
        return self.ours <= self.bound and self.ours <= allowed

    def __str__(self):
        distances = (self.difference, self.ours, self.theirs, self.bound)
        difference, ours, theirs, bound = map(_format, distances)
        verdict = "PASS" if self.passed else "FAIL"
        return (
            f"{self.name:<32} {self.against:<13} {difference:>10} {ours:>9} "
            f"{theirs:>9} {bound:>9}  {verdict}"
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
    distance: Callable[[Any, Any], float],
    results: tuple[Any, Any, Any],
    bound: float,
) -> Check:
    """The check of two results against their reference.

    Args:
      name: what is compared.
      against: the other framework.
      distance: of a result from the one it is compared with.
      results: ours and theirs, both of float32, and the reference of float64.
      bound: the largest distance that passes.

    Example:
      >>> compare("x", "torch", relative, ([1.1], [0.9], [1.0]), 0.2).passed
      True
    """
    ours, theirs, reference = results
    return Check(
        name,
        against,
        distance(ours, theirs),
        bound,
        distance(ours, reference),
        distance(theirs, reference),
    )


def relative(actual, expected) -> float:
    """max |actual - expected| / max |expected|."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def elementwise_relative(actual, expected) -> float:
    """max |actual / expected - 1|."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(actual / expected - 1).max())


def tree_relative(actual, expected) -> float:
    """Largest relative L2 difference over the arrays of two trees of one structure.

    Args:
      actual: an adapter, its factors, or a gradient in them.
      expected: the same, or the same without the adapter's configuration.
    """
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    return max(_norm_of_gap(x, y) for x, y in pairs)


def _norm_of_gap(x, y) -> float:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return float(np.linalg.norm(x - y) / max(np.linalg.norm(y), 1e-30))


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
