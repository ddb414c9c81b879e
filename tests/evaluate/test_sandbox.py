"""What a contained process cannot do, each tried."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import textwrap

import pytest

from jaxent.evaluate import resource_limits, sandbox

ROOT = pathlib.Path(sandbox.__file__).parents[2]
MODULE = "jaxent.evaluate.sandbox"
DEEDS = """
import ctypes, json, os, resource, socket, sys, time
port, outside, package = int(sys.argv[1]), sys.argv[2], os.path.dirname(os.__file__)
report = {"uid": os.getuid(), "pid": os.getpid()}
report["secret"] = "JAXENT_SECRET" in os.environ

def attempt(name, deed):
    try:
        deed()
        report[name] = "done"
    except (OSError, MemoryError) as error:
        report[name] = type(error).__name__

def write(path, size):
    with open(path, "wb") as file:
        file.write(bytes(size))

def fill():
    for i in range(6):
        write(f"part{i}", 15 << 20)

attempt("connect", lambda: socket.create_connection(("127.0.0.1", port), 5))
attempt("read", lambda: open(outside).read())
attempt("write", lambda: write(outside, 1))
attempt("write package", lambda: write(package + "/jaxent_was_here", 1))
attempt("write scratch", lambda: write("here", 1))
attempt("large file", lambda: write("large", 17 << 20))
attempt("full scratch", fill)
attempt("memory", lambda: bytearray(5 << 30))
attempt("listdir", lambda: os.listdir(os.path.dirname(outside)))
attempt("proc", lambda: os.listdir("/proc"))
libc = ctypes.CDLL(None)
report["namespace"] = libc.unshare(0x10000000)
report["umount"] = libc.umount2(b"/tmp", 2)
report["kill"] = libc.kill(int(sys.argv[3]), 0)
children = 0

def fork():
    global children
    while children < 50:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        children += 1

attempt("fork", fork)
print(json.dumps(report | {"children": children}))
"""
FAILING = (
    "connect",
    "read",
    "write",
    "write package",
    "large file",
    "full scratch",
    "memory",
    "listdir",
    "proc",
    "fork",
)


@pytest.fixture(scope="module")
def namespaces():
    if missing := sandbox.check_protections().missing:
        pytest.skip(missing)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def run_deeds(python, listener, outside, **options):
    port = listener.getsockname()[1]
    arguments = [str(port), str(outside), str(os.getpid())]
    done = subprocess.run(
        [python, "-P", "-m", MODULE, python, "-c", DEEDS, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_contained(report, listener, outside):
    assert report["pid"] == 1 and report["uid"] != 0
    for deed in FAILING:
        assert report[deed] != "done", deed
    assert report["write scratch"] == "done"
    assert 0 < report["children"] < resource_limits.Limits().processes
    assert report["namespace"] == report["umount"] == report["kill"] == -1
    assert outside.read_text() == "mine"
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not (pathlib.Path(os.__file__).parent / "jaxent_was_here").exists()


def sleepers(marker):
    """Processes that outlived the test, where pgrep can tell."""
    if not shutil.which("pgrep"):
        return []
    done = subprocess.run(["pgrep", "-f", marker], capture_output=True, text=True)
    return done.stdout.split()


def test_root_or_not(namespaces, listener, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    monkeypatch.setenv("JAXENT_SECRET", "s")
    report = run_deeds(
        sys.executable, listener, outside, env=sandbox.environment(), cwd=tmp_path
    )
    assert_contained(report, listener, outside)
    assert not report["secret"] and not sleepers(str(outside))


def readable_python(script, options):
    """A Python of version 3.11 or later that another user can start, or None."""
    code = "import sys; open(sys.argv[1]); assert sys.version_info >= (3, 11)"
    for python in filter(shutil.which, (sys.executable, "/usr/bin/python3")):
        try:
            done = subprocess.run(
                [python, "-c", code, str(script)], capture_output=True, **options
            )
        except PermissionError:
            continue
        if done.returncode == 0:
            return python
    return None


def copy_sandbox(folder):
    """The sandbox's modules as a package that any user can read."""
    package = pathlib.Path("jaxent") / "evaluate"
    (folder / package).mkdir(parents=True)
    for name in ("sandbox.py", "namespaces.py", "resource_limits.py"):
        shutil.copy(ROOT / package / name, folder / package / name)
    return folder / package / "sandbox.py"


