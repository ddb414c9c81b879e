import json
import os
import pathlib
import subprocess
import sys

import pytest

from jaxent.runs import evaluate as evaluate_runs
from jaxent.runs import folder as run_folder

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "companions.py"


@pytest.fixture(scope="module")
def command(shared, own_probes, tmp_path_factory) -> list[str]:
    """A study of the base model and of two steps under B2, with HumanEval(+) on two
    problems.
    """
    small = [
        "--max_steps=2",
        "--max_length=32",
        "--lora_r=2",
        "--lora_alpha=6",
        "--batch_size=4",
        "--max_train_samples=200",
        "--measure_steps=2",
    ]
    problems = f"--problems={shared / 'humaneval_plus' / 'HumanEvalPlus.jsonl'}"
    evaluate = "--evaluate_flags=--limit=2,--max_new_tokens=8,--allow_unsandboxed"
    out = tmp_path_factory.mktemp("companions")
    return [
        sys.executable,
        str(SCRIPT),
        "--preset=tiny",
        "--conditions=B0,B2",
        "--interventions=strong",
        *small,
        f"--probes={own_probes}",
        problems,
        evaluate,
        f"--output_dir={out}",
    ]


@pytest.mark.slow
def test_every_run_is_trained_and_then_evaluated_once(command):
    out = pathlib.Path(command[-1].removeprefix("--output_dir="))
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    runs = {"B0": out / "tiny" / "B0", "B2": out / "tiny" / "B2-strong-seed0"}
    for condition, folder in runs.items():
        scores, record = (
            evaluate_runs.coding_scores(folder),
            json.loads((folder / run_folder.HUMANEVAL / "evaluation.json").read_text()),
        )
        summary = json.loads((folder / "summary.json").read_text())
        assert scores["samples"] == 2 and record["subset"], condition
        assert record["settings"]["adapter"] == (
            None if condition == "B0" else str(folder / "adapter")
        )
        assert record["adapter_hash"] == summary["adapter_hash"]
        assert (
            record["model_hash"]
            == json.loads((folder / "run.json").read_text())["model_hash"]
        )
        assert (
            record["command"][0].endswith("evaluate.py")
            and "--limit=2" in record["command"]
            and record["seconds"] > 0
        )
    assert (
        "HumanEval+ (%)" in found.stdout
        and json.loads((out / "companions" / "study.json").read_text())["versions"][
            "jax"
        ]
    )
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.returncode == 0 and again.stdout.count("finished before") == 4, (
        again.stderr
    )
