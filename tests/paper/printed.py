"""Checks of one printed number against what other printed numbers give."""

import dataclasses
import math

from jaxent.paper import quotes
from jaxent.paper import tables as paper_tables

T = {t.id: t for t in paper_tables.TABLES}
Q = {q.id: q.value for q in quotes.QUOTES}
COUNTS = {
    row.key["condition"]: row.values["he_plus_passes"] for row in paper_tables.T9.rows
}


@dataclasses.dataclass(frozen=True)
class Check:
    """One printed number against its recomputation (expected None: no number)."""

    where: str
    column: str
    key: frozenset
    agrees: bool
    expected: float | None = None

    @property
    def cell(self):
        return self.where, self.column, self.key


def cell(table, row, column, agrees, expected=None):
    return Check(table.id, column, frozenset(row.key.items()), bool(agrees), expected)


def text(id, agrees, expected=None):
    return Check(id, "", frozenset(), bool(agrees), expected)


def half(digits):
    """Half a unit of the last printed digit, with room for binary fractions."""
    return 0.5 * 10.0**-digits + 1e-12


def equal(a, b):
    return math.isclose(a, b, rel_tol=0, abs_tol=1e-9)