def test_an_ordinary_user(namespaces, listener, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("this is what the test above does")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        mine = folder.owner() == "root" and "pytest" in folder.name
        if mine or folder == tmp_path:
            folder.chmod(0o755)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    script = copy_sandbox(tmp_path)
    nobody = {
        "user": 65534,
        "group": 65534,
        "extra_groups": [],
        "cwd": "/",
        "env": os.environ | {"PYTHONPATH": str(tmp_path)},
    }
    python = readable_python(script, nobody)
    if python is None:
        pytest.skip("no Python here that an ordinary user can start")
    done = subprocess.run(
        [python, "-P", "-m", MODULE], capture_output=True, text=True, **nobody
    )
    if json.loads(done.stdout)["missing"]:
        pytest.skip("no user namespaces for ordinary users here")
    report = run_deeds(python, listener, outside, **nobody)
    assert_contained(report, listener, outside)


WITHOUT_NAMESPACES = """
import json, os, sys, time
from jaxent.evaluate import sandbox

kind, scratch, caller = sys.argv[1], sys.argv[2], os.geteuid()
descriptor = os.open("/dev/null", os.O_RDONLY)
read_end, write_end = os.pipe()

def deeds():
    report = {"uid": os.getuid(), "cwd": os.listdir(".")}
    attempts = {
        "file": lambda: open("x", "wb").write(bytes(17 << 20)),
        "memory": lambda: bytearray(5 << 30),
        "descriptor": lambda: os.fstat(descriptor),
    }
    for name, deed in attempts.items():
        try:
            deed()
            report[name] = "done"
        except (OSError, MemoryError) as error:
            report[name] = type(error).__name__
    if report["uid"] != caller or caller == 0 and os.fork() == 0:
        if os.getpid() != os.getpgid(0):
            time.sleep(600)
    print(json.dumps(report), flush=True)

pid = os.fork()
if pid == 0:
    os._exit(sandbox.run_contained(deeds, kind, scratch))
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize("kind", ["user", "limits"])
def test_without_namespaces_limits_hold(kind, tmp_path):
    """As far as they go.

    Files, memory, core dumps, descriptors, and (not root) processes; children of its
    group end.
    """
    if kind == "user" and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    tmp_path.chmod(0o711)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_NAMESPACES, kind, str(scratch)],
        env=sandbox.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    caller = os.geteuid()
    assert (report["uid"] != 0) if kind == "user" else (report["uid"] == caller)
    assert report["cwd"] == []
    assert report["file"] == "OSError" and report["memory"] == "MemoryError"
    assert report["descriptor"] == "OSError" and not sleepers(str(scratch))


def test_what_is_missing_has_to_be_allowed(monkeypatch):
    lacking = sandbox.Protections(
        "limits", "no namespaces here (unshare: Operation not permitted)"
    )
    monkeypatch.setattr(sandbox, "check_protections", lambda: lacking)
    with pytest.raises(
        PermissionError, match="Operation not permitted.*--allow_unsandboxed"
    ):
        sandbox.require_protections(allow_unsandboxed=False)
    assert sandbox.require_protections(allow_unsandboxed=True) == lacking


def test_the_probe_says_what_is_missing_where_unshare_is_forbidden():
    """As in a container without CAP_SYS_ADMIN."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    without = ["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    done = subprocess.run(
        ["setpriv", *without, sys.executable, "-P", "-m", MODULE],
        env=sandbox.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    protections = json.loads(done.stdout)
    assert protections["kind"] in ("user", "limits")
    assert "unshare" in protections["missing"] and "network" in protections["missing"]


def test_an_error_before_the_action_is_raised(tmp_path):
    """And the action is not called."""
    code = textwrap.dedent("""
        import sys
        from jaxent.evaluate import sandbox
        try:
            sandbox.run_contained(lambda: print("called"), "limits", sys.argv[1])
        except OSError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "nowhere")],
        env=sandbox.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "FileNotFoundError" in done.stdout and "called" not in done.stdout


def test_a_relative_command_and_its_exit_status(namespaces, tmp_path):
    """The command starts in another folder than the one where it was given."""
    python = os.path.relpath(sys.executable, tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-m", MODULE, python, "-c", "raise SystemExit(7)"],
        env=sandbox.environment(),
        cwd=tmp_path,
    )
    assert done.returncode == 7


def test_the_environment_is_clean(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "s")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    environment = sandbox.environment()
    assert "HF_TOKEN" not in environment
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["PYTHONPATH"].split(os.pathsep) == ["/somewhere", str(ROOT)]
