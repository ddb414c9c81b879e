"""Tables of values: published and measured side by side, or measured only."""

from collections.abc import Mapping, Sequence

from jaxent.paper import errata
from jaxent.paper import tables as paper_tables
from jaxent.report import grid, match, sources
from jaxent.report import values as table_values

_NOT_QUANTITIES = {
    "T1": {"code", "math", "nl", "creative", "rationale"},
    "T10": {"interpretation"},
}  # columns that nothing can be measured for
_CLOSED = {"T4", "T8", "T12", "T13"}  # tables that get no further rows
_NOTHING = grid.Cell(grid.NOTHING, "nothing")
_NOT_RUN = grid.Cell("not run", "missing")


def published_tables(results: match.ResultSet) -> list[grid.Grid]:
    """The paper's Tables 1 to 14, published beside measured.

    Args:
      results: the results at the paper's models and settings.

    Returns:
      One grid a table, filled or not.
    """
    return [
        published(table, sources.SOURCES[table.id](results))
        for table in paper_tables.TABLES
    ]


def published(table: paper_tables.Table, rows: table_values.Rows) -> grid.Grid:
    """A table of the paper with what was measured beside it.

    Args:
      table: the published table.
      rows: what was measured, by key. Runs of the table's kind that it has no row for
        follow below its own rows.

    Returns:
      The grid. An erratum of a published value is a footnote on it.
    """
    further = _further_rows(table, rows)
    lines: list[tuple] = [(row.key, row, _values(row.key, rows)) for row in table.rows]
    lines += [(key, None, values) for key, values in further]
    names = _key_names(table, [key for key, _, _ in lines])
    printed = any(row.n is not None for row in table.rows)
    counted = printed or _has_several(table, rows)
    notes = grid.Footnotes()
    titled = notes.of_errata(errata.errata_at(table.id))
    if table.remark:
        titled += (notes.number(table.remark),)
    cells, facts = [], []
    for key, row, values in lines:
        line = [grid.Cell(_format_key(key[name]), "key") for name in names]
        if printed:
            line.append(_published_count(table, row, notes))
        if counted:
            line.append(_measured_count(values))
        for column in table.columns:
            line.append(_published_cell(table, row, column, notes, names))
            if _is_quantity(table, column):
                line.append(_measured_cell(column, row, values, notes))
                facts.append(_fact(table.id, key, column, row, values))
        cells.append(tuple(line))
    return grid.Grid(
        table.id,
        f"Table {table.id[1:]}",
        f"{table.caption} (section {table.section})",
        _heads(table, names, printed, counted),
        tuple(cells),
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
) -> grid.Grid:
    """A table of measured values only.

    Args:
      id: the table's name in links and files.
      title: its heading.
      caption: what it shows.
      columns: quantities; those that no row has are left out.
      rows: what was measured, by key.

    Returns:
      The grid: the parts of the keys, the number of seeds, then the quantities.
    """
    names = list(dict.fromkeys(name for key, _ in rows for name in key))
    shown = [c for c in columns if any(c.id in values for _, values in rows)]
    notes = grid.Footnotes()
    lines, facts = [], []
    for key, values in rows:
        line = [
            grid.Cell(_format_key(key[name]), "key") if name in key else _NOTHING
            for name in names
        ]
        line.append(_measured_count(values))
        for column in shown:
            value = values.get(column.id)
            line.append(_NOTHING if value is None else _cell(column, value, notes))
            facts.append(_fact(id, key, column, None, values))
        lines.append(tuple(line))
    heads = [grid.Head(name) for name in (*names, "n", *map(_title, shown))]
    return grid.Grid(
        id, title, caption, tuple(heads), tuple(lines), notes.texts, tuple(facts)
    )


def format_value(column: paper_tables.Column, value: float | str) -> str:
    """A measured value as the paper prints the column.

    Where the paper's decimals vary it gets three significant digits. A value that is
    only small is never printed as 0.

    Args:
      column: the column.
      value: the value, in the column's unit.

    Returns:
      The text.

    Example:
      >>> column = paper_tables.Column("sv_energy", "SV energy", digits=3)
      >>> [format_value(column, value) for value in (1.1, 4e-4, 3e-6, 0.0)]
      ['1.100', '0.0004', '3.0e-06', '0.000']
    """
    if isinstance(value, str):
        return column.text(value)
    if isinstance(value, float) and abs(value) < 1e-12:
        value = 0.0  # what rounding leaves of 0
    text = f"{value:.3g}" if column.digits is None else column.text(value)
    if not value or float(text):
        return text
    return f"{value:.1e}" if abs(value) < 1e-4 else f"{value:.2g}"


def _values(
    wanted: Mapping, rows: table_values.Rows
) -> Mapping[str, table_values.Value]:
    return next((values for key, values in rows if match.matches(wanted, key)), {})


def _further_rows(
    table: paper_tables.Table, rows: table_values.Rows
) -> table_values.Rows:
    """Rows of the table's kind that it does not have: other seeds, other conditions."""
    first = table.rows[0].key
    if "model" not in first or table.id in _CLOSED:
        return []
    printed = {name: {row.key[name] for row in table.rows} for name in first}
    fixed = {
        name: value
        for name, value in first.items()
        if len(printed[name]) == 1 and name != "seed"
    }

    def belongs(key: Mapping) -> bool:
        if any(key.get(name) != value for name, value in fixed.items()):
            return False
        if any(name not in key for name in first):
            return False
        if key["model"] not in printed["model"]:
            return False
        if "lambda" not in first and not match.matches({}, key):
            return False
        return not any(match.matches(row.key, key) for row in table.rows)

    ids = {column.id for column in table.columns}
    return [(key, values) for key, values in rows if belongs(key) and set(values) & ids]


