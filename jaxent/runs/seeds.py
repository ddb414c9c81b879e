"""Values over seeds: the one aggregation behind the terminal's tables and the page."""

import collections
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from jaxent.stats import intervals

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class SeedSummary:
    """One quantity over the seeds of a group of runs.

    Attributes:
      mean: over the seeds in which it is defined.
      sd: SD over them, n - 1 in the divisor; None for a single one.
      n: number of seeds in which it is defined.
      seeds: number of seeds in all.
    """

    mean: float
    sd: float | None
    n: int
    seeds: int

    @property
    def note(self) -> str | None:
        """What a reader has to know of it: in how many seeds it is undefined."""
        if self.n == self.seeds:
            return None
        return f"undefined in {self.seeds - self.n} of {self.seeds} seeds"


def over_seeds(values: Sequence[float | None]) -> SeedSummary | None:
    """Summarises one quantity over seeds.

    Args:
      values: one a seed, None where it is undefined.

    Returns:
      Mean and SD over the defined ones; None if there are none.

    Raises:
      ValueError: a value is not finite.

    Example:
      >>> over_seeds([1.0, 3.0, None])
      SeedSummary(mean=2.0, sd=1.4142135623730951, n=2, seeds=3)
    """
    defined = [value for value in values if value is not None]
    if not defined:
        return None
    summary = intervals.over_seeds(defined)
    sd = summary.sd if summary.n > 1 else None
    return SeedSummary(summary.mean, sd, summary.n, len(values))


def group_by(
    items: Iterable[Item], key: Callable[[Item], Key]
) -> dict[Key, list[Item]]:
    """Groups items with equal keys.

    Args:
      items: for instance runs.
      key: what runs of one group have in common.

    Returns:
      By key, the items in their order; keys in the order in which they first come.

    Example:
      >>> group_by([1, 2, 3], lambda number: number % 2)
      {1: [1, 3], 0: [2]}
    """
    groups: dict[Key, list[Item]] = collections.defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return dict(groups)
