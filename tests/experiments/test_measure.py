import json
import pathlib
import re
import subprocess
import sys

import check_equivalence
import pytest

from jaxent.arrays import lora
from jaxent.checkpoint import peft
from jaxent.data import corpora
from jaxent.model import config
from jaxent.runs import validate

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "measure.py"
TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"


@pytest.fixture(scope="module")
def adapter(tmp_path_factory) -> str:
    """A random adapter of the embedded checkpoint."""
    folder, spec = tmp_path_factory.mktemp("adapter"), lora.LoraConfig(4, 12.0)
    peft.save_adapter(
        check_equivalence.random_adapter(config.read_config(TINY), spec, 3),
        folder,
        str(TINY),
    )
    return str(folder)


def run(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--preset=tiny", *arguments],
        capture_output=True,
        text=True,
    )


def assert_intervals_hold_their_estimates(text):
    number = r"(-?\d[\d.]*(?:e[+-]?\d+)?)"
    cells = re.findall(rf"{number} \[{number}, {number}\]", text)
    assert len(cells) > 20
    for value, low, high in cells:
        assert float(low) <= float(value) <= float(high), (value, low, high)
    table = text.split("one fit on all 240 probes")[1].split("\n\n")[0]
    assert "[" not in table


def test_an_adapter_at_two_layers(tmp_path, adapter):
    found = run(
        f"--output_dir={tmp_path}",
        "--probe_sets=5",
        "--layers=0,4",
        f"--adapter={adapter}",
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("layer") and f"Results: {tmp_path}" in found.stdout
    columns = (
        "CVO",
        "V-purity of random loadings",
        "shape accuracy",
        "own / off flips",
        "shape margin",
        "weakest",
        "structural zero",
        "alpha (N-1) / tr G",
        "(random)",
        "CVO is the number to",
        "inside code's subspace",
        "SV energy of the adapter",
    )
    assert all(text in found.stdout for text in columns), found.stdout
    assert_intervals_hold_their_estimates(found.stdout)
    embedding, last = json.loads((tmp_path / "measure.json").read_text())
    assert (embedding["layer"], last["layer"], last["probes"], last["sets"]) == (
        0,
        4,
        240,
        5,
    )
    concepts = ("domain", "register", "shape")
    wanted = {"ei", "nested_ei", "sei", "overlap", "v_purity", "alpha_ratio"}
    wanted |= {
        f"{name}.{c}"
        for name in ("accuracy", "r2", "margin", "random_damage")
        for c in concepts
    }
    assert set(last["intervals"]) - {"cvo"} == wanted | {
        f"damage.{a}.{b}" for a in concepts for b in concepts
    }
    assert (
        embedding["drift"]["total"] < 1e-9 < 1e-3 < last["drift"]["total"]
    )  # nothing is adapted below the first layer
    assert last["drift"]["total"] == pytest.approx(
        last["drift"]["inside"] + last["drift"]["outside"]
    )
    assert last["sv_energy"] > 0 and set(last["sv_energy_modules"]) == set(lora.MODULES)
    assert (
        last["adapter_hash"]
        == validate.file_hash(pathlib.Path(adapter) / "adapter_model.safetensors")
        and len(last["probe_hash"]) == 16
    )
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "damage.png",
        "spectrum.png",
        "estimates.png",
        "depth.png",
    }


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            ["--layers=9"],
            "measure: --layers 9: expected last, all, or numbers from 0 to 4",
        ),
        (["--adapter=/nowhere"], "measure: "),
        (
            ["--adapter={}", "--drift_target=law"],
            "measure: CSR target 'law': expected a domain of the probes (code, math, "
            "medical)",
        ),
        (
            ["--probe_sets=9"],
            "measure: probes 'triad': 9 replicates asked for, expected 1 to 8",
        ),
        (["--revision=main"], "measure: revision 'main' of model"),
        (
            [f"--adapter={TINY}"],
            f"measure: --adapter {TINY} is a whole model beside a 4-bit base: expected "
            "--noload_in_4bit",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path, adapter, extra, message):
    found = run(
        f"--output_dir={tmp_path / 'out'}", *(flag.format(adapter) for flag in extra)
    )
    assert (
        found.returncode != 0
        and message in found.stderr
        and "Traceback" not in found.stderr
    )
    assert not (tmp_path / "out").exists()
