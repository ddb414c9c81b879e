from jaxent.paper import claims, errata, quotes
from jaxent.report import claim_tables, match, verdicts


def test_a_row_for_every_claim_with_the_errata_of_its_words():
    decided = verdicts.decide_all(match.ResultSet())
    table = claim_tables.verdict_table(decided)
    assert [row[0].text for row in table.rows] == [c.statement for c in claims.CLAIMS]
    assert {row[1].kind for row in table.rows} == {"undecided"}
    marked = 0
    for claim, row in zip(claims.CLAIMS, table.rows):
        reasons = [mark.reason for mark in errata.errata_at(claim.id)]
        notes = [table.notes[number - 1] for number in row[0].notes]
        assert len(notes) == len(reasons)
        assert all(reason in note for reason, note in zip(reasons, notes))
        marked += len(notes)
    assert marked > 0


def test_the_verdict_its_test_and_why_are_in_the_row():
    claim = claims.CLAIMS[0]
    verdict = verdicts.Verdict(claim, verdicts.SUPPORTED, "a: 1", "t > 0", "Since.")
    table = claim_tables.verdict_table([verdict])
    where = ", ".join((*claim.sections, *claim.tables))
    texts = [cell.text for cell in table.rows[0]]
    assert texts == [claim.statement, "supported", "a: 1", "t > 0\nSince.", where]
    assert table.facts[0]["claim"] == claim.id
    assert table.facts[0]["status"] == "supported"


def test_quoted_numbers_are_those_with_an_erratum():
    table = claim_tables.quoted_table()
    wanted = [q for q in quotes.QUOTES if list(errata.errata_at(q.id))]
    assert [fact["number"] for fact in table.facts] == [q.id for q in wanted]
    assert [row[1].text for row in table.rows] == [
        f"{q.value:.{q.digits}f}" for q in wanted
    ]
    assert all(row[1].notes for row in table.rows)
    assert 0 < len(wanted) < len(quotes.QUOTES)
