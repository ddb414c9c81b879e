"""Grids as Markdown, LaTeX and CSV; the page's template writes them as HTML.

All forms show the same text of a cell, `grid.Cell.plain`.
"""

import csv
import io
from collections.abc import Iterable, Sequence

from jaxent.report import grid
from jaxent.runs import console

_TEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "–": "--",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "λ": r"$\lambda$",
}


def markdown(table: grid.Grid) -> str:
    """Writes a grid as a Markdown table.

    Args:
      table: the grid.

    Returns:
      Heading, caption, a table of "|", and the footnotes as a numbered list.

    Example:
      >>> row = (grid.Cell("B3", "key"), grid.Cell("0.3", "measured", "[0.2, 0.4]"))
      >>> heads = (grid.Head("condition"), grid.Head("EI", "measured"))
      >>> print(markdown(grid.Grid("t", "EI", "After.", heads, (row,), (), ())))
      ### EI
      <BLANKLINE>
      After.
      <BLANKLINE>
      | condition | EI, measured |
      | :-- | --: |
      | B3 | 0.3 [0.2, 0.4] |
      <BLANKLINE>
    """
    heads = [head.text for head in table.heads]
    rows = [
        [cell.plain + _markdown_notes(cell.notes) for cell in row] for row in table.rows
    ]
    rule = [":--"] * len(heads)
    if table.rows:
        rule = [":--" if cell.kind == "key" else "--:" for cell in table.rows[0]]
    parts = [
        f"### {table.title}",
        "",
        table.caption + _markdown_notes(table.titled),
        "",
        console.format_markdown(heads, rows, rule),
    ]
    if table.notes:
        parts.append("")
        parts += [f"{i}. {text}" for i, text in enumerate(table.notes, 1)]
    return "\n".join(parts).rstrip() + "\n"


def _markdown_notes(notes: Sequence[int]) -> str:
    return f" ({_join(notes)})" if notes else ""


def _join(notes: Sequence[int]) -> str:
    return ",".join(map(str, notes))


def latex(table: grid.Grid) -> str:
    """Writes a grid as a LaTeX table that needs no package.

    Args:
      table: the grid.

    Returns:
      A table environment, footnotes below the tabular.
    """
    columns = "l" * len(table.heads)
    if table.rows:
        columns = "".join("l" if c.kind == "key" else "r" for c in table.rows[0])
    caption = f"{tex(table.title)}. {tex(table.caption)}{_tex_notes(table.titled)}"
    lines = [
        r"\begin{table}",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\hline",
        _tex_row(tex(head.text) for head in table.heads),
        r"\hline",
    ]
    for row in table.rows:
        lines.append(_tex_row(tex(c.plain) + _tex_notes(c.notes) for c in row))
    lines += [r"\hline", r"\end{tabular}"]
    for number, text in enumerate(table.notes, 1):
        lines.append(rf"\par\footnotesize {_tex_notes([number])} {tex(text)}")
    return "\n".join([*lines, r"\end{table}", ""])


def _tex_row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _tex_notes(notes: Sequence[int]) -> str:
    return f"$^{{{_join(notes)}}}$" if notes else ""


def tex(text: str) -> str:
    r"""Escapes LaTeX's special characters.

    Args:
      text: plain text.

    Returns:
      LaTeX that prints it.

    Example:
      >>> print(tex("5% of a_b"))
      5\% of a\_b
    """
    return "".join(_TEX.get(character, character) for character in text)


def flat(tables: Iterable[grid.Grid]) -> str:
    """Writes every value of some grids as CSV, measured ones to full precision.

    Args:
      tables: grids whose facts have the same fields.

    Returns:
      A line of names and then a line a value; a field without a value is empty.

    Example:
      >>> facts = ({"key": "seed=0", "measured": 0.5}, {"key": "seed=1"})
      >>> print(flat([grid.Grid("t", "T", "", (), (), (), facts)]))
      key,measured
      seed=0,0.5
      seed=1,
      <BLANKLINE>
    """
    facts = [fact for table in tables for fact in table.facts]
    out = io.StringIO()
    names = list(facts[0]) if facts else ["table"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(facts)
    return out.getvalue()
