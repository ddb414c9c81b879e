"""Tables for the terminal, Markdown tables, and durations."""

import math
from collections.abc import Sequence
from typing import Any

_ESCAPED_BAR = r"\|"


def format_cell(value: Any) -> str:
    """Formats one cell.

    Args:
      value: a float, None, or anything with a `str`.

    Returns:
      Three decimals for floats, "-" for None and "nan" for NaN.

    Example:
      >>> format_cell(0.5), format_cell(None), format_cell(3)
      ('0.500', '-', '3')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def format_table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Formats a table of plain text.

    Args:
      header: one heading a column.
      rows: cells, formatted by `format_cell`.

    Returns:
      Lines of columns as wide as their widest cell: the first column is aligned to
      the left, the others to the right.

    Example:
      >>> print(format_table(["layer", "EI"], [["last", 0.25]]))
      layer     EI
      ------------
      last   0.250
    """
    lines = [list(header), *[[format_cell(value) for value in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    aligned = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        aligned.append("  ".join(cells).rstrip())
    return "\n".join([aligned[0], "-" * len(aligned[0]), *aligned[1:]])


def format_markdown(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    rule: Sequence[str] | None = None,
) -> str:
    """Formats a Markdown table; a "|" in a cell is escaped.

    Args:
      header: one heading a column.
      rows: cells.
      rule: alignment of each column, such as "---:"; by default the reader's program
        chooses.

    Returns:
      The table, without a final newline.

    Example:
      >>> print(format_markdown(["a", "b"], [["1", "2"]]))
      | a | b |
      | --- | --- |
      | 1 | 2 |
    """
    lines = [header, rule or ["---"] * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', _ESCAPED_BAR) for cell in line)} |"
        for line in lines
    )


def format_clock(seconds: float) -> str:
    """Formats a duration as a clock does.

    Args:
      seconds: the duration in seconds.

    Returns:
      h:mm:ss.

    Example:
      >>> format_clock(5400)
      '1:30:00'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def format_duration(seconds: float) -> str:
    """Formats a duration in its largest unit.

    Args:
      seconds: the duration in seconds.

    Returns:
      Hours or minutes with one decimal, or whole seconds.

    Example:
      >>> format_duration(7200), format_duration(90), format_duration(12)
      ('2.0 h', '1.5 min', '12 s')
    """
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds:.0f} s"
