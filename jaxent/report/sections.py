"""What a report holds, as data: its tables as grids, its figures as drawings, its verdicts; `page` lays them out."""

import dataclasses
from collections.abc import Callable, Sequence

from jaxent.paper import errata, quotes
from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import (
    coding_values,
    crosstalk_values,
    grid,
    match,
    plots,
    plots_geometry,
    plots_ladders,
    sources,
    verdicts,
)
from jaxent.report import values as table_values

_C = paper_tables.Column
_PAIRS = (
    ("ei", "EI"),
    ("nested_ei", "nested EI"),
    ("sei", "SEI"),
    ("cvo", "CVO"),
    ("v_purity", "V-purity"),
    ("domain_accuracy", "domain accuracy"),
)
_BOTH = tuple(
    _C(f"{id}_{when}", f"{title} {when}")
    for id, title in _PAIRS
    for when in ("before", "after")
)
_CHANGE = (
    _C("ei_change", "change of EI", 0, "%"),
    _C("response", "response", unit="text"),
)
_RESULT = (
    _C("sv_energy", "SV energy", 4),
    _C("csr_loss", "final CSR loss"),
    _C("final_loss", "final loss"),
)
_AT_STEP = tuple(_C(id, title) for id, title in _PAIRS)
_CODING = (
    _C("he", "HumanEval", 1, "%"),
    _C("he_plus", "HumanEval+", 1, "%"),
    _C("he_plus_passes", "HumanEval+ passes", 0, "count"),
    _C("he_plus_change", "HumanEval+ minus base", 1, "points"),
    _C("low", "95% low", 1, "points"),
    _C("high", "95% high", 1, "points"),
    _C("sv_energy", "SV energy", 4),
)
_MARGINALS = (
    _C("ei_before", "EI before"),
    _C("margin", "margin", None),
    _C("weakest", "weakest concept", unit="text"),
    _C("v_purity_before", "V-purity before"),
)
_REVERSAL = (
    _C("ei_before", "EI before"),
    _C("ei_after_b3", "EI after the first"),
    _C("ei_after", "EI after both"),
    _C("outcome", "outcome", unit="text"),
)
_KINDS = {
    "supported": "supported",
    "contradicted": "contradicted",
    "not decided": "undecided",
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure to draw: its id (and file name), what it shows in a sentence, and the call that draws it (None: nothing there)."""

    id: str
    caption: str
    draw: Callable


def published_tables(shelf: match.ResultSet) -> list[grid.Grid]:
    """Tables 1 to 14, published beside measured."""
    return [
        grid.published(table, sources.SOURCES[table.id](shelf))
        for table in paper_tables.TABLES
    ]


def measured_tables(shelf: match.ResultSet, prefix: str) -> list[grid.Grid]:
    """The same forms without published values, for every cell of a shelf; empty ones are left out."""
    every = [
        (
            "summary",
            "Before and after, over seeds",
            "Runs that differ in nothing but the seed.",
            (*_BOTH, *_CHANGE),
            table_values.group_rows(shelf),
        ),
        (
            "runs",
            "Before and after, every run",
            "As Table 3.",
            (*_BOTH, *_RESULT),
            table_values.run_rows(shelf),
        ),
        (
            "steps",
            "During training, over seeds",
            "As Tables 4, 12 and 13; means ± SD over seeds.",
            _AT_STEP,
            table_values.group_step_rows(shelf),
        ),
        (
            "bases",
            "Base models",
            "As Table 7. The margin is scale free and not the paper's, which is undefined.",
            _MARGINALS,
            table_values.base_rows(shelf),
        ),
        (
            "crosstalk",
            "Crosstalk with code",
            "As Table 8.",
            paper_tables.T8.columns,
            crosstalk_values.crosstalk_rows(shelf),
        ),
        (
            "coding",
            "Coding",
            "As Tables 9 and 10; differences are paired by problem.",
            _CODING,
            coding_values.coding_rows(shelf),
        ),
        (
            "reversal",
            "One condition on top of another",
            "As Table 14.",
            _REVERSAL,
            table_values.reversal_rows(shelf),
        ),
    ]
    return [
        grid.measured(f"{prefix}-{id}", title, caption, columns, rows)
        for id, title, caption, columns, rows in every
        if rows
    ]


def paper_figures(shelf: match.ResultSet) -> list[Figure]:
    """Figures of the paper's models, after the table each belongs to."""
    models = [
        m
        for m in paper_models.HUB
        if m == paper_models.QWEN_32B or any(p.key["model"] == m for p in shelf.runs)
    ]
    slug = lambda m: m.lower().replace(".", "")
    return [
        Figure(
            "scale-ladder",
            "EI before and after B3 at three sizes (Tables 2 and 3).",
            lambda: plots.ladder(shelf),
        ),
        *(
            Figure(
                f"trajectory-{slug(m)}",
                f"EI, SEI and training loss of {m} over steps (Table 4): seeds thin, their mean thick.",
                lambda m=m: plots.trajectories(shelf, m),
            )
            for m in models
        ),
        Figure(
            "cross-architecture",
            "EI before and after B3 for four 7B models (Tables 5 and 6).",
            lambda: plots.architectures(shelf),
        ),
        Figure(
            "crosstalk",
            "Recall lost between domains, and crosstalk with code (Table 8).",
            lambda: plots_geometry.crosstalk(shelf, True),
        ),
        Figure(
            "humaneval",
            "HumanEval by condition; differences from the base model, ours paired by problem (Table 9).",
            lambda: plots.coding(shelf),
        ),
        Figure(
            "sv-energy",
            "SV energy against HumanEval+ (Table 10).",
            lambda: plots.energy(shelf, True),
        ),
        Figure(
            "lambda",
            "EI under B4 by CSR's weight (Tables 11 and 12).",
            lambda: plots_geometry.lambdas(shelf, True),
        ),
        Figure(
            "reversibility",
            "EI and SEI through B3 and B2 on top of it (Tables 13 and 14).",
            lambda: plots_geometry.reversibility(shelf, True),
        ),
        *_damage(shelf, ""),
    ]


def other_figures(
    shelf: match.ResultSet, of_paper: match.ResultSet = match.ResultSet()
) -> list[Figure]:
    """The same figures of everything that is not the paper's; the paper's models stand beside others of their families in the ladder."""
    models = list(dict.fromkeys(p.key["model"] for p in shelf.runs))
    return [
        Figure(
            "other-responses",
            "EI before (hollow) and after, every group of runs; bars: SD over seeds.",
            lambda: plots.responses(shelf),
        ),
        Figure(
            "other-ladder",
            "EI and CVO before (hollow) and after B3 by number of parameters, a line a family: mean and SD over seeds.",
            lambda: plots_ladders.draw(shelf, of_paper),
        ),
        *(
            Figure(
                f"other-trajectory-{i}",
                f"EI, SEI and training loss of {m} over steps: seeds thin, their mean thick.",
                lambda m=m: plots.trajectories(shelf, m),
            )
            for i, m in enumerate(models, 1)
        ),
        Figure(
            "other-crosstalk",
            "Recall lost between domains, and crosstalk with code.",
            lambda: plots_geometry.crosstalk(shelf, False),
        ),
        Figure(
            "other-humaneval",
            "HumanEval by condition; differences from the base model paired by problem.",
            lambda: plots.other_coding(shelf),
        ),
        Figure(
            "other-sv-energy",
            "SV energy against HumanEval+.",
            lambda: plots.energy(shelf, False),
        ),
        Figure(
            "other-lambda",
            "EI under B4 by CSR's weight.",
            lambda: plots_geometry.lambdas(shelf, False),
        ),
        Figure(
            "other-reversibility",
            "EI and SEI through one condition and another on top.",
            lambda: plots_geometry.reversibility(shelf, False),
        ),
        *_damage(shelf, "other-"),
    ]


def _damage(shelf: match.ResultSet, prefix: str) -> list[Figure]:
    return [
        Figure(
            f"{prefix}damage-{i}",
            f"Accuracy each concept of {m} loses when one direction is removed; boxes: the direction's own concept.",
            lambda m=m: plots_geometry.damage(shelf, m),
        )
        for i, m in enumerate(table_values.base_measurements(shelf), 1)
    ]


def verdict_table(found: Sequence[verdicts.Verdict]) -> grid.Grid:
    """A row a claim: what it says, the verdict, the numbers and the test; marks on the paper's own wording as notes."""
    notes, rows, facts = [], [], []
    for v in found:
        texts = [grid.reason(m) for m in errata.errata_at(v.claim.id)]
        notes += [t for t in texts if t not in notes]
        where = ", ".join((*v.claim.sections, *v.claim.tables))
        test = "\n".join(filter(None, (v.test, v.why)))
        rows.append(
            (
                grid.Cell(
                    v.claim.statement,
                    "key",
                    notes=tuple(notes.index(t) + 1 for t in texts),
                ),
                grid.Cell(v.outcome, _KINDS[v.outcome]),
                grid.Cell(v.numbers or grid.NOTHING, "text"),
                grid.Cell(test, "text"),
                grid.Cell(where, "text"),
            )
        )
        facts.append(
            {
                "claim": v.claim.id,
                "statement": v.claim.statement,
                "status": v.outcome,
                "numbers": v.numbers,
                "test": v.test,
                "why": v.why,
                "where": where,
            }
        )
    heads = tuple(
        map(grid.Head, ("claim", "verdict", "numbers", "test", "sections, tables"))
    )
    caption = "Notes are on the paper's own wording. A claim needs the paper's models with the paper's settings; anything else decides nothing here."
    return grid.Grid(
        "verdicts",
        "Claim by claim",
        caption,
        heads,
        tuple(rows),
        tuple(notes),
        tuple(facts),
    )


def quoted_table() -> grid.Grid:
    """Numbers in the paper's text that do not agree with the rest of it."""
    rows, notes, facts = [], [], []
    for number in quotes.QUOTES:
        texts = [grid.reason(m) for m in errata.errata_at(number.id)]
        notes += [t for t in texts if t not in notes]
        if texts:
            printed = grid.Cell(
                f"{number.value:.{number.digits}f}",
                "published",
                notes=tuple(notes.index(t) + 1 for t in texts),
            )
            what = ", ".join(
                filter(
                    None,
                    (
                        number.what,
                        str(number.key.get("model", "")),
                        str(number.key.get("condition", "")),
                    ),
                )
            )
            rows.append(
                (
                    grid.Cell(what, "key"),
                    printed,
                    grid.Cell(", ".join(number.sections), "text"),
                )
            )
            key = "; ".join(f"{n}={v}" for n, v in number.key.items())
            facts.append(
                {
                    "number": number.id,
                    "what": number.what,
                    "key": key,
                    "published": number.value,
                    "published_mark": " ".join(texts),
                    "sections": ", ".join(number.sections),
                }
            )
    heads = (
        grid.Head("number in the text"),
        grid.Head("published"),
        grid.Head("sections"),
    )
    return grid.Grid(
        "quoted",
        "Numbers in the text",
        "Those that do not agree with the paper's other numbers.",
        heads,
        tuple(rows),
        tuple(notes),
        tuple(facts),
    )
