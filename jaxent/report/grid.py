"""Tables ready to be written: published and measured side by side, or measured only. `render` writes them.

A cell says what it is (published, measured, not run, undefined), so that no form of a table can show a missing run as a number.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from jaxent.paper import errata
from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report import values as table_values

NOT_RUN, UNDEFINED, NOTHING = "not run", "undefined", "–"
_UNMEASURED = {
    "T1": {"code", "math", "nl", "creative", "rationale"},
    "T10": {"interpretation"},
}  # columns that are not of a quantity


@dataclasses.dataclass(frozen=True)
class Head:
    """A column's heading: the quantity, and which side it is of (published, measured, or "" for keys)."""

    title: str
    side: str = ""

    @property
    def text(self) -> str:
        return f"{self.title}, {self.side}" if self.side else self.title


@dataclasses.dataclass(frozen=True)
class Cell:
    """text, its kind (key, published, measured, missing, undefined, nothing), an interval to print smaller, numbers of footnotes."""

    text: str
    kind: str
    interval: str = ""
    notes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Grid:
    """A table: rows of cells under heads; notes, the first of them footnote 1; facts, its values as flat records (the CSV).

    titled: the footnotes of the caption.
    """

    id: str
    title: str
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]
    facts: tuple[Mapping, ...]
    titled: tuple[int, ...] = ()

    @property
    def found(self) -> bool:
        """Whether anything in it was measured."""
        return any(fact["status"] == "measured" for fact in self.facts)


class _Notes:
    """Footnotes in the order they are first asked for; marks of one reason share a note, which lists what each cell should say."""

    def __init__(self):
        self._expected: dict[str, dict[tuple[str, str], str]] = {}

    def number(self, text: str) -> int:
        self._expected.setdefault(text, {})
        return list(self._expected).index(text) + 1

    def of_marks(
        self,
        found: Iterable[errata.Erratum],
        cell: str = "",
        column: paper_tables.Column | None = None,
    ) -> tuple[int, ...]:
        """The notes of a cell's marks; cell: the row in words, column: whose decimals what is expected gets."""
        numbers = []
        for mark in found:
            text = f"{mark.kind.capitalize()}: {mark.reason}"
            numbers.append(self.number(text))
            if mark.expected is not None:
                expected = (
                    column.text(mark.expected) if column else f"{mark.expected:g}"
                )
                title = column.title if column else ""
                self._expected[text][
                    cell, f"{title} SD" if mark.column.endswith(".sd") else title
                ] = expected
        return tuple(dict.fromkeys(numbers))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(text + self._listed(of) for text, of in self._expected.items())

    @staticmethod
    def _listed(expected: Mapping[tuple[str, str], str]) -> str:
        if len(set(expected.values())) < 2:
            return f" Expected {next(iter(expected.values()))}." if expected else ""
        parts = [
            len({key[i] for key in expected}) > 1 for i in (0, 1)
        ]  # what tells the cells apart: the row, the column
        of = lambda key: ", ".join(word for word, differs in zip(key, parts) if differs)
        return f" Expected: {'; '.join(f'{value} ({of(key)})' for key, value in expected.items())}."


def reason(mark: errata.Erratum) -> str:
    """A mark in one sentence or two, its kind first."""
    expected = "" if mark.expected is None else f" Expected {mark.expected:g}."
    return f"{mark.kind.capitalize()}: {mark.reason}{expected}"


