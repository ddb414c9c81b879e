"""The paper's fourteen tables as printed, wrong figures included (see `errata`).

The data is in tables.json; `quotes` holds the numbers of the text. A row's `key` names
the run (model, condition, intervention, seed, step, lambda, ...), its `values` hold one
entry a column. Tables that the paper prints wide (4 and 12) are long here, so that one
row is one run at one step.
"""

import dataclasses
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import Any

from jaxent import json_files

_FILE = pathlib.Path(__file__).with_name("tables.json")


@dataclasses.dataclass(frozen=True)
class Column:
    """One quantity of a table.

    Attributes:
      id: the quantity's name in `Row.values`.
      title: heading.
      digits: decimals printed; None where they vary.
      unit: "" for ratios, "%" and "points" for percentages and their differences,
        "count", or "text", whose values are str.
    """

    id: str
    title: str
    digits: int | None = 3
    unit: str = ""

    def text(self, value: float | str | None, sd: float | None = None) -> str:
        """Formats a value with the printed decimals.

        Args:
          value: a value of the column; None where nothing is printed.
          sd: its SD over seeds, if any.

        Returns:
          The value, four significant digits where decimals vary; "-" for None.

        Example:
          >>> Column("ei", "EI").text(0.0631, 0.109)
          '0.063 ± 0.109'
        """
        if value is None or isinstance(value, str):
            return value or "-"
        form = ".4g" if self.digits is None else f".{self.digits}f"
        spread = "" if sd is None else f" ± {sd:{form}}"
        return f"{value:{form}}{spread}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One run or group of runs.

    Attributes:
      key: what names the run; read only.
      values: by column id, a number, words, or None where nothing is printed.
      sd: by column id, the SD printed beside a mean.
      n: number of seeds or problems, None where none is printed.
    """

    key: Mapping[str, Any]
    values: Mapping[str, Any]
    sd: Mapping[str, float]
    n: int | None


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table.

    Attributes:
      id: "T1" to "T14".
      section: section of the paper.
      caption: in our words.
      columns: in the paper's order.
      rows: in the paper's order.
      remark: what a reader has to know, in our words.
    """

    id: str
    section: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    remark: str = ""

    def column(self, id: str) -> Column:
        """Looks a column up.

        Args:
          id: the column's id.

        Returns:
          The column.

        Raises:
          KeyError: there is none of that id; names the ones there are.
        """
        for column in self.columns:
            if column.id == id:
                return column
        known = ", ".join(column.id for column in self.columns)
        raise KeyError(f"{self.id} has no column {id!r}: it has {known}")

    def row(self, **key: Any) -> Row:
        """Looks a row up.

        Args:
          **key: parts of the row's key.

        Returns:
          The one row whose key holds all of `key`.

        Raises:
          KeyError: no row does, or several do.

        Example:
          >>> find_table("T2").row(model="Qwen2.5-Coder-14B").values["ei_after"]
          0.063
        """
        rows = self._rows_of(key)
        if len(rows) != 1:
            raise KeyError(f"{self.id} has {len(rows)} rows of {key}: expected one")
        return rows[0]

    def select(self, column: str, **key: Any) -> list:
        """Lists the values of one column.

        Args:
          column: the column's id.
          **key: parts of the rows' keys.

        Returns:
          The value of each row whose key holds all of `key`, in order.

        Raises:
          KeyError: there is no such column.

        Example:
          >>> find_table("T3").select("ei_after", model="Qwen2.5-Coder-14B")
          [0.188, 0.0, 0.0]
        """
        self.column(column)
        return [row.values[column] for row in self._rows_of(key)]

    def _rows_of(self, key: Mapping) -> list[Row]:
        return [row for row in self.rows if row.key.items() >= key.items()]


def _parse_table(content: Mapping) -> Table:
    columns = tuple(Column(**column) for column in content["columns"])
    names = content["key"]
    rows = []
    for flat in content["rows"]:
        if len(flat) != len(names) + len(columns):
            raise ValueError(
                f"{content['id']}: row {flat} has {len(flat)} entries, expected "
                f"{len(names)} of key and {len(columns)} of values"
            )
        key = content["run"] | dict(zip(names, flat))
        rows.append(_parse_row(key, columns, flat[len(names) :]))
    return Table(
        content["id"],
        content["section"],
        content["caption"],
        columns,
        tuple(rows),
        content.get("remark", ""),
    )


def _parse_row(key: dict, columns: Sequence[Column], entries: Sequence) -> Row:
    """A row of tables.json; an entry [a, b] is a mean and its SD, "n" is no key."""
    n = key.pop("n", None)
    values, sd = {}, {}
    for column, entry in zip(columns, entries):
        if isinstance(entry, list):
            values[column.id], sd[column.id] = entry
        else:
            values[column.id] = entry
    read_only = types.MappingProxyType
    return Row(read_only(key), read_only(values), read_only(sd), n)


TABLES = tuple(map(_parse_table, json_files.read_json(_FILE, list)))
T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14 = TABLES


def find_table(id: str) -> Table:
    """Looks a table up.

    Args:
      id: "T1" to "T14".

    Returns:
      The table.

    Raises:
      KeyError: there is none of that id; names the ones there are.

    Example:
      >>> find_table("T9").section
      '5.1'
    """
    for table in TABLES:
        if table.id == id:
            return table
    raise KeyError(f"no table {id!r}: there are {', '.join(t.id for t in TABLES)}")
