"""Grids as HTML, Markdown, LaTeX and CSV. The same cells in all: `plain` is the text that every form shows."""

import csv
import html
import io
import itertools
import re
from collections.abc import Sequence

from jaxent.report import grid
from jaxent.runs import console

_NUMBER = re.compile(r"-?[\d.]+(e[-+]?\d+)?( ± [\d.]+(e[-+]?\d+)?)?")
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


def plain(cell: grid.Cell) -> str:
    """A cell's text with its interval, on one line."""
    return f"{cell.text} {cell.interval}".strip().replace("\n", "; ")


def table(found: grid.Grid, level: int = 3) -> str:
    """One HTML section: heading, caption, table with sortable columns, footnotes."""
    groups = [
        list(heads)
        for _, heads in itertools.groupby(
            enumerate(found.heads), key=lambda h: h[1].title
        )
    ]
    two = any(len(group) > 1 for group in groups)
    numbers = [
        any(_numeric(row[i]) for row in found.rows) for i in range(len(found.heads))
    ]
    first = "".join(
        _head(group[0][1].title, len(group), two, numbers[group[0][0]])
        for group in groups
    )
    second = "".join(
        _side(h.side, numbers[i] or not _worded(found, i))
        for group in groups
        if len(group) > 1
        for i, h in group
    )
    rows = "\n".join(
        f"<tr>{''.join(_cell(found, c, i == 0) for i, c in enumerate(row))}</tr>"
        for row in found.rows
    )
    body = f"<thead><tr>{first}</tr>{f'<tr>{second}</tr>' if two else ''}</thead>\n<tbody>\n{rows}\n</tbody>"
    notes = "".join(
        f'<li id="{found.id}-{i}">{html.escape(text)}</li>'
        for i, text in enumerate(found.notes, 1)
    )
    return (
        f'<section class="table" id="{found.id}"><h{level}>{html.escape(found.title)}</h{level}>\n'
        f'<p class="caption">{html.escape(found.caption)}{_marks(found, found.titled)}</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(found.title)}"><table>{body}</table></div>\n'
        + (f'<ol class="notes">{notes}</ol>\n' if notes else "")
        + "</section>"
    )


def _head(title: str, span: int, two: bool, number: bool) -> str:
    size = f' colspan="{span}"' if span > 1 else ' rowspan="2"' if two else ""
    kind = ' class="number"' if number and span == 1 else ""
    return f'<th scope="{"colgroup" if span > 1 else "col"}"{size}{kind}>{html.escape(title)}</th>'


def _side(side: str, number: bool) -> str:
    return f'<th scope="col" class="{side}{" number" * number}">{side}</th>'


def _worded(found: grid.Grid, column: int) -> bool:
    """Whether a column holds words, which stand on the left."""
    return any(
        row[column].kind in ("published", "measured") and not _numeric(row[column])
        for row in found.rows
    )


def _marks(found: grid.Grid, notes: Sequence[int]) -> str:
    return "".join(
        f'<sup><a href="#{found.id}-{n}" aria-label="note {n}">{n}</a></sup>'
        for n in notes
    )


def _cell(found: grid.Grid, cell: grid.Cell, first: bool) -> str:
    text = html.escape(cell.text) + (
        f' <span class="interval">{html.escape(cell.interval)}</span>'
        if cell.interval
        else ""
    )
    text += _marks(found, cell.notes)
    kind = f"{cell.kind} number" if _numeric(cell) else cell.kind
    return (
        f'<th scope="row" class="{kind}">{text}</th>'
        if first
        else f'<td class="{kind}">{text}</td>'
    )


def _numeric(cell: grid.Cell) -> bool:
    return cell.kind in ("published", "measured") and bool(_NUMBER.fullmatch(cell.text))


def markdown(found: grid.Grid) -> str:
    """A pipe table with footnotes as a numbered list."""
    rows = [[plain(c) + _footnotes(c.notes) for c in row] for row in found.rows]
    rule = (
        [":--" if c.kind == "key" else "--:" for c in found.rows[0]]
        if found.rows
        else [":--"] * len(found.heads)
    )
    notes = "".join(f"\n{i}. {text}" for i, text in enumerate(found.notes, 1))
    return (
        "\n".join(
            [
                f"### {found.title}",
                "",
                found.caption + _footnotes(found.titled),
                "",
                console.format_markdown([h.text for h in found.heads], rows, rule),
                notes,
            ]
        ).rstrip()
        + "\n"
    )


def _footnotes(notes: Sequence[int]) -> str:
    return f" ({','.join(map(str, notes))})" if notes else ""


def latex(found: grid.Grid) -> str:
    """A tabular without packages, footnotes below it."""
    columns = (
        "".join("l" if c.kind == "key" else "r" for c in found.rows[0])
        if found.rows
        else "l" * len(found.heads)
    )
    mark = lambda notes: f"$^{{{','.join(map(str, notes))}}}$" if notes else ""
    row = lambda texts: " & ".join(texts) + r" \\"
    lines = [row(tex(plain(c)) + mark(c.notes) for c in line) for line in found.rows]
    notes = [
        rf"\par\footnotesize $^{{{i}}}$ {tex(text)}"
        for i, text in enumerate(found.notes, 1)
    ]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{tex(found.title)}. {tex(found.caption)}{mark(found.titled)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            row(tex(h.text) for h in found.heads),
            r"\hline",
            *lines,
            r"\hline",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )


def tex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_TEX.get(c, c) for c in text)


def flat(grids: Sequence[grid.Grid]) -> str:
    """Every value of the grids as CSV, one a line, measured ones to full precision; empty where there is none."""
    facts = [fact for g in grids for fact in g.facts]
    out = io.StringIO()
    writer = csv.DictWriter(
        out, list(facts[0]) if facts else ["table"], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(facts)
    return out.getvalue()
