import json
import pathlib
import subprocess
import sys

import pytest

from jaxent.evaluate import sample_files

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


def test_generate_streams_standard_input():
    found = run("generate.py", "--max_new_tokens=12", input="def load(self")
    assert found.returncode == 0, found.stderr
    assert (
        found.stdout.startswith("def load(self")
        and len(found.stdout) > len("def load(self") + 8
    )
