import json

import fake_runs
import pytest

from jaxent.report import paper, place, records

QWEN = paper.HUB[paper.QWEN_7B]


@pytest.mark.parametrize(
    "model, expected",
    [
        (QWEN, (paper.QWEN_7B, True)),
        ("/models/qwen2.5-coder-7b/", (paper.QWEN_7B, True)),
        ("/home/x/.cache/huggingface/hub/models--codellama--CodeLlama-7b-hf/snapshots/0123", (paper.CODELLAMA, True)),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", ("Qwen2.5-Coder-7B-Instruct", False)),
        ("/data/tiny", ("tiny", False)),
    ],
)
def test_models_are_known_by_hub_id_folder_or_cache(model, expected):
    assert place.model_name(model) == expected


def test_settings_that_are_not_the_papers_go_elsewhere_with_the_reason(tmp_path):
    fake_runs.run(tmp_path, QWEN, "B3", 0)
    fake_runs.run(tmp_path, QWEN, "B3", 1, settings={"steps": 100, "rank": 8})
    fake_runs.run(tmp_path, QWEN, "B3", 2, settings={"data_root": "embedded"})
    fake_runs.evaluation(tmp_path, QWEN, 2, name="few", problems=4, subset="subset: 4 of 164 problems")
    found = place.place(records.read(tmp_path))
    assert [p.key["seed"] for p in found.paper.runs] == [0] and {p.key["seed"] for p in found.other.runs} == {1, 2}
    notes = {n.path.split("/")[-1]: n.text for n in found.notes}
    assert "rank 8, not 64" in notes["B3-strong-seed1"] and "steps 100, not 5000" in notes["B3-strong-seed1"]
    assert "embedded texts" in notes["B3-strong-seed2"] and "subset: 4 of 164" in notes["few"]
    assert len({p.key["model"] for p in found.other.runs}) == 2  # they differ: never averaged


def test_settings_that_do_not_act_do_not_set_runs_apart(tmp_path):
    tiny = {"steps": 8, "data_root": "embedded"}
    fake_runs.run(tmp_path, "some/tiny", "B3", 0, settings=tiny | {"measure_every": 4})
    fake_runs.run(tmp_path, "some/tiny", "B4", 0, settings=tiny | {"csr_every": 4})
    fake_runs.run(tmp_path, "some/tiny", "B5", 0, settings=tiny | {"curriculum_steps": 2})
    found = place.place(records.read(tmp_path)).other
    assert {p.key["model"] for p in found.runs} == {"tiny"}
    fake_runs.run(tmp_path, "some/tiny", "B3", 1, settings=tiny | {"rank": 4})
    found = place.place(records.read(tmp_path)).other
    assert {p.key["model"] for p in found.runs} == {"tiny (rank 64)", "tiny (rank 4)"}


def test_two_runs_of_one_cell_are_not_averaged(tmp_path):
    fake_runs.run(tmp_path, QWEN, "B3", 0, name="a")
    fake_runs.run(tmp_path, QWEN, "B3", 0, name="b")
    fake_runs.run(tmp_path, QWEN, "B3", 0, name="0", finished=False)
    found = place.place(records.read(tmp_path))
    assert [p.record.folder for p in found.paper.runs] == ["a"]
    assert {n.path: n.text for n in found.notes} == {"b": "not used: a is the same cell", "0": "not used: a is the same cell"}


def test_runs_on_other_probes_are_not_mixed_in(tmp_path):
    for seed in range(3):
        probes = {"probes": {"name": "triad", "number": 384, "hash": "old" if seed == 2 else "new"}}
        fake_runs.run(tmp_path, QWEN, "B3", seed, record=probes)
    found = place.place(records.read(tmp_path))
    assert [p.key["seed"] for p in found.paper.runs] == [0, 1] and "probe set old" in found.notes[0].text


def test_what_a_run_or_evaluation_is_of_is_found(tmp_path):
    first = fake_runs.run(tmp_path, QWEN, "B3", 0)
    origin = json.loads((first / "summary.json").read_text())["adapter_hash"]
    further = {"start": "/elsewhere/adapter", "steps": 1500}
    fake_runs.run(tmp_path, QWEN, "B2", 0, name="by-hash", settings=further, record={"start": origin})
    fake_runs.run(tmp_path, QWEN, "B2", 1, name="lost", settings=further, record={"start": "other"})
    fake_runs.evaluation(first, QWEN, 60, "/moved/since/adapter", name="humaneval")
    fake_runs.evaluation(tmp_path, QWEN, 60, f"/moved/{first.parent.name}/{first.name}/adapter", name="by-path")
    fake_runs.evaluation(tmp_path, QWEN, 60, "/nowhere/adapter", name="strange")
    found = place.place(records.read(tmp_path))
    assert [p.key["condition"] for p in found.paper.runs] == ["B3>B2", "B3"]
    assert [p.key["condition"] for p in found.other.runs] == ["?>B2"]
    assert [p.of for p in found.paper.evaluations] == [str(first.relative_to(tmp_path))] or len(found.paper.evaluations) == 1
    assert {n.path for n in found.notes} >= {"lost", "strange"}
