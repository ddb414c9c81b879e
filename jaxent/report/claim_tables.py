"""Tables of what the paper says in words: its claims, and the numbers in its text."""

from collections.abc import Sequence

from jaxent.paper import errata, quotes
from jaxent.report import grid, verdicts

KINDS = {
    verdicts.SUPPORTED: "supported",
    verdicts.CONTRADICTED: "contradicted",
    verdicts.UNDECIDED: "undecided",
}
"""The kind of cell, which has a colour, of each outcome."""


def verdict_table(decided: Sequence[verdicts.Verdict]) -> grid.Grid:
    """A row a claim: what it says, the verdict, the numbers and the test.

    Args:
      decided: the verdicts.

    Returns:
      The grid; errata of a claim's wording are footnotes on it.
    """
    notes = grid.Footnotes()
    rows, facts = [], []
    for verdict in decided:
        claim = verdict.claim
        where = ", ".join((*claim.sections, *claim.tables))
        test = "\n".join(text for text in (verdict.test, verdict.why) if text)
        marks = _footnotes(claim.id, notes)
        rows.append(
            (
                grid.Cell(claim.statement, "key", notes=marks),
                grid.Cell(verdict.outcome, KINDS[verdict.outcome]),
                grid.Cell(verdict.numbers or grid.NOTHING, "text"),
                grid.Cell(test, "text"),
                grid.Cell(where, "text"),
            )
        )
        facts.append(
            {
                "claim": claim.id,
                "statement": claim.statement,
                "status": verdict.outcome,
                "numbers": verdict.numbers,
                "test": verdict.test,
                "why": verdict.why,
                "where": where,
            }
        )
    heads = ("claim", "verdict", "numbers", "test", "sections, tables")
    return grid.Grid(
        "verdicts",
        "Claim by claim",
        "Notes are on the paper's own wording. A claim needs the paper's models with "
        "the paper's settings; anything else decides nothing here.",
        tuple(map(grid.Head, heads)),
        tuple(rows),
        notes.texts,
        tuple(facts),
    )


def quoted_table() -> grid.Grid:
    """Numbers in the paper's text that do not agree with the rest of it."""
    notes = grid.Footnotes()
    rows, facts = [], []
    for quote in quotes.QUOTES:
        marks = _footnotes(quote.id, notes)
        if not marks:
            continue
        printed = f"{quote.value:.{quote.digits}f}"
        sections = ", ".join(quote.sections)
        of = (str(quote.key.get(name, "")) for name in ("model", "condition"))
        rows.append(
            (
                grid.Cell(", ".join(filter(None, (quote.what, *of))), "key"),
                grid.Cell(printed, "published", notes=marks),
                grid.Cell(sections, "text"),
            )
        )
        facts.append(
            {
                "number": quote.id,
                "what": quote.what,
                "key": "; ".join(f"{n}={v}" for n, v in quote.key.items()),
                "published": quote.value,
                "published_mark": " ".join(_errata(quote.id)),
                "sections": sections,
            }
        )
    heads = ("number in the text", "published", "sections")
    return grid.Grid(
        "quoted",
        "Numbers in the text",
        "Those that do not agree with the paper's other numbers.",
        tuple(map(grid.Head, heads)),
        tuple(rows),
        notes.texts,
        tuple(facts),
    )


def _errata(id: str) -> list[str]:
    return [grid.describe_erratum(erratum) for erratum in errata.errata_at(id)]


def _footnotes(id: str, notes: grid.Footnotes) -> tuple[int, ...]:
    return tuple(notes.number(text) for text in _errata(id))
