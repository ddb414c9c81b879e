"""A table as data: rows of cells below headings, with footnotes.

A cell says what it is (published, measured, not run, undefined), so that no form of a
table can show a missing run as a number. `tables` fills grids, `render` writes them.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping

from jaxent.paper import errata
from jaxent.paper import tables as paper_tables

NOTHING = "–"
_NUMBER = re.compile(r"-?[\d.]+(e[-+]?\d+)?( ± [\d.]+(e[-+]?\d+)?)?")


@dataclasses.dataclass(frozen=True)
class Head:
    """A column's heading.

    Attributes:
      title: the quantity, or a part of the rows' keys.
      side: "published" or "measured", or "" where a column is neither.
    """

    title: str
    side: str = ""

    @property
    def text(self) -> str:
        """Title and side on one line."""
        return f"{self.title}, {self.side}" if self.side else self.title


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
      text: what is written in it.
      kind: key, text, published, measured, missing, undefined, nothing, or the kind of
        a verdict.
      interval: an interval, which is printed smaller.
      notes: numbers of footnotes.
    """

    text: str
    kind: str
    interval: str = ""
    notes: tuple[int, ...] = ()

    @property
    def plain(self) -> str:
        """The text with its interval, on one line."""
        return f"{self.text} {self.interval}".strip().replace("\n", "; ")

    @property
    def is_value(self) -> bool:
        """Whether it holds a published or a measured value."""
        return self.kind in ("published", "measured")

    @property
    def is_number(self) -> bool:
        """Whether that value is a number, with or without a spread."""
        return self.is_value and bool(_NUMBER.fullmatch(self.text))


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
      id: its name in links and files.
      title: its heading.
      caption: what it shows.
      heads: one a column.
      rows: cells, as many a row as there are heads.
      notes: footnotes; the first has number 1.
      facts: its values as flat records, which become its CSV.
      titled: numbers of the caption's footnotes.
      folded: whether the page shows it only where a reader opens it.
    """

    id: str
    title: str
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    facts: tuple[Mapping, ...]
    titled: tuple[int, ...] = ()
    folded: bool = False

    @property
    def groups(self) -> list[list[int]]:
        """Columns below one heading: neighbours of one title."""
        by_title = itertools.groupby(
            range(len(self.heads)), key=lambda column: self.heads[column].title
        )
        return [list(columns) for _, columns in by_title]

    def has_numbers(self, column: int) -> bool:
        """Whether any cell of a column is a number."""
        return any(row[column].is_number for row in self.rows)

    def has_words(self, column: int) -> bool:
        """Whether any value of a column is no number."""
        cells = [row[column] for row in self.rows]
        return any(cell.is_value and not cell.is_number for cell in cells)


class Footnotes:
    """Footnotes in the order in which they are first asked for.

    Example:
      >>> notes = Footnotes()
      >>> [notes.number(text) for text in ("Undefined.", "Rounded.", "Undefined.")]
      [1, 2, 1]
      >>> notes.texts
      ('Undefined.', 'Rounded.')
    """

    def __init__(self):
        # By text, the values that an erratum expects, by (row, column) in words.
        self._expected: dict[str, dict[tuple[str, str], str]] = {}

    def number(self, text: str) -> int:
        """The number of the footnote with that text, which is added if it is new."""
        self._expected.setdefault(text, {})
        return list(self._expected).index(text) + 1

    def of_errata(
        self,
        marks: Iterable[errata.Erratum],
        row: str = "",
        column: paper_tables.Column | None = None,
    ) -> tuple[int, ...]:
        """The numbers of the footnotes on a cell; errata of one reason share one.

        Args:
          marks: the errata of the cell.
          row: the cell's row in words.
          column: the cell's column, whose decimals the expected values get.

        Returns:
          The numbers, each once.
        """
        numbers = []
        for erratum in marks:
            text = f"{erratum.kind.capitalize()}: {erratum.reason}"
            numbers.append(self.number(text))
            if erratum.expected is not None:
                cell = (row, _column_name(erratum, column))
                self._expected[text][cell] = _expected_text(erratum, column)
        return tuple(dict.fromkeys(numbers))

    @property
    def texts(self) -> tuple[str, ...]:
        """All footnotes, each with the values expected in its cells."""
        return tuple(
            text + _list_expected(expected) for text, expected in self._expected.items()
        )


def _column_name(erratum: errata.Erratum, column: paper_tables.Column | None) -> str:
    title = column.title if column else ""
    return f"{title} SD" if erratum.column.endswith(".sd") else title


def _expected_text(erratum: errata.Erratum, column: paper_tables.Column | None) -> str:
    return column.text(erratum.expected) if column else f"{erratum.expected:g}"


def _list_expected(expected: Mapping[tuple[str, str], str]) -> str:
    """The expected values, each with what tells its cell from the others."""
    if not expected:
        return ""
    if len(set(expected.values())) == 1:
        return f" Expected {next(iter(expected.values()))}."
    rows_differ = len({row for row, _ in expected}) > 1
    columns_differ = len({column for _, column in expected}) > 1
    parts = []
    for (row, column), value in expected.items():
        names = [row] * rows_differ + [column] * columns_differ
        parts.append(f"{value} ({', '.join(names)})")
    return f" Expected: {'; '.join(parts)}."


def describe_erratum(erratum: errata.Erratum) -> str:
    """An erratum in one sentence or two, its kind first."""
    expected = "" if erratum.expected is None else f" Expected {erratum.expected:g}."
    return f"{erratum.kind.capitalize()}: {erratum.reason}{expected}"
