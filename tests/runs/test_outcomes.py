import json

from jaxent.runs import folder as run_folder
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs

RUNS = [specs.RunSpec("/x/m", seed=seed) for seed in range(3)]


def three_outcomes(root):
    """One in memory, one on disk, one that failed."""
    folders = [root / run.name for run in RUNS]
    run_folder.RunFolder(folders[1]).write_summary({"steps": 2})
    return [
        run_outcomes.Outcome(RUNS[0], folders[0], "done", summary={"steps": 1}),
        run_outcomes.Outcome(RUNS[1], folders[1], "skipped"),
        run_outcomes.Outcome(RUNS[2], folders[2], "failed", "step 3: loss nan"),
    ]


def test_a_summary_in_memory_is_not_read_again(tmp_path):
    finished = run_outcomes.finished_summaries(three_outcomes(tmp_path))
    assert finished == [(RUNS[0], {"steps": 1}), (RUNS[1], {"steps": 2})]
    assert not (tmp_path / RUNS[0].name).exists()


def test_a_study_holds_what_its_runs_gave(tmp_path):
    outcomes = three_outcomes(tmp_path)
    folder = run_outcomes.write_study("ladder", outcomes, "a\nb", tmp_path, {"x": [1]})
    assert folder == tmp_path / "ladder"
    assert (folder / "table.txt").read_text() == "a\nb\n"
    study = json.loads((folder / "study.json").read_text())
    assert study["study"] == "ladder" and study["x"] == [1] and "versions" in study
    rows = study["runs"]
    assert [row["state"] for row in rows] == ["done", "skipped", "failed"]
    assert [row["summary"] for row in rows] == [{"steps": 1}, {"steps": 2}, None]
    assert rows[2]["reason"] == "step 3: loss nan"
    assert [specs.run_from_json(row["settings"]) for row in rows] == RUNS


def test_measurements_come_without_the_steps_between(tmp_path):
    folder = tmp_path / RUNS[0].name
    folder.mkdir(parents=True)
    records = [{"kind": "measure", "step": 0}, {"kind": "train", "step": 1}]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "metrics.jsonl").write_text(lines)
    measured = run_outcomes.read_measurements(RUNS[:2], tmp_path)
    assert measured == [(RUNS[0], records[:1]), (RUNS[1], [])]


def test_failures_are_named_with_their_reasons(tmp_path):
    text = run_outcomes.format_failures(three_outcomes(tmp_path))
    assert text == "m/B3-strong-seed2 failed: step 3: loss nan"
