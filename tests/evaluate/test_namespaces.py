"""The file system that a contained process sees."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv

import pytest

from jaxent.evaluate import namespaces, sandbox

MODULE = "jaxent.evaluate.sandbox"
PROGRAM = """
import errno, json, os, sys
import only_in_this_environment

def attempt(path):
    try:
        with open(path, "w") as file:
            file.write("x")
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

package = only_in_this_environment.__file__
print(json.dumps({
    "answer": only_in_this_environment.ANSWER,
    "pid": os.getpid(),
    "folder": os.getcwd(),
    "secret": os.path.exists(sys.argv[1]),
    "write package": attempt(package),
    "write beside it": attempt(os.path.dirname(package) + "/new.py"),
    "write scratch": attempt("scratch"),
    "read scratch": open("scratch").read(),
}))
"""


@pytest.fixture
def project():
    """A folder below /tmp with an environment of its own and a file beside it."""
    folder = pathlib.Path(tempfile.mkdtemp(dir="/tmp", prefix="jaxent-test-"))
    venv.create(folder / ".venv", symlinks=True, with_pip=False)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / ".venv" / "lib" / version / "site-packages"
    (packages / "only_in_this_environment.py").write_text("ANSWER = 42\n")
    (folder / "secret").write_text("mine")
    yield folder
    shutil.rmtree(folder)


def test_an_environment_below_the_temporary_folder(project):
    """Its packages are there, read-only, on top of the private /tmp."""
    if missing := sandbox.check_protections().missing:
        pytest.skip(missing)
    python = str(project / ".venv" / "bin" / "python")
    options = {
        "env": sandbox.environment(),
        "capture_output": True,
        "text": True,
        "timeout": 60,
        "cwd": project,
    }
    probe = subprocess.run([python, "-P", "-m", MODULE], **options)
    assert json.loads(probe.stdout) == {"kind": "namespaces", "missing": ""}
    program = [python, "-c", PROGRAM, str(project / "secret")]
    done = subprocess.run([python, "-P", "-m", MODULE, *program], **options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "answer": 42,
        "pid": 1,
        "folder": "/tmp",
        "secret": False,
        "write package": "EROFS",
        "write beside it": "EROFS",
        "write scratch": "done",
        "read scratch": "x",
    }
    assert (project / "secret").read_text() == "mine"


def test_visible_paths_hold_python_and_none_is_below_another(monkeypatch, tmp_path):
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages), str(tmp_path)])
    paths = namespaces.visible_paths()
    for needed in (os.path.realpath(sys.executable), os.__file__, str(packages)):
        assert any(needed.startswith(f"{path}/") or needed == path for path in paths)
    assert str(tmp_path) not in paths
    for path in paths:
        assert not any(path.startswith(f"{other}/") for other in paths)
    for hidden in ("/", "/etc", "/proc", "/tmp", "/dev", "/root", "/home"):
        assert hidden not in paths


def test_a_refused_system_call_is_named():
    with pytest.raises(OSError, match="mount /nowhere on /nowhere"):
        namespaces._mount("/nowhere", "/nowhere", None, namespaces._MS_BIND)
