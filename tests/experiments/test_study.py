import json
import pathlib
import subprocess
import sys

from jaxent.runs import spec, study_file

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "study.py"
OWN = {
    "name": "own",
    "models": list(spec.TINY_LADDER),
    "seeds": [0, 1],
    "settings": {"data_root": "embedded", "max_steps": 4, "max_length": 64},
    "runs": [
        {"condition": "B0"},
        {"condition": ["B2", "B3"], "learning_rate": [1e-4, 1e-3]},
    ],
}


def study(file, content, *more) -> subprocess.CompletedProcess:
    if content is not None:
        file.write_text(json.dumps(content))
    command = [sys.executable, str(SCRIPT), f"--spec={file}", *more]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_dry_run_lists_the_runs_of_the_file(tmp_path):
    out = tmp_path / "runs"
    dry = ("--dry_run", "--teraflops=1", f"--output_dir={out}")
    found = study(tmp_path / "own.json", OWN, "--seeds=7", "--max_steps=9", *dry)
    assert found.returncode == 0, found.stderr
    assert "10 runs" in found.stdout and not out.exists()
    lines = found.stdout.splitlines()
    (row,) = (
        line for line in lines if "tiny/B3-strong-learning_rate0.001-seed7" in line
    )
    assert row.split()[2] == "9"


def test_a_wrong_file_is_one_line(tmp_path):
    wrong = OWN | {"settings": {"max_steps": "4"}}
    found = study(tmp_path / "own.json", wrong, f"--output_dir={tmp_path / 'runs'}")
    assert found.returncode == 1 and "Traceback" not in found.stderr
    message = f"{tmp_path / 'own.json'}: settings.max_steps '4', expected an integer"
    assert found.stderr.strip() == f"study: {message}"
    assert not (tmp_path / "runs").exists()


def test_a_study_of_the_paper_is_such_a_file(tmp_path):
    dry = ("--dry_run", "--teraflops=300", f"--output_dir={tmp_path}")
    found = study(study_file.FOLDER / "scale_ladder.json", None, *dry)
    assert found.returncode == 0, found.stderr
    assert "25 runs" in found.stdout
