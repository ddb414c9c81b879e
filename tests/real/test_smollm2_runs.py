"""The scripts on a real language model, SmolLM2-135M-Instruct."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from jaxent.evaluate import sample_files
from jaxent.train import log

pytestmark = pytest.mark.real

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "experiments"


def command(script: str, *arguments: str) -> list[str]:
    preset = ("--preset=tiny", "--model=smollm2")
    return [sys.executable, str(SCRIPTS / script), *preset, *arguments]


def run(script: str, *arguments: str) -> str:
    done = subprocess.run(command(script, *arguments), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_measured(smollm2, own_probes, tmp_path):
    run("measure.py", f"--probes={own_probes}", f"--output_dir={tmp_path}")
    record = json.loads((tmp_path / "measure.json").read_text())
    last = record["layers"][-1] if isinstance(record, dict) else record[-1]
    assert all(0 <= last["accuracy"][c] <= 1 for c in ("domain", "register", "shape"))
    assert last["singular"] == sorted(last["singular"], reverse=True)
    assert last["accuracy"]["domain"] > 0.5


def test_humaneval_from_end_to_end(smollm2, tmp_path):
    flags = ("--limit=2", "--max_new_tokens=12", f"--output_dir={tmp_path}")
    said = run("evaluate.py", *flags, "--allow_unsandboxed")
    assert "SUBSET: 2 PROBLEMS" in said
    assert len((tmp_path / sample_files.RAW).read_text().splitlines()) == 2
    record = json.loads((tmp_path / "evaluation.json").read_text())
    assert record["generation"]["samples"] == 2
    assert sum(record["counts"]["plus"].values()) == 2


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_identical_adapter_on_eight_devices(
    smollm2, own_probes, tmp_path
):
    flags = (
        "--max_steps=3",
        "--measure_steps=3",
        "--save_steps=1",
        "--max_length=32",
        "--batch_size=2",
        "--micro_batch_size=2",
        "--lora_r=4",
        "--mesh=data:2,fsdp:4",
        f"--probes={own_probes}",
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run("finetune.py", *flags, f"--output_dir={whole}")
    arguments = (*flags, f"--output_dir={cut}")
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(
            command("finetune.py", *arguments), stdout=nowhere, stderr=nowhere
        )
        while process.poll() is None and _steps_done(cut) < 2:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (cut / "adapter").exists()
    run("finetune.py", *arguments, "--resume")
    name = "adapter/adapter_model.safetensors"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()


def _steps_done(folder: pathlib.Path) -> int:
    records = log.read_metrics(folder / "metrics.jsonl")
    return max((record["step"] for record in records), default=0)
