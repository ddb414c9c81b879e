"""Published figures and statements that do not agree with the rest of the paper.

The data is in errata.json, each entry with its reason. `tests/paper/test_errata.py`
recomputes what the printed numbers allow and requires that exactly these disagree.
"""

import dataclasses
import pathlib
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from jaxent import json_files

_FILE = pathlib.Path(__file__).with_name("errata.json")
_NO_KEY: Mapping[str, Any] = types.MappingProxyType({})

Kind = Literal["arithmetic", "conflict", "impossible", "words"]
"""Why something cannot be right.

arithmetic: other printed numbers give another value.
conflict: the same quantity is printed with another value elsewhere.
impossible: the procedure described cannot give it.
words: a sentence or caption contradicts the numbers.
"""


@dataclasses.dataclass(frozen=True)
class Erratum:
    """One disagreement.

    Attributes:
      where: id of a table ("T9"), number of the text ("z_b2_b3") or claim
        ("creative_worst").
      column: a column's id, "n", or the id with ".sd" for its SD; "" for a caption,
        a number of the text or a claim.
      key: the rows whose key holds all of it; all rows, if empty.
      kind: why it cannot be right.
      reason: the same in a sentence or two.
      expected: the recomputed value in the printed unit, None where there is none.
    """

    where: str
    column: str
    key: Mapping[str, Any]
    kind: Kind
    reason: str
    expected: float | None = None


def _parse_errata(content: Mapping) -> Iterator[Erratum]:
    """An entry of errata.json: one `Erratum` for each of its keys."""
    for key in content.get("keys", [{}]):
        yield Erratum(
            content["where"],
            content.get("column", ""),
            types.MappingProxyType(key),
            content["kind"],
            content["reason"],
            content.get("expected"),
        )


ERRATA = tuple(
    erratum
    for content in json_files.read_json(_FILE, list)
    for erratum in _parse_errata(content)
)


def errata_at(
    where: str, column: str = "", key: Mapping[str, Any] = _NO_KEY
) -> tuple[Erratum, ...]:
    """Lists the errata of one printed thing.

    Args:
      where: id of a table, number of the text or claim.
      column: of a cell, its column; "" for a caption, number or claim.
      key: of a cell, its row's key.

    Returns:
      The errata, in the order of errata.json.

    Example:
      >>> [erratum.expected for erratum in errata_at("z_b2_b3")]
      [2.12]
    """
    return tuple(
        erratum
        for erratum in ERRATA
        if erratum.where == where
        and erratum.column == column
        and key.items() >= erratum.key.items()
    )
