"""The process that scores: how its failures are reported."""

import json
import pathlib
import sys

import pytest

from jaxent.evaluate import benchmarks, evalplus_process, resource_limits

SETTINGS = {
    "kind": "limits",
    "limits": vars(resource_limits.Limits()),
    "repair": True,
    "keep": False,
    "evaluate": {"parallel": 1, "min_time_limit": 1.0, "gt_time_limit_factor": 4.0},
}


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(evalplus_process.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def log(tmp_path):
    return tmp_path / "evalplus.log"


def test_a_failure_ends_with_the_log_and_leaves_no_files(scratch, log):
    """Samples of a problem that is not among the problems end evalplus."""
    problems = benchmarks.load_problems(benchmarks.EMBEDDED, limit=1)
    sample = json.dumps({"task_id": "Other/0", "solution": "pass"}).encode()
    with pytest.raises(RuntimeError, match=r"evalplus: 1, expected exit status 0") as e:
        evalplus_process.run(sample, 1, problems, SETTINGS, log)
    assert str(e.value).endswith(log.read_text()[-200:]) and "Other/0" in str(e.value)
    assert not list(scratch.iterdir())


def test_a_process_that_does_not_end_is_ended(scratch, log, monkeypatch, tmp_path):
    """The module that it starts is one that waits for ever, with a child of its own."""
    waiting = tmp_path / "jaxent" / "evaluate"
    waiting.mkdir(parents=True)
    (waiting.parent / "__init__.py").touch()
    (waiting / "__init__.py").touch()
    (waiting / "_evalplus_child.py").write_text(
        "import os, time\n"
        "if os.fork():\n"
        "    print(os.getpgid(0), flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(
        evalplus_process.sandbox, "environment", lambda: {"PYTHONPATH": str(tmp_path)}
    )
    monkeypatch.setattr(evalplus_process, "_START_SECONDS", 2)
    monkeypatch.setattr(evalplus_process, "_SUITE_SECONDS", 0)
    problems = benchmarks.load_problems(benchmarks.EMBEDDED, limit=1)
    with pytest.raises(RuntimeError, match="no end after 2 s"):
        evalplus_process.run(b"", 1, problems, SETTINGS, log)
    group = int(log.read_text())
    assert not processes_of_group(group)
    assert not list(scratch.iterdir())


def processes_of_group(group):
    """Processes of a group that still run (field 3: state, field 5: group)."""
    if not sys.platform.startswith("linux"):
        pytest.skip("reads /proc")
    alive = []
    for file in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            alive.append(file)
    return alive
