import csv
import html
import html.parser
import re

import fake_runs
import matplotlib.image
import numpy as np
import pytest

from jaxent.paper import errata
from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import (
    classify,
    coding_values,
    crosstalk_values,
    grid,
    match,
    plots_ladders,
    provenance,
    render,
    sections,
    verdicts,
)
from jaxent.report import values as table_values
from jaxent.runs import conclusions, quantities, records


class Parsed(html.parser.HTMLParser):
    """Ids, links, resources, and the text of every table's cells by the id of its section."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.resources, self.tables, self.open = (
            [],
            [],
            [],
            {},
            [],
        )
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.resources += [
            found[n]
            for n in ("src", "srcset", "data", "href")
            if n in found and tag != "a"
        ]
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
    assert {t.id for t in paper_tables.TABLES} | {
        "verdicts",
        "quoted",
        "provenance",
    } <= set(parsed.ids)
    assert "A &lt;title&gt;" in written.page and "--runs=a b" in written.page.replace(
        "&#x27;", ""
    )


def test_every_mark_is_on_the_page_with_its_reason(tiny):
    text = Parsed(tiny.page)
    for mark in errata.ERRATA:
        assert html.escape(mark.reason) in tiny.page, mark
    assert ("published", "0.025 ± 0.066") in [
        (k.split()[0], t) for k, t in text.tables["T4"] if k
    ]
    assert "0.071 (B3 2500); 0.160 (B3 3000)" in tiny.page


def test_what_was_not_run_is_said_so_and_never_a_number(tiny):
    tables = Parsed(tiny.page).tables
    for table in paper_tables.TABLES:
        kinds = [kind.split()[0] for kind, _ in tables[table.id] if kind]
        body = [
            (kind, text)
            for kind, text in tables[table.id]
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
    tables = Parsed(full.page).tables
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
            for kind, text in tables[table.id]
        ), table.id


def test_all_forms_of_a_table_say_the_same(full):
    shelf = full.placed.paper
    tables = Parsed(full.page).tables
    for found in (
        *sections.published_tables(shelf),
        *sections.measured_tables(shelf, "paper"),
    ):
        markdown, latex = (
            (full.out / "tables" / f"{found.id}.{form}").read_text()
            for form in ("md", "tex")
        )
        shown = [text.replace("\xa0", " ") for _, text in tables[found.id]]
        for row in found.rows:
            for cell in row:
                text = render.plain(cell)
                assert (
                    text in shown
                    and text.replace("|", r"\|") in markdown
                    and render.tex(text) in latex
                )
        facts = list(csv.DictReader((full.out / "tables" / f"{found.id}.csv").open()))
        measured = [c.text for row in found.rows for c in row if c.kind == "measured"]
        columns = (
            {c.id: c for c in (*paper_tables.find_table(found.id).columns,)}
            if found.id.startswith("T")
            else {}
        )
        for fact in facts if columns else ():
            if fact["status"] == "measured" and re.fullmatch(
                r"-?[\d.e-]+", fact["measured"]
            ):
                sd = (
                    f" ± {grid.number(columns[fact['column']], float(fact['measured_sd']))}"
                    if fact["measured_sd"]
                    else ""
                )
                assert (
                    grid.number(columns[fact["column"]], float(fact["measured"])) + sd
                    in measured
                ), fact
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
    assert expected | {
        "damage-1",
        "damage-6",
        "own-companions-1",
        "own-validity-1",
    } <= stems(full)
    assert expected | {
        "other-responses",
        "other-ladder",
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


def test_what_could_not_be_read_is_named(tiny):
    said = {n.path: n.text for n in tiny.found.unread}
    assert set(said) == {
        "broken/run.json",
        "broken/notes.docx",
        "foreign/crosstalk.json",
        "tiny/B6-strong-seed0/summary.json",
        next(p for p in said if "B3-strong-seed1" in p),
    }
    assert (
        all(path in tiny.page for path in said)
        and "unfinished, at step 8 of 8" in said["tiny/B6-strong-seed0/summary.json"]
    )
    assert len(tiny.found.runs) == 6 and len(tiny.placed.other.finished) == 5
    assert "expected a dict" in said["foreign/crosstalk.json"]


def test_small_values_are_not_printed_as_zero():
    column = paper_tables.T10.column("sv_energy")
    assert [grid.number(column, v) for v in (0.0, 1.1, 4e-4, 3e-6)] == [
        "0.000",
        "1.100",
        "0.0004",
        "3.0e-06",
    ]


def test_an_earlier_report_among_the_runs_is_left_out(full):
    assert records.read_records(full.out) == records.Collection(*[()] * 8)


def test_intervals_of_several_seeds_are_over_replicate_sets(full):
    ((_, values),) = [
        (k, v)
        for k, v in table_values.group_rows(full.placed.paper)
        if match.matches(paper_tables.T2.row(model=paper_models.QWEN_7B).key, k)
    ]
    after = values["ei_after"]
    pooled = table_values.pool_sets(
        [
            p.record.after
            for p in full.placed.paper.finished
            if p.key["model"] == paper_models.QWEN_7B
        ],
        "ei",
    )
    assert after.n == 3 and after.sets == len(pooled) == 8
    assert after.low == pytest.approx(
        pooled.mean() - 2.364624 * pooled.std(ddof=1) / 8**0.5, abs=1e-6
    )
    assert after.sd == pytest.approx(
        np.std(
            [
                p.record.after.value("ei")
                for p in full.placed.paper.finished
                if p.key["model"] == paper_models.QWEN_7B
            ],
            ddof=1,
        )
    )


def test_the_change_of_ei_has_the_spread_of_the_seeds_and_the_interval_of_the_sets(
    full,
):
    ((_, values),) = [
        (k, v)
        for k, v in table_values.group_rows(full.placed.paper)
        if match.matches(paper_tables.T2.row(model=paper_models.QWEN_7B).key, k)
    ]
    runs = [
        p.record
        for p in full.placed.paper.finished
        if p.key["model"] == paper_models.QWEN_7B
    ]
    change = np.array([r.after.value("ei") - r.before.value("ei") for r in runs])
    percent = 100 / np.mean([r.before.value("ei") for r in runs])
    found = values["ei_change"]
    assert (found.mean, found.sd, found.n, found.sets) == (
        pytest.approx(percent * change.mean()),
        pytest.approx(percent * change.std(ddof=1)),
        3,
        8,
    )
    by_set = percent * (
        table_values.pool_sets([r.after for r in runs], "ei")
        - table_values.pool_sets([r.before for r in runs], "ei")
    )
    half = 2.364624 * by_set.std(ddof=1) / 8**0.5
    assert (found.low, found.high) == (
        pytest.approx(by_set.mean() - half, abs=1e-5),
        pytest.approx(by_set.mean() + half, abs=1e-5),
    )
    shown = f"{found.mean:.0f} ± {found.sd:.0f} [{found.low:.0f}, {found.high:.0f}]"
    assert shown in [text for _, text in Parsed(full.page).tables["T5"]]


def test_the_crosstalk_of_conditions_is_the_7bs(tmp_path):
    for model, name, ct in (
        (paper_models.QWEN_7B, "a", 0.1),
        (paper_models.MISTRAL, "b", 0.5),
    ):
        fake_runs.crosstalk(
            tmp_path, paper_models.HUB[model], {"math": (ct, None, None)}, name=name
        )
    ((key, values),) = crosstalk_values.condition_rows(
        classify.classify_records(records.read_records(tmp_path)).paper
    )
    assert key == {"condition": "B2"} and values["ct"].mean == 0.1


def test_the_interval_of_the_margin_is_the_weakest_concepts():
    spans = {
        "margin.shape": {"mean": 0.1, "low": 0.05, "high": 0.15, "sets": 8},
        "margin.domain": {"mean": 1, "low": 0.9, "high": 1.1, "sets": 8},
    }
    found = quantities.Measured(
        0, fake_runs.measurement(intervals=spans, weakest="shape")
    )
    assert (
        found.interval("margin") == (0.05, 0.15)
        and found.interval("domain_accuracy") is None
    )


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
    tables = {
        t.id: t
        for t in sections.published_tables(
            classify.classify_records(records.read_records(tmp_path)).paper
        )
    }
    head = lambda id: [h.text for h in tables[id].heads]
    assert head("T14")[:3] == ["model", "n, measured", "EI before, published"]
    assert [c.text for c in tables["T14"].rows[0]][1] == "2" and "0.200 ± 0.141" in [
        c.text for c in tables["T14"].rows[0]
    ]
    assert tables["T14"].rows[1][1].text == "not run"
    assert "n, measured" not in head("T3") and head("T2")[1:3] == [
        "n, published",
        "n, measured",
    ]


def ladder(root, models, **more):
    for i, model in enumerate(models):
        for seed in (0, 1):
            fake_runs.run(
                root, model, "B3", seed, ((0, 0.6), (5000, 0.5 - 0.1 * i)), **more
            )


def test_ladders_of_other_families_are_by_parameters(tmp_path):
    ladder(
        tmp_path,
        [
            "deepseek-ai/deepseek-coder-33b-base",
            "deepseek-ai/deepseek-coder-1.3b-base",
            "Qwen/Qwen2.5-Coder-0.5B",
            "Qwen/Qwen3-8B",
        ],
    )
    ladder(
        tmp_path,
        [
            paper_models.HUB[paper_models.DEEPSEEK],
            paper_models.HUB[paper_models.QWEN_7B],
            paper_models.HUB[paper_models.CODELLAMA],
        ],
    )
    for model, number in (("a/tiny", 1_000_000), ("a/tiny-small", 300_000)):
        ladder(
            tmp_path,
            [model],
            settings={"steps": 8, "data_root": "embedded"},
            record={"parameters": number},
        )
    placed = classify.classify_records(records.read_records(tmp_path))
    found = plots_ladders.ladders(placed.other, placed.paper)
    sizes = {
        name: [(size, len(runs)) for size, runs in rungs]
        for name, rungs in found.items()
    }
    assert sizes == {
        "deepseek-coder-base": [(1.3e9, 2), (6.7e9, 2), (33e9, 2)],
        "Qwen2.5-Coder": [(0.5e9, 2), (7e9, 2)],
        "tiny": [(300_000, 2), (1_000_000, 2)],
    }
    left, right = plots_ladders.draw(placed.other, placed.paper).axes
    assert [text.get_text() for text in left.get_xticklabels()] == [
        "0.3M",
        "1M",
        "500M",
        "1.3B",
        "6.7B",
        "33B",
    ]
    assert plots_ladders.draw(match.ResultSet(), placed.paper) is None


def test_the_papers_models_stay_out_of_ladders_with_other_settings(tmp_path):
    ladder(
        tmp_path,
        ["Qwen/Qwen2.5-Coder-0.5B", "Qwen/Qwen2.5-Coder-1.5B"],
        settings={"rank": 8},
    )
    ladder(tmp_path, [paper_models.HUB[paper_models.QWEN_7B]])
    placed = classify.classify_records(records.read_records(tmp_path))
    (rungs,) = plots_ladders.ladders(placed.other, placed.paper).values()
    assert [size for size, _ in rungs] == [0.5e9, 1.5e9]


def test_scores_on_other_problems_are_said_to_be_no_humaneval_scores(tmp_path):
    fake_runs.evaluation(
        tmp_path,
        "some/tiny",
        3,
        problems=8,
        of="Embedded",
        subset="subset: 8 problems that are not HumanEval's",
    )
    ((_, values),) = coding_values.coding_rows(
        classify.classify_records(records.read_records(tmp_path)).other
    )
    assert all(
        values[n].why.startswith(
            "of 8 problems that are not HumanEval's: no score on HumanEval"
        )
        for n in ("he", "he_plus", "he_plus_passes")
    )


def test_companions_stand_on_both_axes_beside_what_training_did(full, tiny):
    tables = Parsed(full.page).tables
    row = lambda table, first: next(
        tables[table][i : i + 7]
        for i, (_, text) in enumerate(tables[table])
        if text == first
    )
    texts = [text for _, text in row("own-companions", "math")]
    assert texts == [
        "math",
        "2",
        "0.200",
        "0.450 ± 0.071",
        "0.600",
        "0.04 ± 0",
        "-0.35 ± 0.0707",
    ]
    assert [text for _, text in row("own-companions", "code (the target)")][1:4] == [
        "2",
        "–",
        "0.900 ± 0.000",
    ]
    assert "Undefined in 1 of 2 seeds." in full.page
    assert [text for _, text in row("own-ranks", "math")][:4] == ["math", "3", "2", "1"]
    assert (
        "Qwen2.5-Coder-7B: Two axes order 3 of 3 pairs rightly, crosstalk alone 1: better."
        in full.page
    )
    assert (
        "own-companions" not in tiny.page
        and "Not run: <code>python experiments/companion_metric.py --check</code>"
        in tiny.page
    )


def test_estimators_stand_beside_the_truth(full, tiny):
    cells = [text for _, text in Parsed(full.page).tables["own-validity"]]
    assert (
        "0.500 ± 0.050" in cells
        and "undefined" in cells
        and "Undefined in 1 of 4 draws." in full.page
    )
    assert "0.950" in [text for _, text in Parsed(full.page).tables["own-coverage"]]
    assert "Not run: <code>python experiments/estimator_validity.py</code>" in tiny.page


def test_provenance_is_of_every_record(full):
    rows = [
        [cell.text for cell in row]
        for row in provenance.table(provenance.sources(full.placed, full.found)).rows
    ]
    of = lambda kind: next(row for row in rows if row[1] == kind)
    assert of("crosstalk")[4:] == [
        "0badc0de0bad",
        "–",
        "beef",
        "1" * 12 + "-dirty",
        "H100",
        "1.5 min",
    ]
    assert of("metric")[2] == "Qwen2.5-Coder-7B" and of("validity")[2].endswith(
        "seed 7"
    )
    assert {row[1] for row in rows} == {
        "run",
        "evaluation",
        "crosstalk",
        "metric",
        "validity",
    }
    assert "python experiments/crosstalk.py --probes=hexad" in full.page


def test_provenance_says_how_many_devices_and_processes():
    text = lambda **about: (
        provenance.table(
            [provenance.Source("a", "run", "", "", {"device": "H100"} | about)]
        )
        .rows[0][8]
        .text
    )
    assert text() == text(devices=1, processes=1) == "H100"
    assert (
        text(devices=8, processes=1) == "8 x H100"
        and text(devices=8, processes=2) == "8 x H100, 2 processes"
    )
    assert text(device=None, devices=8) == grid.NOTHING


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


@pytest.mark.parametrize(
    "pairs, said",
    [
        (
            1,
            "2 companions cannot decide it: any order is right by chance once in 2 times",
        ),
        (
            3,
            "3 companions cannot decide it: any order is right by chance once in 6 times",
        ),
        (6, "4 companions: any order is right by chance once in 24 times"),
    ],
)
def test_the_answer_counts_the_companions(pairs, said):
    assert said in conclusions.companion_answer(
        {name: {"right": pairs, "pairs": pairs} for name in ("two axes", "crosstalk")}
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


def test_a_metric_of_another_form_is_named(tmp_path):
    (tmp_path / "study.json").write_text(
        '{"study": "companion_metric", "runs": [], "metric": {"m": {"axes": {}}}}'
    )
    found = records.read_records(tmp_path)
    assert not found.metrics and [note.text for note in found.unread] == [
        "lacks 'question'"
    ]
