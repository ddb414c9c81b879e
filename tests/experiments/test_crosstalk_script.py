import itertools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxent.data import probes

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "crosstalk.py"
DOMAINS = ("code", "creative", "legal", "logic", "math", "medical")


@pytest.fixture(scope="module")
def six_domains(tmp_path_factory) -> str:
    """480 short texts of six domains in five replicate sets, whose words depend on
    their labels.
    """
    file = tmp_path_factory.mktemp("probes") / "six.jsonl"
    rows = [
        {
            "id": f"{d}-{r}-{s}-{n}",
            "domain": d,
            "register": r,
            "shape": s,
            "replicate": n,
            "topic": f"{d} {r} {s} {n}",
            "text": f"{d} {'vwxyz'[n]} {r} {n} {s} {d}",
        }
        for n, d, r, s in itertools.product(
            range(5), DOMAINS, probes.REGISTERS, probes.SHAPES
        )
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(file)


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--preset=tiny", *arguments],
        capture_output=True,
        text=True,
    )


def test_every_pair_of_six_domains(tmp_path, six_domains):
    found = run(f"--output_dir={tmp_path}", f"--probes={six_domains}")
    assert found.returncode == 0, found.stderr
    assert (
        found.stdout.startswith("480 probes in 5 replicate sets")
        and "block-diag. ratio" in found.stdout
    )
    measured = json.loads((tmp_path / "crosstalk.json").read_text())
    assert (
        tuple(measured["domains"]) == DOMAINS
        and measured["probe_set"] == "six"
        and len(measured["probe_hash"]) == 16
    )
    assert (
        len(measured["model_hash"]) == 16
        and measured["adapter_hash"] is None
        and measured["seconds"] > 0
    )
    assert (
        measured["command"][1:]
        == ["--preset=tiny", f"--output_dir={tmp_path}", f"--probes={six_domains}"]
        and measured["versions"]["jax"]
    )
    for kind in ("raw", "clipped", "continuous"):
        damage = measured["damage"][kind]
        assert np.array(damage["matrix"]).shape == (6, 6) and len(damage["pairs"]) == 15
        assert (
            len(measured["intervals"][kind]) == 15
            and measured["cells"][kind]["code>math"]["sets"] == 5
        )
    assert min(measured["damage"]["continuous"]["matrix"][i][i] for i in range(6)) > 0
    assert {p.name for p in tmp_path.iterdir()} == {
        "crosstalk.json",
        "table.txt",
        "crosstalk.png",
        "crosstalk.svg",
    }
    again, other = (
        run(f"--output_dir={tmp_path}", f"--probes={six_domains}"),
        run(f"--output_dir={tmp_path}", f"--probes={six_domains}", "--ridge_alpha=2"),
    )
    assert (
        again.returncode == 0
        and again.stdout.splitlines()[:-1] == found.stdout.splitlines()[:-1]
        and "Measured before" in again.stdout
    )
    assert (
        other.returncode != 0
        and "holds a measurement with alpha 1.0, not 2.0" in other.stderr
    )
    assert json.loads((tmp_path / "crosstalk.json").read_text()) == measured


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            ["--probes=/nowhere"],
            "crosstalk: probes '/nowhere': expected triad, hexad, triad_v2, hexad_v2 "
            "or a JSONL file",
        ),
        (["--probes=triad", "--output_dir="], "crosstalk: --output_dir is missing"),
        (["--revision=main"], "crosstalk: revision 'main' of model"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, extra, message):
    found = run(f"--output_dir={tmp_path / 'out'}", *extra)
    assert (
        found.returncode != 0
        and message in found.stderr
        and "Traceback" not in found.stderr
    )
    assert not (tmp_path / "out").exists()