def published(table: paper_tables.Table, measured: table_values.Rows) -> Grid:
    """A table of the paper with what was measured beside it; runs of its kind that the paper has not follow below its rows."""
    extra = _extra(table, measured)
    keys = [row.key for row in table.rows] + [key for key, _ in extra]
    names = [
        n for n in table.rows[0].key if len({str(k.get(n)) for k in keys}) > 1
    ] or [next(iter(table.rows[0].key))]
    printed = any(row.n is not None for row in table.rows)
    counted = printed or any(
        (v.n or 0) > 1
        for _, values in measured
        for c in table.columns
        if (v := values.get(c.id))
    )
    ours = [c for c in table.columns if c.id not in _UNMEASURED.get(table.id, ())]
    heads = [Head(n) for n in names] + (
        [Head("n", "published"), Head("n", "measured")]
        if printed
        else [Head("n, measured")] * counted
    )
    for column in table.columns:
        heads += [
            Head(_title(column), s)
            for s in ("published", "measured")[: 1 + (column in ours)]
        ]
    notes, rows, facts = _Notes(), [], []
    titled = notes.of_marks(errata.errata_at(table.id)) + (
        (notes.number(table.remark),) if table.remark else ()
    )
    pairs = [(row.key, row, _belonging(row.key, measured)) for row in table.rows] + [
        (key, None, values) for key, values in extra
    ]
    for key, row, values in pairs:
        line = [Cell(_key_text(key[n]), "key") for n in names]
        if printed:
            marked = (
                notes.of_marks(errata.errata_at(table.id, "n", row.key)) if row else ()
            )
            line.append(
                Cell(str(row.n), "published", notes=marked)
                if row
                else Cell(NOTHING, "nothing")
            )
        if counted:
            line.append(_number(values))
        for column in table.columns:
            line.append(_printed(table, row, column, notes, names))
            if column in ours:
                line.append(_own(column, row, values, notes))
                facts.append(_fact(table.id, key, column, row, values))
        rows.append(tuple(line))
    return Grid(
        table.id,
        f"Table {table.id[1:]}",
        f"{table.caption} (section {table.section})",
        tuple(heads),
        tuple(rows),
        notes.texts,
        tuple(facts),
        titled,
    )


def measured(
    id: str,
    title: str,
    caption: str,
    columns: Sequence[paper_tables.Column],
    rows: table_values.Rows,
) -> Grid:
    """A table of measured values only, a row a key; keys that no row has are left out, quantities that none has as well."""
    names = list(dict.fromkeys(n for key, _ in rows for n in key))
    shown = [c for c in columns if any(c.id in values for _, values in rows)]
    notes, lines, facts = _Notes(), [], []
    for key, values in rows:
        line = [
            Cell(_key_text(key[n]), "key") if n in key else Cell(NOTHING, "nothing")
            for n in names
        ] + [_number(values)]
        line += [_own(c, None, values, notes, absent=NOTHING) for c in shown]
        facts += [_fact(id, key, c, None, values) for c in shown]
        lines.append(tuple(line))
    heads = [Head(n) for n in names] + [Head("n")] + [Head(_title(c)) for c in shown]
    return Grid(
        id, title, caption, tuple(heads), tuple(lines), notes.texts, tuple(facts)
    )


def _belonging(
    wanted: Mapping, measured: table_values.Rows
) -> Mapping[str, table_values.Value]:
    return next((values for key, values in measured if match.matches(wanted, key)), {})


def _extra(table: paper_tables.Table, measured: table_values.Rows) -> table_values.Rows:
    """Measured rows of the table's kind without a published one: other seeds of its models, other conditions of its study."""
    first = table.rows[0].key
    of = lambda n: {row.key[n] for row in table.rows}
    fixed = {n: v for n, v in first.items() if len(of(n)) == 1 and n != "seed"}
    fits = lambda key: (
        all(key.get(n) == v for n, v in fixed.items())
        and all(n in key for n in first)
        and key.get("model") in of("model")
    )
    mine = lambda key: any(match.matches(row.key, key) for row in table.rows)
    if "model" not in first or table.id in ("T4", "T8", "T12", "T13"):
        return []
    fits_too = lambda key: "lambda" in first or match.matches({}, key)
    return [
        (k, v)
        for k, v in measured
        if fits(k)
        and fits_too(k)
        and not mine(k)
        and set(v) & {c.id for c in table.columns}
    ]