def _key_names(table: paper_tables.Table, keys: Sequence[Mapping]) -> list[str]:
    """The parts of the keys that differ between rows, at least the first part."""
    names = list(table.rows[0].key)
    differing = [n for n in names if len({str(key.get(n)) for key in keys}) > 1]
    return differing or names[:1]


def _has_several(table: paper_tables.Table, rows: table_values.Rows) -> bool:
    """Whether any value of the table's quantities is a mean over several seeds."""
    found = [values.get(c.id) for _, values in rows for c in table.columns]
    return any(value and (value.n or 0) > 1 for value in found)


def _is_quantity(table: paper_tables.Table, column: paper_tables.Column) -> bool:
    return column.id not in _NOT_QUANTITIES.get(table.id, ())


def _heads(
    table: paper_tables.Table, names: Sequence[str], printed: bool, counted: bool
) -> tuple[grid.Head, ...]:
    heads = [grid.Head(name) for name in names]
    if printed:
        heads += [grid.Head("n", "published"), grid.Head("n", "measured")]
    elif counted:
        heads.append(grid.Head("n, measured"))
    for column in table.columns:
        heads.append(grid.Head(_title(column), "published"))
        if _is_quantity(table, column):
            heads.append(grid.Head(_title(column), "measured"))
    return tuple(heads)


def _title(column: paper_tables.Column) -> str:
    if column.unit in ("%", "points"):
        return f"{column.title} ({column.unit})"
    return column.title


def _format_key(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _published_count(
    table: paper_tables.Table, row: paper_tables.Row | None, notes: grid.Footnotes
) -> grid.Cell:
    if row is None:
        return _NOTHING
    marks = notes.of_errata(errata.errata_at(table.id, "n", row.key))
    return grid.Cell(str(row.n), "published", notes=marks)


def _measured_count(values: Mapping[str, table_values.Value]) -> grid.Cell:
    if not values:
        return _NOT_RUN
    numbers = [value.n for value in values.values() if value.n]
    return grid.Cell(str(max(numbers)), "measured") if numbers else _NOTHING


def _errata(table: str, column: str, row: paper_tables.Row) -> list[errata.Erratum]:
    """The errata of a published mean, then those of its SD."""
    of_mean = errata.errata_at(table, column, row.key)
    return [*of_mean, *errata.errata_at(table, f"{column}.sd", row.key)]


def _published_cell(
    table: paper_tables.Table,
    row: paper_tables.Row | None,
    column: paper_tables.Column,
    notes: grid.Footnotes,
    names: Sequence[str],
) -> grid.Cell:
    if row is None or row.values[column.id] is None:
        return _NOTHING
    in_words = " ".join(_format_key(row.key[name]) for name in names)
    marks = notes.of_errata(_errata(table.id, column.id, row), in_words, column)
    text = _as_printed(column, row.values[column.id], row.sd.get(column.id))
    return grid.Cell(text, "published", notes=marks)


def _as_printed(column: paper_tables.Column, value, sd) -> str:
    """Where decimals vary: three, or as many as there are if three are too few."""
    if column.digits is not None or isinstance(value, str):
        return column.text(value, sd)
    if not value:
        return "0.000000"
    if round(value, 3) == value:
        return f"{value:.3f}"
    return f"{value:.6f}".rstrip("0")


def _measured_cell(
    column: paper_tables.Column,
    row: paper_tables.Row | None,
    values: Mapping[str, table_values.Value],
    notes: grid.Footnotes,
) -> grid.Cell:
    """The measured value beside a published one; nothing where neither exists."""
    value = values.get(column.id)
    if value is not None:
        return _cell(column, value, notes)
    unprinted = row is not None and row.values[column.id] is None
    return _NOTHING if unprinted else _NOT_RUN


def _cell(
    column: paper_tables.Column, value: table_values.Value, notes: grid.Footnotes
) -> grid.Cell:
    marks: tuple[int, ...] = ()
    if value.why is not None:
        marks = (notes.number(f"{value.why[0].upper()}{value.why[1:]}."),)
    if value.mean is None:
        return grid.Cell("undefined", "undefined", notes=marks)
    text, interval = format_value(column, value.mean), ""
    if value.sd is not None:
        text += f" ± {format_value(column, value.sd)}"
    if value.low is not None and value.high is not None:
        low, high = format_value(column, value.low), format_value(column, value.high)
        interval = f"[{low}, {high}]"
    return grid.Cell(text, "measured", interval, marks)


def _fact(
    table: str,
    key: Mapping,
    column: paper_tables.Column,
    row: paper_tables.Row | None,
    values: Mapping[str, table_values.Value],
) -> dict:
    """One line of the CSV: the published and the measured value of a cell."""
    value = values.get(column.id)
    printed = None if row is None else row.values[column.id]
    marks = [] if row is None else _errata(table, column.id, row)
    return {
        "table": table,
        "key": "; ".join(f"{name}={_format_key(v)}" for name, v in key.items()),
        "column": column.id,
        "published": printed,
        "published_sd": row and row.sd.get(column.id),
        "published_n": row and row.n,
        "published_mark": " ".join(map(grid.describe_erratum, marks)),
        "status": _status(value, printed),
        "measured": getattr(value, "mean", None),
        "measured_sd": getattr(value, "sd", None),
        "measured_n": getattr(value, "n", None),
        "measured_low": getattr(value, "low", None),
        "measured_high": getattr(value, "high", None),
        "measured_sets": getattr(value, "sets", None),
        "reason": getattr(value, "why", None),
    }


def _status(value: table_values.Value | None, printed) -> str:
    if value is not None:
        return "undefined" if value.mean is None else "measured"
    return "not applicable" if printed is None else "not run"
