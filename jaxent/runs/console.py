"""Plain-text tables for the terminal, and Markdown ones."""

import math

_BAR = r"\|"


def format_cell(value) -> str:
    """Three decimals for floats, "-" for None and "nan" for NaN."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def format_table(header: list[str], rows: list[list]) -> str:
    """Columns padded to their widest cell, the first flush left, the others flush right."""
    lines = [header, *[[format_cell(v) for v in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    align = lambda i, s: s.ljust(widths[i]) if i == 0 else s.rjust(widths[i])
    drawn = [
        "  ".join(align(i, s) for i, s in enumerate(line)).rstrip() for line in lines
    ]
    return "\n".join([drawn[0], "-" * len(drawn[0]), *drawn[1:]])


def format_markdown(
    header: list[str], rows: list[list[str]], rule: list[str] | None = None
) -> str:
    """A pipe table; "|" in a cell is escaped. rule: how each column stands (default: as the reader's program likes)."""
    lines = [header, rule or ["---"] * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(one.replace('|', _BAR) for one in line)} |" for line in lines
    )
