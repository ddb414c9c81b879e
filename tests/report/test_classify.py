import json

import fake_runs
import pytest

from jaxent.paper import models as paper_models
from jaxent.report import classify
from jaxent.runs import records

QWEN = paper_models.HUB[paper_models.QWEN_7B]


def test_settings_that_are_not_the_papers_go_elsewhere_with_the_reason(tmp_path):
    fake_runs.run(tmp_path, QWEN, "B3", 0)
    fake_runs.run(tmp_path, QWEN, "B3", 1, settings={"max_steps": 100, "lora_r": 8})
    fake_runs.run(tmp_path, QWEN, "B3", 2, settings={"data_root": "embedded"})
    fake_runs.evaluation(
        tmp_path, QWEN, 2, name="few", problems=4, subset="subset: 4 of 164 problems"
    )
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.key["seed"] for p in found.paper.runs] == [0] and {
        p.key["seed"] for p in found.other.runs
    } == {1, 2}
    notes = {n.path.split("/")[-1]: n.text for n in found.notes}
    assert (
        "lora_r 8, not 64" in notes["B3-strong-seed1"]
        and "max_steps 100, not 5000" in notes["B3-strong-seed1"]
    )
    assert (
        "embedded texts" in notes["B3-strong-seed2"]
        and "subset: 4 of 164" in notes["few"]
    )
    assert (
        len({p.key["model"] for p in found.other.runs}) == 2
    )  # they differ: never averaged


def test_two_runs_of_one_cell_are_not_averaged(tmp_path):
    fake_runs.run(tmp_path, QWEN, "B3", 0, name="a")
    fake_runs.run(tmp_path, QWEN, "B3", 0, name="b")
    fake_runs.run(tmp_path, QWEN, "B3", 0, name="0", finished=False)
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.record.folder for p in found.paper.runs] == ["a"]
    assert {n.path: n.text for n in found.notes} == {
        "b": "not used: a is the same cell",
        "0": "not used: a is the same cell",
    }


def test_runs_on_other_probes_are_not_mixed_in(tmp_path):
    for seed in range(3):
        probes = {
            "probes": {
                "name": "triad",
                "number": 384,
                "hash": "old" if seed == 2 else "new",
            }
        }
        fake_runs.run(tmp_path, QWEN, "B3", seed, record=probes)
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.key["seed"] for p in found.paper.runs] == [
        0,
        1,
    ] and "probe set old" in found.notes[0].text


def test_what_a_run_or_evaluation_is_of_is_found(tmp_path):
    first = fake_runs.run(tmp_path, QWEN, "B3", 0)
    origin = json.loads((first / "summary.json").read_text())["adapter_hash"]
    further = {"adapter": "/elsewhere/adapter", "max_steps": 1500}
    fake_runs.run(
        tmp_path,
        QWEN,
        "B2",
        0,
        name="by-hash",
        settings=further,
        record={"start": origin},
    )
    fake_runs.run(
        tmp_path,
        QWEN,
        "B2",
        1,
        name="lost",
        settings=further,
        record={"start": "other"},
    )
    fake_runs.evaluation(first, QWEN, 60, "/moved/since/adapter", name="humaneval")
    fake_runs.evaluation(
        tmp_path,
        QWEN,
        60,
        f"/moved/{first.parent.name}/{first.name}/adapter",
        name="by-path",
    )
    fake_runs.evaluation(tmp_path, QWEN, 60, "/nowhere/adapter", name="strange")
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.key["condition"] for p in found.paper.runs] == ["B3>B2", "B3"]
    assert [p.key["condition"] for p in found.other.runs] == ["?>B2"]
    assert [p.of for p in found.paper.evaluations] == [
        str(first.relative_to(tmp_path))
    ] or len(found.paper.evaluations) == 1
    assert {n.path for n in found.notes} >= {"lost", "strange"}


def test_an_evaluation_of_other_weights_is_not_the_papers(tmp_path):
    fake_runs.evaluation(tmp_path, QWEN, 90, name="silent")
    fake_runs.evaluation(
        tmp_path, QWEN, 80, name="whole", load_in_4bit=False, dtype="float32"
    )
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.record.folder for p in found.paper.evaluations] == ["silent"] and [
        p.record.folder for p in found.other.evaluations
    ] == ["whole"]
    assert [n.text for n in found.notes] == [
        "among the other models and settings: load_in_4bit False, not True"
    ]


@pytest.mark.parametrize(
    "about",
    [
        {"alpha": 0.1},
        {"layer": 12},
        {"probes": 48},
        {"pooling": "last"},
        {"load_in_4bit": False},
        {"final_norm": False},
        {"scale_free": True},
        {"probe_set": "hexad", "probes": 480},
    ],
)
def test_a_measurement_that_departs_from_the_paper_is_named_after_it(tmp_path, about):
    fake_runs.single(tmp_path, QWEN, "odd", **about)
    found = classify.classify_records(records.read_records(tmp_path))
    ((name, value), *_) = about.items()
    (odd,) = found.other.singles
    assert (
        not found.paper.singles
        and f"{name} {value}, not " in found.notes[0].text
        and f"({name} {value}, not " in odd.key["model"]
    )
    assert odd.base == paper_models.QWEN_7B
    fake_runs.single(tmp_path, QWEN, "plain")
    assert [
        p.record.folder
        for p in classify.classify_records(records.read_records(tmp_path)).paper.singles
    ] == ["plain"]


def test_layers_are_in_order_and_the_last_one_counts(tmp_path):
    fake_runs.single(tmp_path, QWEN, "two")
    file = tmp_path / "two" / "measure.json"
    (last,) = json.loads(file.read_text())
    file.write_text(json.dumps([last, last | {"layer": 3, "ei": 0.9}]))
    (found,) = classify.classify_records(records.read_records(tmp_path)).paper.singles
    assert [layer["layer"] for layer in found.record.layers] == [3, 28]


def test_crosstalk_at_another_penalty_is_not_the_papers(tmp_path):
    fake_runs.crosstalk(tmp_path, QWEN, {"math": (0.1, 0.0, 0.2)}, name="b")
    fake_runs.crosstalk(tmp_path, QWEN, {"math": (0.9, 0.0, 0.2)}, name="a", alpha=10.0)
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.record.folder for p in found.paper.crosstalks] == [
        "b"
    ] and "alpha 10.0, not 1.0" in found.notes[0].text


def test_a_measurement_on_other_probes_is_not_mixed_in(tmp_path):
    fake_runs.run(tmp_path, QWEN, "B3", 0)
    fake_runs.single(tmp_path, QWEN, "a", probe_hash="older")
    fake_runs.single(
        tmp_path,
        paper_models.HUB[paper_models.QWEN_14B],
        "b",
        layer=48,
        probe_hash=None,
    )
    found = classify.classify_records(records.read_records(tmp_path))
    assert [p.record.folder for p in found.paper.singles] == [
        "b"
    ] and "probe set older, the others' is feed" in found.notes[0].text


def test_runs_on_other_data_of_ones_own_are_other_conditions(tmp_path):
    for seed, settings in enumerate(
        ({"mixture": "law:100"}, {"dataset": "/data/own.jsonl"}, {"mixture": "law:100"})
    ):
        fake_runs.run(tmp_path, QWEN, "own", seed, settings=settings)
    found = classify.classify_records(records.read_records(tmp_path))
    assert not found.paper.runs
    names = sorted(run.key["condition"] for run in found.other.runs)
    assert names == ["own law:100", "own law:100", "own own.jsonl"]
