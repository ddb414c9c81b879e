"""Writes the report: one HTML page that needs no other file, tables and figures.

The page's text is in page.html.j2, its looks in page.css, its script in page.js.
"""

import base64
import collections
import dataclasses
import datetime
import itertools
import pathlib
import re
import shlex
from collections.abc import Iterable, Sequence

import jinja2

from jaxent.report import (
    claim_tables,
    classify,
    figures,
    grid,
    match,
    measured_tables,
    provenance,
    render,
    tables,
    verdicts,
)
from jaxent.report.own_studies import companions, equivalence, validity
from jaxent.report.plots import style
from jaxent.runs import folder as run_folder
from jaxent.runs import records

_HERE = pathlib.Path(__file__).parent
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,  # names, commands and errors of records are foreign text
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)
_WIDE = 560.0  # points; a figure above it scrolls on a phone


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes:
      id: the figure's id.
      caption: what it shows.
      after: id of the table that it follows, or "".
      svg: the drawing, in base64.
      wide: whether it has several panels side by side.
    """

    id: str
    caption: str
    after: str
    svg: str
    wide: bool


def write(
    collection: records.Collection,
    out: pathlib.Path,
    title: str,
    command: Sequence[str],
) -> pathlib.Path:
    """Writes report.html, and beside it tables/ and figures/.

    Args:
      collection: every record of a folder of runs.
      out: where to write; it is made if it is not there. tables/ gets Markdown, LaTeX
        and CSV, figures/ PNG and SVG.
      title: the page's heading.
      command: the command that writes the page, without the interpreter.

    Returns:
      The page's path.
    """
    results = classify.classify_records(collection)
    decided = verdicts.decide_all(results.paper)
    sources = provenance.sources(results, collection)
    by_section = _tables(results, collection, decided, sources)
    _write_tables(list(itertools.chain(*by_section.values())), out / run_folder.TABLES)
    counts = collections.Counter(verdict.outcome for verdict in decided)
    text = _TEMPLATES.get_template("page.html.j2").render(
        title=title,
        command=shlex.join(command),
        today=datetime.date.today().isoformat(),
        css=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=(_HERE / "page.js").read_text(encoding="utf-8"),
        collection=collection,
        scope=_scope(results),
        has_other=bool(results.other),
        kinds=claim_tables.KINDS,
        outcomes={outcome: counts[outcome] for outcome in claim_tables.KINDS},
        tables=by_section,
        pictures=_pictures(results, collection, out / run_folder.FIGURES),
        answers=companions.answers(collection.metrics),
        commands=provenance.commands(sources),
        versions=provenance.versions(sources),
        notes=_pairs(results.notes),
        failures=_pairs(collection.failures),
        unread=_pairs(collection.unread),
    )
    page = out / run_folder.REPORT
    run_folder.write_text(page, text)
    return page


def _tables(
    results: match.MatchedResults,
    collection: records.Collection,
    decided: Sequence[verdicts.Verdict],
    sources: Sequence[provenance.Source],
) -> dict[str, list[grid.Grid]]:
    """The tables of each section, in the order of the page."""
    return {
        "verdicts": [claim_tables.verdict_table(decided)],
        "published": tables.published_tables(results.paper),
        "quoted": [claim_tables.quoted_table()],
        "paper": measured_tables.measured_tables(results.paper, "paper"),
        "other": measured_tables.measured_tables(results.other, "other"),
        "companions": companions.companion_tables(collection.metrics),
        "validity": validity.validity_tables(collection.validities),
        "equivalence": equivalence.equivalence_tables(collection.equivalences),
        "provenance": [provenance.table(sources)],
    }


def _pictures(
    results: match.MatchedResults, collection: records.Collection, folder: pathlib.Path
) -> dict[str, list[Picture]]:
    """Draws and saves the figures of each section."""
    drawn = {
        "paper": figures.paper_figures(results.paper),
        "other": figures.other_figures(results.other, results.paper),
        "companions": companions.companion_figures(collection.metrics),
        "validity": validity.validity_figures(collection.validities),
    }
    return {name: _save(every, folder) for name, every in drawn.items()}


def _pairs(notes: Iterable[records.Note]) -> list[tuple[str, str]]:
    return [(note.path, note.text) for note in notes]


def _scope(results: match.MatchedResults) -> str:
    """How many finished runs there are, and of which models."""
    number = len(results.paper.finished)
    text = "no finished run at the paper's models and settings"
    if number:
        models = sorted({result.key["model"] for result in results.paper.runs})
        text = (
            f"{number} finished run{'s' if number > 1 else ''} at the paper's models "
            f"and settings ({', '.join(models)})"
        )
    others = len(results.other.finished)
    if others:
        names = sorted({result.base for result in results.other.runs})
        text += f", {others} at others ({', '.join(names)})"
    return text


def _write_tables(every: Sequence[grid.Grid], folder: pathlib.Path) -> None:
    for table in every:
        run_folder.write_text(folder / f"{table.id}.md", render.markdown(table))
        run_folder.write_text(folder / f"{table.id}.tex", render.latex(table))
        if table.facts:
            run_folder.write_text(folder / f"{table.id}.csv", render.flat([table]))
    together = "\n".join(render.markdown(table) for table in every)
    run_folder.write_text(folder / "all.md", together)


def _save(every: Iterable[figures.Figure], folder: pathlib.Path) -> list[Picture]:
    """Saves the figures that show anything; returns them as the page needs them."""
    pictures = []
    for figure in every:
        if figure.drawn is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        style.save(figure.drawn, folder / figure.id)
        svg = (folder / f"{figure.id}.svg").read_bytes()
        data = base64.b64encode(svg).decode()
        wide = _svg_width(svg) > _WIDE
        pictures.append(Picture(figure.id, figure.caption, figure.after, data, wide))
    return pictures


def _svg_width(svg: bytes) -> float:
    """The width of a drawing, in points."""
    width = re.search(rb'width="([\d.]+)pt"', svg)
    if width is None:
        raise ValueError('an SVG without width="...pt", expected one of Matplotlib')
    return float(width[1])
