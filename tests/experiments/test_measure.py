import json
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "measure.py"


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), "--preset=tiny", *arguments], capture_output=True, text=True)


def test_every_layer_of_the_embedded_checkpoint(tmp_path):
    found = run(f"--out={tmp_path}", "--replicates=5", "--layers=0,4")
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("layer") and f"Results: {tmp_path}" in found.stdout
    measured = json.loads((tmp_path / "measure.json").read_text())
    assert [m["layer"] for m in measured] == [0, 4] and measured[1]["probes"] == 240 and measured[1]["sets"] == 5
    assert set(measured[1]["intervals"]) >= {"ei", "sei", "cvo", "v_purity"}
    assert {p.name for p in tmp_path.glob("*.png")} == {"damage.png", "spectrum.png", "estimates.png", "depth.png"}


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--layers=9"], "measure: --layers 9: expected last, all, or numbers from 0 to 4"),
        (["--adapter=/nowhere"], "measure: "),
        (["--replicates=9"], "measure: probes 'triad': 9 replicates asked for, expected 1 to 8"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, extra, message):
    found = run(f"--out={tmp_path / 'out'}", *extra)
    assert found.returncode != 0 and message in found.stderr and "Traceback" not in found.stderr
    assert not (tmp_path / "out").exists()
