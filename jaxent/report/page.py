"""The report: one HTML page that needs nothing else, and beside it the tables as Markdown, LaTeX and CSV, the figures as PNG and SVG."""

import base64
import collections
import datetime
import html
import pathlib
import re
import shlex
from collections.abc import Iterable, Sequence

from jaxent.report import (
    classify,
    figures,
    grid,
    match,
    own,
    provenance,
    render,
    sections,
    style,
    verdicts,
)
from jaxent.runs import folder as run_folder
from jaxent.runs import records

_AFTER = {  # the table that a figure follows
    "T3": ("scale-ladder",),
    "T4": ("trajectory-",),
    "T6": ("cross-architecture",),
    "T7": ("damage-",),
    "T8": ("crosstalk",),
    "T9": ("humaneval",),
    "T10": ("sv-energy",),
    "T12": ("lambda",),
    "T14": ("reversibility",),
}
_WIDE = 560.0  # points: a figure of several panels
_CONVENTIONS = (
    "<b>Published</b> values are the paper's as printed; <b>measured</b> ones are from the runs in the folder. A raised number is a note below "
    "the table; on a published value it says why that value cannot be right or does not agree with others.",
    "± is the SD over seeds (n − 1 in the divisor). [ ] is a 95% interval over replicate sets of the probes, which share no topic: of one run "
    "as it was measured, of several from the sets' means over seeds. Sets are smaller than all probes "
    "together, so an interval need not hold the value before it: it shows how much a value depends on the probes drawn. On HumanEval, [ ] is Wilson's interval, differences are paired by problem.",
    "EI is the paper's literal estimator, kept for comparison and for verdicts, which test the claims in the paper's own terms. It depends on "
    "the scale and noise of activations and has a floor at 0; SEI and CVO, in the tables without published values, "
    "are the ones to trust. “Undefined” is a ratio over too few flips, never 0.",
    "“Not run” means that no finished run with the paper's model and settings fills the cell.",
)


_OURS = "All cells measured at the paper's models and settings, those that the paper lacks included."
_OTHER = (
    "These are not the paper's models, or not with the paper's settings and data: they show what the same measurements give here and decide "
    "none of the claims above."
)
_COMPANION = (
    "Crosstalk alone calls creative writing the best companion, and the paper finds it the worst. Interference with the target (crosstalk) and "
    "transfer to it (alignment of the domains’ gradients, fall of the target’s loss after a few steps on the companion alone) are both "
    "measured on the base model, before any training."
)
_VALIDITY = (
    "Synthetic activations whose concepts share a known part of their structure, and real activations whose class structure is rotated to a known "
    "overlap: an estimator of overlap should follow the dashed line and move with nothing else."
)


def write(
    collection: records.Collection,
    out: pathlib.Path,
    title: str,
    command: Sequence[str],
) -> pathlib.Path:
    """Writes report.html, tables/ and figures/ to `out`; returns the page's path."""
    placed = classify.classify_records(collection)
    found = verdicts.decide_all(placed.paper)
    tables = sections.published_tables(placed.paper)
    ours = sections.measured_tables(placed.paper, "paper")
    others = sections.measured_tables(placed.other, "other")
    verdict = sections.verdict_table(found)
    companions, validity = (
        own.companion_tables(collection.metrics),
        own.validity_tables(collection.validities),
    )
    sources = provenance.sources(placed, collection)
    origin = provenance.table(sources)
    _tables(
        [
            verdict,
            *tables,
            sections.quoted_table(),
            *ours,
            *others,
            *companions,
            *validity,
            origin,
        ],
        out / run_folder.TABLES,
    )
    drawn = {
        f.id: f
        for f in sections.paper_figures(placed.paper)
        if _draw(f, out / run_folder.FIGURES)
    }
    other_drawn, companions_drawn, validity_drawn = (
        [f for f in of if _draw(f, out / run_folder.FIGURES)]
        for of in (
            sections.other_figures(placed.other, placed.paper),
            own.companion_figures(collection.metrics),
            own.validity_figures(collection.validities),
        )
    )
    parts = [
        _head(title),
        _opening(title, collection, placed, found),
        _contents(tables, bool(ours), bool(placed.other)),
        '<h2 id="claims">Verdicts on the paper’s claims</h2>',
        render.table(verdict),
        '<h2 id="tables">The paper’s tables, published and measured</h2>',
        *_tables_with_figures(tables, drawn, out),
        render.table(sections.quoted_table()),
        *_section("ours", "The paper’s models: every estimator", _OURS, ours, [], out),
        *_section(
            "other",
            "Other models and settings, measured only",
            _OTHER,
            others,
            other_drawn,
            out,
        ),
        *_own(
            "companions",
            "Which companion? Interference against transfer",
            _COMPANION,
            companions,
            companions_drawn,
            out,
            "python experiments/companion_metric.py --check",
        ),
        *(f"<p>{html.escape(text)}</p>" for text in own.answers(collection.metrics)),
        *_own(
            "validity",
            "Do the estimators measure overlap?",
            _VALIDITY,
            validity,
            validity_drawn,
            out,
            "python experiments/estimator_validity.py",
        ),
        '<h2 id="provenance">Provenance</h2>',
        f"<p>This page: <code>python {html.escape(shlex.join(command))}</code></p>",
        render.table(origin),
        *provenance.lists(sources, collection, placed.notes),
        f"</main><script>{style.SCRIPT}</script></body></html>\n",
    ]
    page = out / run_folder.REPORT
    run_folder.write_text(page, "\n".join(parts))
    return page


