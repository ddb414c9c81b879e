"""Short runs whose results tests/experiments/golden.json keeps.

    python tests/experiments/golden_runs.py     # writes the file anew

Do so after a change that means to change results, and say in the commit which.
"""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
FILE = HERE / "golden.json"
EXPERIMENTS = HERE.parents[1] / "experiments"
_MEASURED = ("cvo", "ei", "nested_ei", "sei", "v_purity", "own_flips", "accuracy")


def run(script, *arguments):
    subprocess.run(
        [sys.executable, str(EXPERIMENTS / script), "--preset=tiny", *arguments],
        check=True,
        capture_output=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )


def finetune(condition, folder):
    """A run of six steps, and the folder of its adapter."""
    arguments = ["--seed=0", "--max_steps=6", "--measure_steps=3"]
    if condition == "B4":
        arguments.append("--csr_every=2")
    run("finetune.py", f"--condition={condition}", f"--output_dir={folder}", *arguments)
    return folder / "adapter"


def of_run(folder):
    """What the file keeps of a run folder."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    train = ("step", "tokens", "loss", "grad_norm", "csr")
    return {
        "train": [
            {name: r[name] for name in train if name in r}
            for r in records
            if r["kind"] == "train"
        ],
        "measure": [
            {"step": r["step"], **of_measurement(r), "drift": r["drift"]["total"]}
            for r in records
            if r["kind"] == "measure"
        ],
    }


def of_measurement(record):
    """What the file keeps of a measurement: values over sets, then of all probes."""
    kept = {name: record[name] for name in _MEASURED}
    return kept | {"all_probes": {"ei": record["all_probes"]["ei"]}}


def of_layers(adapter, folder):
    run("measure.py", f"--adapter={adapter}", f"--output_dir={folder}")
    layers = json.loads((folder / "measure.json").read_text(encoding="utf-8"))
    return [{"layer": r["layer"], **of_measurement(r)} for r in layers]


def of_crosstalk(adapter, folder):
    run("crosstalk.py", f"--adapter={adapter}", f"--output_dir={folder}")
    record = json.loads((folder / "crosstalk.json").read_text(encoding="utf-8"))
    return record["all_probes"]["damage"]["continuous"]["matrix"]


def make(folder):
    """All that the file holds."""
    import jax
    import numpy as np

    adapters = {one: finetune(one, folder / one) for one in ("B3", "B4")}
    return {
        "made_with": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "numpy": np.__version__,
            "processor": "AMD EPYC with AVX-512",
            "date": datetime.date.today().isoformat(),
        },
        **{one: of_run(folder / one) for one in adapters},
        "layers": of_layers(adapters["B3"], folder / "measure"),
        "crosstalk": of_crosstalk(adapters["B3"], folder / "crosstalk"),
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        golden = make(pathlib.Path(scratch))
    FILE.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
