from jaxent.report import match, measured_tables


def test_only_tables_with_rows_are_made(full, tiny):
    assert measured_tables.measured_tables(match.ResultSet(), "paper") == []
    ids = [t.id for t in measured_tables.measured_tables(full.placed.paper, "paper")]
    names = ["summary", "runs", "steps", "bases", "crosstalk", "coding", "reversal"]
    assert ids == [f"paper-{name}" for name in names]
    others = measured_tables.measured_tables(tiny.placed.other, "other")
    assert [t.id for t in others] == [f"other-{name}" for name in names[:-1]]


def test_nothing_published_is_in_them(full):
    for table in measured_tables.measured_tables(full.placed.paper, "paper"):
        kinds = {cell.kind for row in table.rows for cell in row}
        assert "measured" in kinds and kinds <= {
            "key",
            "measured",
            "undefined",
            "nothing",
        }
        assert {fact["published"] for fact in table.facts} == {None}


def test_the_summary_has_a_row_for_each_group_of_seeds(tiny):
    summary = measured_tables.measured_tables(tiny.placed.other, "other")[0]
    heads = [head.text for head in summary.heads]
    rows = [dict(zip(heads, (cell.text for cell in row))) for row in summary.rows]
    (b3,) = [r for r in rows if (r["model"], r["condition"]) == ("tiny", "B3")]
    assert b3["n"] == "2" and b3["EI after"] == "0.400 ± 0.000"
