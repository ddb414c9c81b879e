import json
import os
import pathlib
import subprocess
import sys

import pytest

from jaxent.train import log

SCRIPT = (
    pathlib.Path(__file__).resolve().parents[2] / "experiments" / "reversibility.py"
)


@pytest.mark.slow
def test_the_continued_run_starts_from_the_b3_adapter(tmp_path, own_probes):
    small = [
        "--max_steps=3",
        "--max_length=32",
        "--lora_r=2",
        "--lora_alpha=6",
        "--batch_size=4",
        "--max_train_samples=200",
        f"--probes={own_probes}",
    ]
    command = [
        sys.executable,
        str(SCRIPT),
        "--preset=tiny",
        *small,
        "--further_steps=2",
        f"--output_dir={tmp_path}",
    ]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert found.returncode == 0, found.stderr
    first, then = (
        tmp_path / "tiny" / "B3-strong-seed0",
        tmp_path / "tiny" / "B2-strong-seed0-from-B3-strong-seed0",
    )
    records, summaries = {}, {}
    for folder in (first, then):
        records[folder] = log.read_metrics(folder / "metrics.jsonl")
        summaries[folder] = json.loads((folder / "summary.json").read_text())

    def about(record):
        return {n: v for n, v in record.items() if n not in ("step", "seconds")}

    assert (
        about(summaries[then]["before"])
        == about(summaries[first]["after"])
        != about(summaries[first]["before"])
    )
    assert [r["step"] for r in records[then] if r["kind"] == "measure"] == [0, 1, 2]
    assert [r["learning_rate"] for r in records[then] if r["kind"] == "train"] == [
        0.0,
        records[first][2]["learning_rate"],
    ]  # afresh
    assert (
        json.loads((then / "run.json").read_text())["start"]
        == summaries[first]["adapter_hash"]
        != summaries[then]["adapter_hash"]
    )
    assert "Continued, by step" in found.stdout and "seed 0" in found.stdout
