import csv
import html
import html.parser
import re

import matplotlib.image
import numpy as np
import pytest

from jaxent.report import cells, grid, marks, paper, place, provenance, records, render, sections, verdicts


class Parsed(html.parser.HTMLParser):
    """Ids, links, resources, and the text of every table's cells by the id of its section."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.resources, self.tables, self.open = [], [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.resources += [found[n] for n in ("src", "srcset", "data", "href") if n in found and tag != "a"]
        self.open += [tag] if tag not in ("meta", "link", "img", "br") else []
        if tag == "section":
            self.tables[found["id"]] = []
        if tag in ("td", "th"):
            self.tables[list(self.tables)[-1]].append((found.get("class", ""), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and {"td", "th"} & set(self.open) and "sup" not in self.open:
            kind, text = self.tables[list(self.tables)[-1]].pop()
            self.tables[list(self.tables)[-1]].append((kind, text + data))


@pytest.mark.parametrize("which", ["full", "tiny"])
def test_the_page_stands_alone(which, request):
    written = request.getfixturevalue(which)
    parsed = Parsed(written.page)
    assert not parsed.open
    assert all(r.startswith("data:") for r in parsed.resources)
    assert not re.search(r"url\(|@import|<script src|fetch\(|XMLHttp", written.page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links} <= set(parsed.ids)
    assert {t.id for t in paper.TABLES} | {"verdicts", "quoted", "provenance"} <= set(parsed.ids)
    assert "A &lt;title&gt;" in written.page and "--runs=a b" in written.page.replace("&#x27;", "")


def test_every_mark_is_on_the_page_with_its_reason(tiny):
    text = Parsed(tiny.page)
    for mark in marks.MARKS:
        assert html.escape(mark.reason) in tiny.page, mark
    assert ("published", "0.025 ± 0.066") in [(k.split()[0], t) for k, t in text.tables["T4"] if k]
    assert "0.071 (B3 2500); 0.160 (B3 3000)" in tiny.page


def test_what_was_not_run_is_said_so_and_never_a_number(tiny):
    tables = Parsed(tiny.page).tables
    for table in paper.TABLES:
        kinds = [kind.split()[0] for kind, _ in tables[table.id] if kind]
        body = [(kind, text) for kind, text in tables[table.id] if kind and text not in ("published", "measured")]
        assert not [c for c in body if c[0].startswith("measured")], table.id
        assert kinds.count("missing") and all(text == "not run" for kind, text in body if kind == "missing")
    for written in (tiny.out / "tables").glob("T*.csv"):
        for row in csv.DictReader(written.open()):
            assert row["status"] in ("not run", "not applicable") and row["measured"] == ""


def test_every_table_of_a_full_study_is_filled(full):
    assert not full.placed.notes and not full.found.unread
    tables = Parsed(full.page).tables
    for table in paper.TABLES:
        missing = [row for row in csv.DictReader((full.out / "tables" / f"{table.id}.csv").open()) if row["status"] == "not run"]
        assert all(m["table"] == "T14" and "32B" in m["key"] for m in missing), missing[:2]  # no reversal at 32B, as in the paper
        assert any(kind.startswith("measured") and text != "measured" for kind, text in tables[table.id]), table.id


def test_all_forms_of_a_table_say_the_same(full):
    shelf = full.placed.paper
    tables = Parsed(full.page).tables
    for found in (*sections.paper_tables(shelf), *sections.measured_tables(shelf, "paper")):
        markdown, latex = ((full.out / "tables" / f"{found.id}.{form}").read_text() for form in ("md", "tex"))
        shown = [text.replace("\xa0", " ") for _, text in tables[found.id]]
        for row in found.rows:
            for cell in row:
                text = render.plain(cell)
                assert text in shown and text.replace("|", r"\|") in markdown and render.tex(text) in latex
        facts = list(csv.DictReader((full.out / "tables" / f"{found.id}.csv").open()))
        measured = [c.text for row in found.rows for c in row if c.kind == "measured"]
        columns = {c.id: c for c in (*paper.table(found.id).columns,)} if found.id.startswith("T") else {}
        for fact in facts if columns else ():
            if fact["status"] == "measured" and re.fullmatch(r"-?[\d.e-]+", fact["measured"]):
                sd = f" ± {grid.number(columns[fact['column']], float(fact['measured_sd']))}" if fact["measured_sd"] else ""
                assert grid.number(columns[fact["column"]], float(fact["measured"])) + sd in measured, fact
    whole = (full.out / "tables" / "all.md").read_text()
    assert all(f"### Table {i}\n" in whole for i in range(1, 15))


def test_every_figure_is_drawn_and_on_the_page(full, tiny):
    stems = lambda written: {p.stem for p in (written.out / "figures").glob("*.png")}
    expected = {
        "scale-ladder",
        "cross-architecture",
        "crosstalk",
        "humaneval",
        "sv-energy",
        "lambda",
        "reversibility",
        "trajectory-qwen25-coder-32b",
    }
    assert expected | {"damage-1", "damage-6", "own-companions-1", "own-validity-1"} <= stems(full)
    assert expected | {
        "other-responses",
        "other-trajectory-1",
        "other-crosstalk",
        "other-humaneval",
        "other-lambda",
        "other-damage-1",
    } <= stems(tiny)
    for written in (full, tiny):
        ids = Parsed(written.page).ids
        for png in (written.out / "figures").glob("*.png"):
            image = matplotlib.image.imread(png)
            assert f"figure-{png.stem}" in ids and png.with_suffix(".svg").is_file()
            assert min(image.shape[:2]) > 200 and image[..., :3].std() > 0.03
        assert not list(written.out.rglob("*.partial*"))


def test_other_models_have_their_own_section_and_decide_nothing(tiny):
    parsed = Parsed(tiny.page)
    assert {"other", "other-summary", "other-runs", "other-steps", "other-bases", "other-crosstalk", "other-coding"} <= set(
        parsed.tables
    ) | set(parsed.ids)
    assert {v.outcome for v in verdicts.every(tiny.placed.paper)} == {verdicts.UNDECIDED}
    assert any(kind == "measured number" and text.startswith("0.400 ± 0.000") for kind, text in parsed.tables["other-summary"])
    assert ("undefined", "undefined") in parsed.tables["other-runs"] and "4 own-concept flips, fewer than 10" in tiny.page


def test_what_could_not_be_read_is_named(tiny):
    said = {n.path: n.text for n in tiny.found.unread}
    assert set(said) == {
        "broken/run.json", "broken/notes.docx", "foreign/crosstalk.json", "tiny/B6-strong-seed0/summary.json",
        next(p for p in said if "B3-strong-seed1" in p),
    }  # fmt: skip
    assert all(path in tiny.page for path in said) and "unfinished, at step 8 of 8" in said["tiny/B6-strong-seed0/summary.json"]
    assert len(tiny.found.runs) == 5 and len(tiny.placed.other.finished) == 4
    assert "expected a dict" in said["foreign/crosstalk.json"]


def test_small_values_are_not_printed_as_zero():
    column = paper.T10.column("sv_energy")
    assert [grid.number(column, v) for v in (0.0, 1.1, 4e-4, 3e-6)] == ["0.000", "1.100", "0.0004", "3.0e-06"]


def test_an_earlier_report_among_the_runs_is_left_out(full):
    assert records.read(full.out) == records.Collection(*[()] * 8)


def test_intervals_of_several_seeds_are_over_replicate_sets(full):
    ((_, values),) = [(k, v) for k, v in cells.summary(full.placed.paper) if place.belongs(paper.T2.row(model=paper.QWEN_7B).key, k)]
    after = values["ei_after"]
    pooled = cells.pool([p.record.after for p in full.placed.paper.finished if p.key["model"] == paper.QWEN_7B], "ei")
    assert after.n == 3 and after.sets == len(pooled) == 8
    assert after.low == pytest.approx(pooled.mean() - 2.364624 * pooled.std(ddof=1) / 8**0.5, abs=1e-6)
    assert after.sd == pytest.approx(
        np.std([p.record.after.value("ei") for p in full.placed.paper.finished if p.key["model"] == paper.QWEN_7B], ddof=1)
    )


def test_companions_stand_on_both_axes_beside_what_training_did(full, tiny):
    tables = Parsed(full.page).tables
    row = lambda table, first: next(tables[table][i : i + 7] for i, (_, text) in enumerate(tables[table]) if text == first)
    texts = [text for _, text in row("own-companions", "math")]
    assert texts == ["math", "2", "0.200", "0.450 ± 0.071", "0.600", "0.04 ± 0", "-0.35 ± 0.0707"]
    assert [text for _, text in row("own-companions", "code (the target)")][1:4] == ["2", "–", "0.900 ± 0.000"]
    assert "Undefined in 1 of 2 seeds." in full.page
    assert [text for _, text in row("own-ranks", "math")][:4] == ["math", "3", "2", "1"]
    assert "Qwen2.5-Coder-7B: Two axes order 3 of 3 pairs rightly, crosstalk alone 1: better." in full.page
    assert "own-companions" not in tiny.page and "Not run: <code>python experiments/companion_metric.py --check</code>" in tiny.page


def test_estimators_stand_beside_the_truth(full, tiny):
    cells = [text for _, text in Parsed(full.page).tables["own-validity"]]
    assert "0.500 ± 0.050" in cells and "undefined" in cells and "Undefined in 1 of 4 draws." in full.page
    assert "0.950" in [text for _, text in Parsed(full.page).tables["own-coverage"]]
    assert "Not run: <code>python experiments/estimator_validity.py</code>" in tiny.page


def test_provenance_is_of_every_record(full):
    rows = [[cell.text for cell in row] for row in provenance.table(provenance.sources(full.placed, full.found)).rows]
    of = lambda kind: next(row for row in rows if row[1] == kind)
    assert of("crosstalk")[4:] == ["0badc0de0bad", "–", "beef", "1" * 12 + "-dirty", "H100", "1.5 min"]
    assert of("metric")[2] == "Qwen2.5-Coder-7B" and of("validity")[2].endswith("seed 7")
    assert {row[1] for row in rows} == {"run", "evaluation", "crosstalk", "metric", "validity"}
    assert "python experiments/crosstalk.py --probes=hexad" in full.page


def test_a_metric_of_another_form_is_named(tmp_path):
    (tmp_path / "study.json").write_text('{"study": "companion_metric", "runs": [], "metric": {"m": {"axes": {}}}}')
    found = records.read(tmp_path)
    assert not found.metrics and [note.text for note in found.unread] == ["lacks 'question'"]