def _tables(grids: Sequence[grid.Grid], folder: pathlib.Path) -> None:
    for found in grids:
        run_folder.write_text(folder / f"{found.id}.md", render.markdown(found))
        run_folder.write_text(folder / f"{found.id}.tex", render.latex(found))
        if found.facts:
            run_folder.write_text(folder / f"{found.id}.csv", render.flat([found]))
    run_folder.write_text(
        folder / "all.md", "\n".join(render.markdown(g) for g in grids)
    )


def _draw(figure: sections.Figure, folder: pathlib.Path) -> bool:
    """Whether there was something to draw; it is in the folder then."""
    drawn = figure.draw()
    if drawn is None:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    figures.save(drawn, folder / figure.id)
    return True


def _figure(figure: sections.Figure, out: pathlib.Path) -> str:
    """The SVG as a data URI: an image of its own, whose ids cannot clash with another's. On a phone, wide ones scroll."""
    drawn = (out / run_folder.FIGURES / f"{figure.id}.svg").read_bytes()
    data, width = (
        base64.b64encode(drawn).decode(),
        float(re.search(rb'width="([\d.]+)pt"', drawn)[1]),
    )
    caption, kind = (
        html.escape(figure.caption),
        ' class="wide"' if width > _WIDE else "",
    )
    image = f'<img alt="{caption}" src="data:image/svg+xml;base64,{data}">'
    return f'<figure id="figure-{figure.id}"{kind}>{image}<figcaption>{caption}</figcaption></figure>'


def _head(title: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"><title>{html.escape(title)}</title>'
        f"<style>{style.CSS}</style></head><body><main>"
    )


def _opening(
    title: str, collection: records.Collection, placed: match.MatchedResults, found
) -> str:
    counts = collections.Counter(v.outcome for v in found)
    kinds = (
        (verdicts.SUPPORTED, "supported"),
        (verdicts.CONTRADICTED, "contradicted"),
        (verdicts.UNDECIDED, "undecided"),
    )
    tally = "".join(
        f'<li class="{kind}"><b>{counts[outcome]}</b> {outcome}</li>'
        for outcome, kind in kinds
    )
    number = len(placed.paper.finished)
    seen = sorted({p.key["model"] for p in placed.paper.runs})
    of_paper = (
        f"{number} finished run{'s' * (number != 1)} at the paper's models and settings ({', '.join(seen)})"
        if number
        else "no finished run at the paper's models and settings"
    )
    names = sorted({p.base for p in placed.other.runs})
    more = (
        f", {len(placed.other.finished)} at others ({', '.join(names)})"
        if placed.other.finished
        else ""
    )
    today = datetime.date.today().isoformat()
    conventions = "".join(f"<li>{text}</li>" for text in _CONVENTIONS)
    return (
        f'<h1>{html.escape(title)}</h1>\n<p class="lead">McEntire, “Entanglement Under Fine-Tuning”: its tables, figures and claims beside what '
        "was measured here. "
        f"The folder holds {html.escape(of_paper + more)}, {len(collection.evaluations)} HumanEval evaluations "
        f"and {len(collection.crosstalks)} crosstalk measurements. Written {today}.</p>\n"
        f'<p>Of the paper’s {len(found)} claims, these runs leave</p><ul class="counts">{tally}</ul>\n'
        f'<details open><summary><b>How to read the tables</b></summary><ul class="list">{conventions}</ul></details>'
    )


def _contents(tables: Sequence[grid.Grid], ours: bool, other: bool) -> str:
    links = [("claims", "Verdicts on the claims"), ("tables", "Published and measured")]
    links += [(t.id, f"{t.title}: {t.caption.split(' (section')[0]}") for t in tables]
    links += [
        ("quoted", "Numbers in the text"),
        *[("ours", "The paper’s models: every estimator")] * ours,
    ]
    links += [
        *[("other", "Other models and settings")] * other,
        ("companions", "Which companion?"),
    ]
    links += [
        ("validity", "Do the estimators measure overlap?"),
        ("provenance", "Provenance"),
    ]
    items = "".join(
        f'<li><a href="#{id}">{html.escape(text)}</a></li>' for id, text in links
    )
    return f'<nav aria-label="Contents"><b>Contents</b><ol>{items}</ol></nav>'


def _tables_with_figures(
    tables: Sequence[grid.Grid], drawn: dict, out: pathlib.Path
) -> Iterable[str]:
    for table in tables:
        yield render.table(table)
        for start in _AFTER.get(table.id, ()):
            yield from (
                _figure(f, out) for id, f in drawn.items() if id.startswith(start)
            )


def _section(
    id: str,
    title: str,
    text: str,
    grids: Sequence[grid.Grid],
    drawn: Sequence[sections.Figure],
    out: pathlib.Path,
) -> Iterable[str]:
    if grids or drawn:
        yield f'<h2 id="{id}">{title}</h2>\n<p>{text}</p>'
        yield from map(render.table, grids)
        yield from (_figure(f, out) for f in drawn)


def _own(
    id: str,
    title: str,
    text: str,
    grids: Sequence[grid.Grid],
    drawn: Sequence[sections.Figure],
    out: pathlib.Path,
    command: str,
) -> Iterable[str]:
    """A section on a study that the paper lacks: figures first, "not run" without any."""
    yield f'<h2 id="{id}">{title}</h2>\n<p>{text} A study of our own, without published values.</p>'
    yield from (_figure(f, out) for f in drawn)
    yield from map(render.table, grids)
    if not grids:
        yield f'<p class="soft">Not run: <code>{html.escape(command)}</code></p>'
