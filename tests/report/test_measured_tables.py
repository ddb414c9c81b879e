from jaxent.report import match, measured_tables


def test_only_tables_with_rows_are_made(full, tiny):
    assert measured_tables.measured_tables(match.ResultSet(), "paper") == []
    ids = [t.id for t in measured_tables.measured_tables(full.placed.paper, "paper")]
    names = ["summary", "summary-second", "runs", "steps", "steps-second", "bases"]
    names += ["crosstalk", "coding", "reversal"]
    assert ids == [f"paper-{name}" for name in names]
    others = measured_tables.measured_tables(tiny.placed.other, "other")
    assert [t.id for t in others] == [f"other-{name}" for name in names[:-1]]


def test_cvo_is_first_and_sei_is_folded(tiny):
    every = measured_tables.measured_tables(tiny.placed.other, "other")
    by_id = {table.id.removeprefix("other-"): table for table in every}
    for id in ("summary", "steps"):
        first = [h.text for h in by_id[id].heads]
        second = [h.text for h in by_id[f"{id}-second"].heads]
        at_cvo = next(i for i, text in enumerate(first) if text.startswith("CVO"))
        at_ei = next(i for i, text in enumerate(first) if text.startswith("EI (as"))
        assert at_cvo < at_ei
        assert not any("SEI" in text or "all probes" in text for text in first)
        assert any(text.startswith("SEI") for text in second)
        assert by_id[f"{id}-second"].folded and not by_id[id].folded
    assert tiny.page.count("<details><summary><b>Second opinions") == 2


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
    assert b3["n"] == "2" and b3["EI (as published) after"] == "0.400 ± 0.000"
