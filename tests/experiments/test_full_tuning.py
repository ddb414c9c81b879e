"""A run that trains all weights, from finetune.py to the scripts that read it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from jaxent.runs import validate

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[2] / "experiments"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess:
    found = subprocess.run(
        [sys.executable, str(EXPERIMENTS / script), "--preset=tiny", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
    )
    assert found.returncode == 0, found.stderr
    return found


@pytest.mark.slow
def test_what_a_run_trained_is_measured_as_the_run_measured_it(tmp_path, own_probes):
    folder, probes = tmp_path / "full", f"--probes={own_probes}"
    wide = "--noload_in_4bit"
    small = ("--max_steps=2", "--measure_steps=2", "--max_length=64")
    run("finetune.py", "--tuner=full", wide, probes, *small, f"--output_dir={folder}")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["adapter_hash"] == validate.adapter_hash(folder / "model")
    assert not (folder / "adapter").exists()
    assert summary["drift"]["total"] > 0 and summary["sv_energy"]["total"] > 0
    out = tmp_path / "measured"
    run("measure.py", wide, probes, f"--adapter={folder}", f"--output_dir={out}")
    measured = json.loads((out / "measure.json").read_text())[-1]
    assert measured["adapter"] == str(folder / "model")
    assert measured["adapter_hash"] == summary["adapter_hash"]
    assert measured["revision"] is None
    assert measured["sv_energy"] == pytest.approx(summary["sv_energy"]["total"])
    assert measured["accuracy"] == pytest.approx(summary["after"]["accuracy"])
    assert measured["drift"]["total"] == pytest.approx(
        summary["drift"]["total"], rel=1e-4
    )
