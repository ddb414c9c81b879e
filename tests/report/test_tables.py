import csv

import fake_runs
import parsed_page
import pytest

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import classify, grid, tables
from jaxent.report import values as table_values
from jaxent.runs import records


def test_what_was_not_run_is_said_so_and_never_a_number(tiny):
    shown = parsed_page.Parsed(tiny.page).tables
    for table in paper_tables.TABLES:
        kinds = [kind.split()[0] for kind, _ in shown[table.id] if kind]
        body = [
            (kind, text)
            for kind, text in shown[table.id]
            if kind and text not in ("published", "measured")
        ]
        assert not [c for c in body if c[0].startswith("measured")], table.id
        assert kinds.count("missing") and all(
            text == "not run" for kind, text in body if kind == "missing"
        )
    for written in (tiny.out / "tables").glob("T*.csv"):
        for row in csv.DictReader(written.open()):
            assert (
                row["status"] in ("not run", "not applicable") and row["measured"] == ""
            )


def test_every_table_of_a_full_study_is_filled(full):
    assert not full.placed.notes and not full.found.unread
    shown = parsed_page.Parsed(full.page).tables
    for table in paper_tables.TABLES:
        missing = [
            row
            for row in csv.DictReader((full.out / "tables" / f"{table.id}.csv").open())
            if row["status"] == "not run"
        ]
        assert all(m["table"] == "T14" and "32B" in m["key"] for m in missing), missing[
            :2
        ]  # no reversal at 32B, as in the paper
        assert any(
            kind.startswith("measured") and text != "measured"
            for kind, text in shown[table.id]
        ), table.id


def test_small_values_are_not_printed_as_zero():
    column = paper_tables.T10.column("sv_energy")
    assert [tables.format_value(column, v) for v in (0.0, 1.1, 4e-4, 3e-6)] == [
        "0.000",
        "1.100",
        "0.0004",
        "3.0e-06",
    ]


def test_a_table_says_how_many_seeds_are_behind_a_mean(tmp_path):
    for seed in (0, 1):
        fake_runs.run(
            tmp_path,
            paper_models.HUB[paper_models.QWEN_14B],
            "B3",
            seed,
            ((0, 0.8), (5000, 0.3)),
            name=f"first{seed}",
        )
        further = {"adapter": f"first{seed}", "max_steps": 1500}
        fake_runs.run(
            tmp_path,
            paper_models.HUB[paper_models.QWEN_14B],
            "B2",
            seed,
            ((0, 0.3), (1500, 0.1 + 0.2 * seed)),
            name=f"then{seed}",
            settings=further,
        )
    by_id = {
        t.id: t
        for t in tables.published_tables(
            classify.classify_records(records.read_records(tmp_path)).paper
        )
    }

    def head(id):
        return [h.text for h in by_id[id].heads]

    assert head("T14")[:3] == ["model", "n, measured", "EI before, published"]
    assert [c.text for c in by_id["T14"].rows[0]][1] == "2" and "0.200 ± 0.141" in [
        c.text for c in by_id["T14"].rows[0]
    ]
    assert by_id["T14"].rows[1][1].text == "not run"
    assert "n, measured" not in head("T3") and head("T2")[1:3] == [
        "n, published",
        "n, measured",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.0, "1.23e+04"), (0.05, "0.05"), (1e-13, "0"), ("falls", "falls")],
)
def test_values_of_varying_decimals_have_three_digits(value, text):
    assert tables.format_value(paper_tables.Column("m", "margin", None), value) == text


def cells(table, **wanted):
    """The texts of a row of measured values, by heading."""
    heads = [head.text for head in table.heads]
    for row in table.rows:
        texts = dict(zip(heads, row))
        if all(texts[name].text == text for name, text in wanted.items()):
            return texts
    raise AssertionError(f"no row of {wanted}")


def test_measured_values_with_interval_reason_and_gap():
    columns = (
        paper_tables.Column("ei", "EI"),
        paper_tables.Column("cvo", "CVO"),
        paper_tables.Column("sei", "SEI"),
    )
    low = table_values.Value(0.5, 0.1, 3, 0.4, 0.6, 8)
    undefined = table_values.Value(None, n=0, why="too few flips")
    rows = [
        ({"model": "a"}, {"ei": low}),
        ({"model": "b", "seed": 1}, {"cvo": undefined}),
    ]
    table = tables.measured("t", "T", "Caption.", columns, rows)
    assert [head.text for head in table.heads] == ["model", "seed", "n", "EI", "CVO"]
    first, second = cells(table, model="a"), cells(table, model="b")
    assert first["EI"] == grid.Cell("0.500 ± 0.100", "measured", "[0.400, 0.600]")
    assert first["seed"].text == first["CVO"].text == grid.NOTHING
    assert first["n"].text == "3" and second["n"].text == grid.NOTHING
    assert second["CVO"] == grid.Cell("undefined", "undefined", notes=(1,))
    assert table.notes == ("Too few flips.",)
    assert [(f["column"], f["status"]) for f in table.facts] == [
        ("ei", "measured"),
        ("cvo", "not applicable"),
        ("ei", "not applicable"),
        ("cvo", "undefined"),
    ]


def test_runs_that_the_paper_lacks_follow_its_rows():
    table = paper_tables.T3
    key = dict(table.rows[0].key) | {"seed": 9}
    value = {"ei_after": table_values.Value(0.25, n=1)}
    other_model = key | {"model": "other"}
    further = tables.published(table, [(key, value), (other_model, value)])
    assert len(further.rows) == len(table.rows) + 1
    last = dict(zip([head.text for head in further.heads], further.rows[-1]))
    assert last["seed"].text == "9" and last["EI after, published"].kind == "nothing"
    assert last["EI after, measured"].text == "0.250"
    assert last["EI before, measured"].text == "not run"
