import csv
import re

import fake_runs
import parsed_page
import pytest

from jaxent.paper import errata
from jaxent.paper import tables as paper_tables
from jaxent.report import page, verdicts
from jaxent.runs import records


@pytest.mark.parametrize("which", ["full", "tiny"])
def test_the_page_stands_alone(which, request):
    written = request.getfixturevalue(which)
    parsed = parsed_page.Parsed(written.page)
    assert not parsed.open
    assert all(r.startswith("data:") for r in parsed.resources)
    assert not re.search(r"url\(|@import|<script src|fetch\(|XMLHttp", written.page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links} <= set(parsed.ids)
    assert {t.id for t in paper_tables.TABLES} | {
        "verdicts",
        "quoted",
        "provenance",
    } <= set(parsed.ids)
    assert "A &lt;title&gt;" in written.page
    assert "python experiments/report.py '--runs=a b'" in parsed.text


def test_every_mark_is_on_the_page_with_its_reason(tiny):
    parsed = parsed_page.Parsed(tiny.page)
    for mark in errata.ERRATA:
        assert mark.reason in parsed.text, mark
    assert ("published", "0.025 ± 0.066") in [
        (k.split()[0], t) for k, t in parsed.tables["T4"] if k
    ]
    assert "0.071 (B3 2500); 0.160 (B3 3000)" in tiny.page


def test_other_models_have_their_own_section_and_decide_nothing(tiny):
    parsed = parsed_page.Parsed(tiny.page)
    assert {
        "other",
        "other-summary",
        "other-runs",
        "other-steps",
        "other-bases",
        "other-crosstalk",
        "other-coding",
    } <= set(parsed.tables) | set(parsed.ids)
    assert {v.outcome for v in verdicts.decide_all(tiny.placed.paper)} == {
        verdicts.UNDECIDED
    }
    assert any(
        kind == "measured number" and text.startswith("0.400 ± 0.000")
        for kind, text in parsed.tables["other-summary"]
    )
    assert ("undefined", "undefined") in parsed.tables[
        "other-runs"
    ] and "4 own-concept flips, fewer than 10" in tiny.page


def test_every_table_has_its_values_as_csv(full, tiny):
    for written in (full, tiny):
        stems = {
            form: {p.stem for p in (written.out / "tables").glob(f"*.{form}")}
            for form in ("md", "csv")
        }
        assert stems["md"] - stems["csv"] == {"all"}
    rows = list(csv.DictReader((full.out / "tables" / "provenance-table.csv").open()))
    assert {"run", "crosstalk"} <= {row["record"] for row in rows} and any(
        row["model_hash"] == "0badc0de" * 8 for row in rows
    )
    quoted = {
        row["number"]: row
        for row in csv.DictReader((full.out / "tables" / "quoted.csv").open())
    }
    assert (
        quoted["z_b2_b3"]["published"] == "2.15"
        and "2.12" in quoted["z_b2_b3"]["published_mark"]
    )


def test_remarks_stand_under_their_tables(tiny):
    for id, said in (
        ("T7", "= 1.67 is the same for every model"),
        ("T9", "of 164: B0 108, B4 95, B2 93, B1 90, B6 74, B3 70, B5 21."),
    ):
        assert (
            said in tiny.page and said in (tiny.out / "tables" / f"{id}.md").read_text()
        )
    assert "published SDs divide by n" in tiny.page


HOSTILE = """<img src=x onerror="alert('1')">&amp;</script>"""


def test_foreign_text_is_shown_and_never_run(tmp_path):
    short = {"max_steps": 8, "data_root": "embedded"}
    fake_runs.run(
        tmp_path,
        f"some/{HOSTILE.replace('/', '')}",
        "B3",
        0,
        ((0, 0.5), (8, 0.4)),
        name="a&b<i>",
        settings=short,
        record={
            "command": ["x.py", HOSTILE],
            "device": HOSTILE,
            "versions": {"jax": HOSTILE},
        },
    )
    (tmp_path / "<b>").mkdir()
    (tmp_path / "<b>" / "crosstalk.json").write_text('{"<u>": ')
    collection = records.read_records(tmp_path)
    written = page.write(collection, tmp_path / "out", HOSTILE, ["report.py", HOSTILE])
    text = written.read_text()
    parsed = parsed_page.Parsed(text)
    assert not parsed.open and len(parsed.ids) == len(set(parsed.ids))
    assert all(resource.startswith("data:") for resource in parsed.resources)
    assert "<img src=x" not in text and "<i>" not in text and "<u>" not in text
    assert text.count("</script>") == 1 and text.count("<script>") == 1
    # Heading, device, versions, and both commands, quoted for the shell.
    assert parsed.text.count(HOSTILE) >= 3
    assert "a&b<i>" in parsed.text and "<b>/crosstalk.json" in parsed.text
    shell = HOSTILE.replace("'", "'\"'\"'")
    assert parsed.text.count(f"python report.py '{shell}'") == 1
    assert parsed.text.count(f"python x.py '{shell}'") == 1