def _title(column: paper_tables.Column) -> str:
    return (
        f"{column.title} ({column.unit})"
        if column.unit in ("%", "points")
        else column.title
    )


def _key_text(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _printed(
    table: paper_tables.Table,
    row: paper_tables.Row | None,
    column: paper_tables.Column,
    notes: _Notes,
    names: Sequence[str],
) -> Cell:
    if row is None or row.values[column.id] is None:
        return Cell(NOTHING, "nothing")
    found = [
        m
        for c in (column.id, f"{column.id}.sd")
        for m in errata.errata_at(table.id, c, row.key)
    ]
    cell = " ".join(_key_text(row.key[n]) for n in names)
    return Cell(
        _as_printed(column, row.values[column.id], row.sd.get(column.id)),
        "published",
        notes=notes.of_marks(found, cell, column),
    )


def _as_printed(column: paper_tables.Column, value, sd) -> str:
    """Where decimals vary: three or, where that is not enough, as many as there are."""
    if column.digits is not None or isinstance(value, str):
        return column.text(value, sd)
    return (
        f"{value:.3f}"
        if round(value, 3) == value and value
        else f"{value:.6f}".rstrip("0")
        if value
        else "0.000000"
    )


def _own(
    column: paper_tables.Column,
    row: paper_tables.Row | None,
    values: Mapping,
    notes: _Notes,
    absent: str = NOT_RUN,
) -> Cell:
    value = values.get(column.id)
    if value is None:
        unprinted = row is not None and row.values[column.id] is None
        return (
            Cell(NOTHING, "nothing")
            if unprinted or absent == NOTHING
            else Cell(absent, "missing")
        )
    why = (
        ()
        if value.why is None
        else (notes.number(value.why[0].upper() + value.why[1:] + "."),)
    )
    if value.mean is None:
        return Cell(UNDEFINED, "undefined", notes=why)
    ends = (
        f"[{number(column, value.low)}, {number(column, value.high)}]"
        if value.low is not None
        else ""
    )
    sd = f" ± {number(column, value.sd)}" if value.sd is not None else ""
    return Cell(number(column, value.mean) + sd, "measured", ends, why)


def number(column: paper_tables.Column, value) -> str:
    """As the paper prints the column (three significant digits where they vary), but never 0 for what is only small."""
    if isinstance(value, float) and abs(value) < 1e-12:
        value = 0.0  # what rounding leaves of 0
    text = (
        f"{value:.3g}"
        if column.digits is None and not isinstance(value, str)
        else column.text(value)
    )
    if isinstance(value, str) or not value or float(text):
        return text
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.2g}"


def _number(values: Mapping[str, table_values.Value]) -> Cell:
    found = [v.n for v in values.values() if v.n]
    if not values:
        return Cell(NOT_RUN, "missing")
    return Cell(str(max(found)), "measured") if found else Cell(NOTHING, "nothing")


def _fact(
    id: str,
    key: Mapping,
    column: paper_tables.Column,
    row: paper_tables.Row | None,
    values: Mapping,
) -> dict:
    value = values.get(column.id)
    status = (
        "not run"
        if value is None
        else "undefined"
        if value.mean is None
        else "measured"
    )
    if value is None and (row is None or row.values[column.id] is None):
        status = "not applicable"
    found = (
        []
        if row is None
        else [
            m
            for c in (column.id, f"{column.id}.sd")
            for m in errata.errata_at(id, c, row.key)
        ]
    )
    own = {
        f"measured_{n}": getattr(value, n, None)
        for n in ("sd", "n", "low", "high", "sets")
    }
    return {
        "table": id,
        "key": "; ".join(f"{n}={_key_text(v)}" for n, v in key.items()),
        "column": column.id,
        "published": row and row.values[column.id],
        "published_sd": row and row.sd.get(column.id),
        "published_n": row and row.n,
        "published_mark": " ".join(map(reason, found)),
        "status": status,
        "measured": getattr(value, "mean", None),
        **own,
        "reason": getattr(value, "why", None),
    }
