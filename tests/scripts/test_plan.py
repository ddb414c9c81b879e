"""The planning scripts, by formula."""

import pathlib
import subprocess
import sys

SEVEN = "Qwen/Qwen2.5-Coder-7B"
SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "plan.py"


def script(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_script_on_a_node_of_gpus():
    ran = script(f"--model={SEVEN}", "--topology=h100:1", "--nocompile")
    assert ran.returncode == 0, ran.stderr
    assert (
        "training step" in ran.stdout
        and "by formula" in ran.stdout
        and "Nothing ran" in ran.stdout
    )


def test_scaling_by_formula():
    command = [
        sys.executable,
        SCRIPT.with_name("plan_scaling.py"),
        "--nocompile",
        f"--model={SEVEN}",
        "--topologies=v5e:2x2,v5e:2x4",
        "--strong_rows=16",
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    lines = [
        line.split(" | ")
        for line in ran.stdout.splitlines()
        if line.startswith(("| 4 ", "| 8 "))
    ]
    assert (
        len(lines) == 6
        and [float(line[12]) for line in lines[::2]] == [1.0] * 3
        and all(0.5 < float(line[12]) <= 1.2 for line in lines)
    )
