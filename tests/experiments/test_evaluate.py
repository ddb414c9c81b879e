import json
import pathlib
import shutil
import subprocess
import sys

import problem_files
import pytest
from decode import helpers

import jaxent
from jaxent.checkpoint import peft
from jaxent.evaluate import sample_files
from jaxent.model import config as configs
from jaxent.runs import records

SMALL = f"{jaxent.__path__[0]}/data/checkpoints/tiny-small"

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "experiments"


def run(script, *arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPTS / script), "--preset=tiny", *arguments],
        capture_output=True,
        text=True,
        **options,
    )


def test_real_problems_through_the_whole_path(shared, tmp_path):
    flags = [
        f"--problems={shared / 'humaneval_plus' / 'HumanEvalPlus.jsonl'}",
        "--limit=4",
        "--max_new_tokens=32",
        f"--output_dir={tmp_path}",
    ]
    found = run("evaluate.py", *flags, "--noscore")
    assert found.returncode == 0, found.stderr
    raw = (tmp_path / sample_files.RAW).read_bytes().splitlines(keepends=True)
    assert len(raw) == 4
    (tmp_path / sample_files.RAW).write_bytes(
        b"".join(raw[:2]) + raw[2][:30]
    )  # as a kill leaves it
    again = run("evaluate.py", *flags)
    if "PermissionError" in again.stderr or "allow_unsandboxed" in again.stderr:
        again = run("evaluate.py", *flags, "--allow_unsandboxed")
    assert again.returncode == 0, again.stderr
    assert sorted(
        (tmp_path / sample_files.RAW).read_bytes().splitlines(keepends=True)
    ) == sorted(raw)
    assert (
        "HumanEval+ pass@1 0.0000" in again.stdout
        and "SUBSET: 4 OF 164 PROBLEMS" in again.stdout
    )
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert (
        record["generation"]["samples"] == 2
        and sum(record["counts"]["plus"].values()) == 4
    )
    assert (
        len(record["model_hash"]) == 16
        and record["adapter_hash"] is None
        and record["versions"]["evalplus"] == "0.3.1"
    )
    other = run("evaluate.py", *flags, "--weights=dequantized")
    assert (
        other.returncode != 0
        and "made with weights 'nf4', expected 'dequantized'" in other.stderr
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            ["--problems=/nowhere.jsonl", "--noscore"],
            "evaluate: HumanEval+ /nowhere.jsonl: no such file",
        ),
        (
            ["--n_samples=3", "--noscore"],
            "evaluate: --n_samples 3: expected 1, or a --temperature above 0",
        ),
        (
            ["--prompt_format=chat", "--noscore"],
            "evaluate: --prompt_format=chat: ",
        ),
        (
            ["--nogenerate", "--nolikelihood"],
            "evaluate: --nogenerate --nolikelihood: expected one of the two",
        ),
        (["--nogenerate", "--revision=main"], "evaluate: revision 'main' of model"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, extra, message):
    found = run("evaluate.py", f"--output_dir={tmp_path / 'out'}", *extra)
    assert (
        found.returncode != 0
        and message in found.stderr
        and "Traceback" not in found.stderr
    )
    assert not (tmp_path / "out").exists()


def test_mbpp_in_a_chat_with_an_adapter(tmp_path):
    """Own problems in MBPP+'s format, through the whole path and the sandbox."""
    model = tmp_path / "model"
    shutil.copytree(SMALL, model)
    template = "{% for m in messages %}{{ m['content'] }}<|endoftext|>{% endfor %}"
    (model / "chat_template.jinja").write_text(template)
    config = configs.read_config(model)
    peft.save_adapter(helpers.random_adapter(config), tmp_path / "adapter", str(model))
    problems = problem_files.write(tmp_path / "mbpp.jsonl", problem_files.MBPP)
    out = tmp_path / "out"
    flags = [
        f"--model={model}",
        f"--adapter={tmp_path / 'adapter'}",
        "--benchmark=mbpp",
        f"--problems={problems}",
        "--prompt_format=chat",
        "--max_new_tokens=4",
        "--allow_unsandboxed",
        f"--output_dir={out}",
    ]
    found = run("evaluate.py", *flags)
    assert found.returncode == 0, found.stderr
    assert "MBPP+      pass@1 0.0000" in found.stdout
    assert "SUBSET: 4 OF 378 PROBLEMS" in found.stdout
    scores = json.loads((out / "scores.json").read_text())
    assert scores["data"]["benchmark"] == "mbpp" and len(scores["ended"]) == 4
    samples = sample_files.read_samples(out / sample_files.RAW)
    assert not any(s.solution.startswith('"""') for s in samples)
    record = json.loads((out / "likelihood.json").read_text())
    assert record["paired"]["n"] == len(record["solutions"]) == 4
    assert record["settings"]["prompt_format"] == "chat"
    for one in record["solutions"]:
        assert one["nats"] > 0 and one["base_nats"] != one["nats"]
    [evaluation] = records.read_records(tmp_path).evaluations
    assert evaluation.likelihood == record


def test_generate_streams_standard_input():
    found = run("generate.py", "--max_new_tokens=12", input="def load(self")
    assert found.returncode == 0, found.stderr
    assert (
        found.stdout.startswith("def load(self")
        and len(found.stdout) > len("def load(self") + 8
    )
