"""Every script says what it would run, at both presets, and runs nothing."""

import concurrent.futures
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "experiments"
SAID = {  # by script: what --preset=paper and --preset=tiny plan
    "scale_ladder": ("25 runs", "5 runs"),
    "cross_architecture": ("14 runs", "4 runs"),
    "companions": (
        "HumanEval(+) of 13 models comes on top",
        "HumanEval(+) of 13 models comes on top",
    ),
    "csr_lambda": ("3 runs", "3 runs"),
    "reversibility": ("2 runs", "2 runs"),
    "companion_metric": ("1 runs", "1 runs"),
    "crosstalk": ("1 runs", "1 runs"),
}


@pytest.mark.parametrize("script", SAID)
def test_a_dry_run_lists_runs_and_their_cost(script, tmp_path):
    presets = ("paper", "tiny")
    commands = [
        [
            sys.executable,
            FOLDER / f"{script}.py",
            "--dry_run",
            "--teraflops=300",
            f"--preset={p}",
            f"--output_dir={tmp_path}",
        ]
        for p in presets
    ]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(
            pool.map(
                lambda c: subprocess.run(c, capture_output=True, text=True), commands
            )
        )
    for ran, said in zip(found, SAID[script]):
        assert ran.returncode == 0, ran.stderr
        assert (
            said in ran.stdout
            and "for those not finished if every row were full" in ran.stdout
            and "unknown" not in ran.stdout
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "script", ["scale_ladder", "companions"]
)  # companions trains in a process of its own
def test_split_seeds_want_a_seed_axis(script, tmp_path):
    command = [
        sys.executable,
        FOLDER / f"{script}.py",
        "--preset=tiny",
        "--seed_mode=sharded",
        "--mesh=data:2",
        f"--output_dir={tmp_path}",
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (
        ran.returncode == 1
        and "--seed_mode=sharded with --mesh=data:2: expected a mesh with a seed axis"
        in ran.stderr
    ), ran.stderr
