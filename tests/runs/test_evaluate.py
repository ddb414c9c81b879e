import json

import pytest

from jaxent.runs import evaluate as evaluate_runs
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import quantities
from jaxent.runs import spec as specs

FAKE = """
import json, pathlib, sys
flags = dict(f[2:].split("=", 1) for f in sys.argv[1:] if "=" in f)
out = pathlib.Path(flags["output_dir"])
if "seed1" in flags["output_dir"]:
    print("half way\\nevaluate: no sandbox", file=sys.stderr)
    sys.exit(1)
out.mkdir()
(out / "argv").write_text(" ".join(sys.argv[1:]))
counts = {"plus": {"pass": 3, "wrong": 1}}
scores = {"pass@1": {"base": 1.0, "plus": 0.75}, "counts": counts}
(out / "scores.json").write_text(json.dumps(scores))
(out / "evaluation.json").write_text("{}")
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "evaluate.py").write_text(FAKE)
    return tmp_path / "evaluate.py"


def test_the_model_is_that_of_the_run(tmp_path):
    run = specs.RunSpec("a/b", revision="v2", tuner="full", load_in_4bit=False)
    (tmp_path / "model").mkdir()
    command = evaluate_runs.evaluate_command(run, tmp_path, tmp_path / "e.py", [])
    assert command[2:] == [
        "--model=a/b",
        f"--output_dir={tmp_path}/humaneval",
        "--revision=v2",
        "--noload_in_4bit",
        f"--adapter={tmp_path}/model",
    ]


def test_evaluates_what_is_finished_once_and_names_what_failed(tmp_path, script, capfd):
    runs = [
        specs.RunSpec("/m", "B0"),
        specs.RunSpec("/m", "B1", dtype="float32"),
        specs.RunSpec("/m", seed=1),
        specs.RunSpec("/m", seed=2),
    ]
    states = ["done", "skipped", "done", "failed"]
    outcomes = [
        run_outcomes.Outcome(r, tmp_path / r.name, s) for r, s in zip(runs, states)
    ]
    for outcome in outcomes:
        outcome.folder.mkdir(parents=True)
    failed = evaluate_runs.evaluate_all(outcomes, script, ["--limit=4"])
    assert [(o.run, o.reason) for o in failed] == [
        (runs[2], "HumanEval(+): evaluate: no sandbox")
    ]

    def argv(run):
        return (tmp_path / run.name / "humaneval" / "argv").read_text()

    assert (
        argv(runs[0]) == f"--model=/m --output_dir={tmp_path}/m/B0/humaneval --limit=4"
    )
    adapter = f"--adapter={tmp_path}/m/B1-strong-seed0/adapter"
    assert (
        argv(runs[1])
        == f"--model=/m --output_dir={tmp_path}/m/B1-strong-seed0/humaneval {adapter} "
        "--dtype=float32 --limit=4"
    )
    assert evaluate_runs.coding_scores(outcomes[1].folder) == {
        "base": 1.0,
        "plus": 0.75,
        "passes": 3,
        "samples": 4,
        "nats_a_byte": None,
        "nats_a_byte_change": None,
    }
    measured = {"nats_a_byte": 0.5, "paired": {"estimate": -0.1}}
    file = outcomes[1].folder / "humaneval" / "likelihood.json"
    file.write_text(json.dumps(measured))
    scores = evaluate_runs.coding_scores(outcomes[1].folder)
    assert (scores["nats_a_byte"], scores["nats_a_byte_change"]) == (0.5, -0.1)
    read = quantities.RESULTS["nats_a_byte_change"]
    assert read({"coding": scores}) == -0.1
    assert [evaluate_runs.coding_scores(o.folder) for o in outcomes[2:]] == [None, None]
    script.write_text("raise SystemExit(3)")
    again = evaluate_runs.evaluate_all(outcomes, script)
    assert [o.reason for o in again] == [
        "HumanEval(+): exit status 3"
    ] and "half way" in capfd.readouterr().err
