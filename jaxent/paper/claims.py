"""What the paper claims, and which test decides each claim.

The data is in claims.json. `jaxent.report.verdicts` decides.
"""

import dataclasses
import enum
import pathlib
import types
from collections.abc import Mapping
from typing import Any

from jaxent import json_files

_FILE = pathlib.Path(__file__).with_name("claims.json")


class Test(enum.StrEnum):
    """What must hold of the claim's metric over its runs.

    A run without a seed stands for the mean over its seeds.
    """

    __test__ = False  # no pytest class

    DECREASING = "decreasing"
    """Each run's value is below the run's before it."""
    LEAST = "least"
    """The first run's value is the lowest."""
    MOST = "most"
    """The first run's value is the highest."""
    GREATER = "greater"
    """The first run's value exceeds the second's, and so does `other`'s, if any.

    Where there are outcomes of single problems, they are compared.
    """
    LESS = "less"
    """The first run's value is below the second's; likewise."""
    RATIO = "ratio"
    """The first run's value over the second's is at least `bound`."""
    ZERO = "zero"
    """The value is 0 in every seed of every run."""
    SOME_ABOVE_ZERO = "some above zero"
    """The value is above 0 in a seed of every run."""
    EQUIVALENT = "equivalent"
    """The values of any two runs differ by less than `bound`."""
    SPREAD_BELOW = "spread below"
    """The SD over seeds is below `bound` in every run."""
    FALLS = "falls"
    """The value after is below the value before in every run."""
    RISES = "rises"
    """The value after is above the value before in every run."""
    UNCHANGED = "unchanged"
    """The value after is within `bound` of the value before in every run."""
    ANTICORRELATED = "anticorrelated"
    """The rank correlation with `other` over the runs is negative."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
      id: its name here.
      statement: in our words.
      sections: where the paper makes it.
      tables: the tables behind it.
      metric: id of the quantity: a column of the tables, or one that a verdict must
        derive (`derived`).
      test: what must hold.
      runs: keys, in the order in which the test reads them.
      bound: the test's number in the metric's unit. It is ours, except for
        lambda_robust, where the paper states it.
      other: id of a second metric, if any.
      derived: whether the metric is no column of the tables.
    """

    id: str
    statement: str
    sections: tuple[str, ...]
    tables: tuple[str, ...]
    metric: str
    test: Test
    runs: tuple[Mapping[str, Any], ...]
    bound: float | None = None
    other: str | None = None
    derived: bool = False


def _parse_claim(content: Mapping) -> Claim:
    parsed = {
        "sections": tuple(content["sections"]),
        "tables": tuple(content["tables"]),
        "test": Test(content["test"]),
        "runs": tuple(map(types.MappingProxyType, content["runs"])),
    }
    return Claim(**{**content, **parsed})


CLAIMS = tuple(map(_parse_claim, json_files.read_json(_FILE, list)))


def find_claim(id: str) -> Claim:
    """Looks a claim up.

    Args:
      id: its id.

    Returns:
      The claim.

    Raises:
      KeyError: there is none of that id; names the ones there are.

    Example:
      >>> find_claim("lambda_robust").bound
      0.01
    """
    for claim in CLAIMS:
        if claim.id == id:
            return claim
    known = ", ".join(claim.id for claim in CLAIMS)
    raise KeyError(f"no claim {id!r}: there are {known}")
