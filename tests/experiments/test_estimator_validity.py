import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = (
    pathlib.Path(__file__).resolve().parents[2]
    / "experiments"
    / "estimator_validity.py"
)


@pytest.mark.slow
def test_draws_every_panel_and_the_coverage(tmp_path):
    arguments = [
        "--draws=2",
        "--coverage_draws=3",
        "--dimensions=64",
        f"--output_dir={tmp_path}",
    ]
    found = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert (
        "true overlap, their class structure rotated to it" in found.stdout
        and "holds the truth" in found.stdout
    )
    study = json.loads((tmp_path / "validity.json").read_text())
    assert [p["axis"] for p in study["panels"]] == [
        "overlap",
        "snr",
        "scale",
        "sets",
        "decay",
        "rotated",
    ]
    assert (
        study["seed"] == 0
        and len(study["model_hash"]) == len(study["probe_hash"]) == 16
    )
    for panel in study["panels"][::5]:  # the dial, on synthetic and on real activations
        last = panel["points"][-1]
        assert last["truth"] == 0.9 and abs(last["cvo"]["mean"] - 0.9) < 0.15, panel[
            "axis"
        ]
    assert (tmp_path / "validity.png").stat().st_size > 20_000
