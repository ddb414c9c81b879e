import ast
import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from jaxent.runs import folder as run_folder

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = {
    run_folder.RECORD,
    run_folder.METRICS,
    run_folder.SUMMARY,
    run_folder.LOCK,
    run_folder.STUDY,
    run_folder.TABLE,
    run_folder.CROSSTALK,
    run_folder.MEASURE,
    run_folder.VALIDITY,
    run_folder.REPORT,
    run_folder.EVALUATION,
    run_folder.SCORES,
    run_folder.EVALPLUS_RESULTS,
    run_folder.EVALPLUS_LOG,
    run_folder.RAW_SAMPLES,
    run_folder.SAMPLES,
    run_folder.SAMPLES_IDENTITY,
}
FOLDERS = {
    run_folder.CHECKPOINTS,
    run_folder.ADAPTER,
    run_folder.TENSORBOARD,
    run_folder.HUMANEVAL,
    run_folder.FIGURES,
    run_folder.TABLES,
}
# The room that writes an evaluation's files names them, below the rooms of runs.
EVALUATE = {
    "jaxent/evaluate/scoring.py": {
        run_folder.SCORES,
        run_folder.EVALPLUS_RESULTS,
        run_folder.EVALPLUS_LOG,
    },
    "jaxent/evaluate/sample_files.py": {
        run_folder.RAW_SAMPLES,
        run_folder.SAMPLES,
        run_folder.SAMPLES_IDENTITY,
    },
}
PACKAGE_CHECKPOINTS = {  # the embedded models, a folder of the package
    "jaxent/runs/spec.py",
    "scripts/check_probes.py",
}


def path_parts(node: ast.AST) -> set[str]:
    """The parts of a string constant that may be a path: one without blanks."""
    text = node.value if isinstance(node, ast.Constant) else None
    is_path = isinstance(text, str) and not any(c.isspace() for c in text)
    return set(text.split("/")) if is_path else set()


def spelled_names(source: str) -> set[str]:
    """Names of files in string constants, and of folders joined to a path by "/".

    Docstrings and other prose may mention files: a constant counts where it is a
    path, without blanks.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant):
            names |= FILES & path_parts(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            names |= FOLDERS & path_parts(node.right)
    return names


def test_spelled_names_are_seen():
    source = """
'a docstring that mentions run.json'
path = folder / "adapter" / "x"
text = f"{name}/summary.json"
settings["adapter"]
"""
    assert spelled_names(source) == {"adapter", "summary.json"}


def test_one_module_alone_spells_the_names():
    spelled = {}
    for top in ("jaxent", "experiments", "scripts"):
        for file in sorted((ROOT / top).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            allowed = set(EVALUATE.get(name, ()))
            if name in PACKAGE_CHECKPOINTS:
                allowed.add(run_folder.CHECKPOINTS)
            names = spelled_names(file.read_text(encoding="utf-8")) - allowed
            if names and name != "jaxent/runs/folder.py":
                spelled[name] = names
    assert spelled == {}


def test_text_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "note.txt"
    run_folder.write_text(path, "first\n")
    synced = []

    def no_space(descriptor):
        synced.append(descriptor)
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        run_folder.write_text(path, "second\n")
    assert synced and path.read_text() == "first\n"


def test_records_come_back_as_they_were_written(tmp_path):
    folder = run_folder.RunFolder(tmp_path / "run")
    record, summary = {"settings": {"model": "ü"}}, {"steps": 3, "csr_loss": None}
    folder.write_record(record)
    assert (folder.begun, folder.finished) == (True, False)
    folder.write_summary(summary)
    assert folder.finished
    assert (folder.read_record(), folder.read_summary()) == (record, summary)
    assert folder.read_metrics() == []
    records = [{"kind": "measure", "step": 0}, {"kind": "train", "step": 1}]
    folder.metrics.write_text("".join(json.dumps(r) + "\n" for r in records))
    assert folder.read_metrics() == records
    assert folder.read_measurements() == records[:1]


def test_a_second_process_is_refused_with_the_holder_named(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from jaxent.runs import folder\n"
        "try:\n"
        "    with folder.RunFolder(pathlib.Path(sys.argv[1])).lock():\n"
        "        print('held')\n"
        "except folder.LockedError as error:\n"
        "    print(error)\n"
    )

    def other_process():
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    with run_folder.RunFolder(tmp_path).lock():
        holder = f"in use by process {os.getpid()} on {socket.gethostname()}"
        refused = other_process()
        assert holder in refused and "\n" not in refused
        assert run_folder.LOCK in os.listdir(tmp_path)
    assert other_process() == "held" and os.listdir(tmp_path) == []


def write_lock(folder, **changed):
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "started": None}
    (folder / run_folder.LOCK).write_text(json.dumps(holder | changed))


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, capsys):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write_lock(tmp_path, pid=child.pid, started="1")
    with run_folder.RunFolder(tmp_path).lock():
        lock = json.loads((tmp_path / run_folder.LOCK).read_text())
        assert lock["pid"] == os.getpid()
    assert f"taking over the lock of process {child.pid}" in capsys.readouterr().out
    assert os.listdir(tmp_path) == []


def test_a_number_that_went_to_a_later_process_holds_nothing(tmp_path, capsys):
    write_lock(tmp_path, started="1")
    with run_folder.RunFolder(tmp_path).lock():
        assert "which is dead" in capsys.readouterr().out


def test_the_lock_of_another_host_is_never_taken_over(tmp_path):
    write_lock(tmp_path, host="elsewhere", pid=1)
    folder = run_folder.RunFolder(tmp_path)
    lock = folder.lock()
    with pytest.raises(run_folder.LockedError, match="process 1 on elsewhere"), lock:
        pass
    assert os.listdir(tmp_path) == [run_folder.LOCK]


def test_a_lock_that_is_none_is_named(tmp_path):
    (tmp_path / run_folder.LOCK).write_text("half")
    lock = run_folder.RunFolder(tmp_path).lock()
    with pytest.raises(run_folder.LockedError, match="JSON .* found 'half'"), lock:
        pass
