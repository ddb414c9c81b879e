"""What a contained process cannot do, each tried."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import pytest

from jaxent.evaluate import sandbox

SCRIPT = sandbox.__file__
DEEDS = """
import ctypes, json, os, resource, socket, sys, time
port, outside, package = int(sys.argv[1]), sys.argv[2], os.path.dirname(os.__file__)
found = {"uid": os.getuid(), "pid": os.getpid(), "secret": "JAXENT_SECRET" in os.environ}
def tried(name, deed):
    try:
        deed()
        found[name] = "done"
    except (OSError, MemoryError) as error:
        found[name] = type(error).__name__
tried("connect", lambda: socket.create_connection(("127.0.0.1", port), 5))
tried("read", lambda: open(outside).read())
tried("write", lambda: open(outside, "w").write("x"))
tried("write package", lambda: open(package + "/jaxent_was_here", "w"))
tried("write scratch", lambda: open("here", "w").write("x"))
tried("large file", lambda: open("large", "wb").write(bytes(17 << 20)))
tried("full scratch", lambda: [open(f"part{i}", "wb").write(bytes(15 << 20)) for i in range(6)])
tried("memory", lambda: bytearray(5 << 30))
tried("listdir", lambda: os.listdir(os.path.dirname(outside)))
tried("proc", lambda: os.listdir("/proc"))
libc = ctypes.CDLL(None)
found["namespace"], found["umount"] = libc.unshare(0x10000000), libc.umount2(b"/tmp", 2)
found["kill"] = libc.kill(int(sys.argv[3]), 0)
children = 0
def fork():
    global children
    while children < 50:
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
        children += 1
tried("fork", fork)
print(json.dumps(found | {"children": children}))
"""


@pytest.fixture(scope="module")
def namespaces():
    if missing := sandbox.check_protections().missing:
        pytest.skip(missing)


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def contained(python, script, listener, outside, **options):
    deeds = [
        python,
        "-c",
        DEEDS,
        str(listener.getsockname()[1]),
        str(outside),
        str(os.getpid()),
    ]
    done = subprocess.run(
        [python, "-P", script, *deeds],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_contained(found, listener, outside):
    assert found["pid"] == 1 and found["uid"] != 0
    for deed in (
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
    ):
        assert found[deed] != "done", deed
    assert (
        found["write scratch"] == "done"
        and 0 < found["children"] < sandbox.Limits().processes
    )
    assert found["namespace"] == found["umount"] == found["kill"] == -1
    assert outside.read_text() == "mine"
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not (pathlib.Path(os.__file__).parent / "jaxent_was_here").exists()


def sleepers(marker):
    found = subprocess.run(
        ["pgrep", "-f", marker], capture_output=True, text=True
    ).stdout.split()
    return found if shutil.which("pgrep") else []


def test_root_or_not(namespaces, listener, tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    monkeypatch.setenv("JAXENT_SECRET", "s")
    found = contained(
        sys.executable, SCRIPT, listener, outside, env=sandbox.environment()
    )
    assert_contained(found, listener, outside)
    assert not found["secret"] and not sleepers(str(outside))


def test_an_ordinary_user(namespaces, listener, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("this is what the test above does")
    nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.owner() == "root" and "pytest" in folder.name or folder == tmp_path:
            folder.chmod(0o755)
    script, outside = tmp_path / "sandbox.py", tmp_path / "outside"
    shutil.copy(SCRIPT, script)
    outside.write_text("mine")
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) is None:
            continue
        argv = [
            python,
            "-c",
            "import sys; open(sys.argv[1]); assert sys.version_info >= (3, 11)",
            str(script),
        ]
        try:
            if subprocess.run(argv, capture_output=True, **nobody).returncode == 0:
                break
        except PermissionError:
            continue
    else:
        pytest.skip("no Python here that an ordinary user can start")
    if json.loads(
        subprocess.run(
            [python, script], capture_output=True, text=True, **nobody
        ).stdout
    )["missing"]:
        pytest.skip("no user namespaces for ordinary users here")
    assert_contained(
        contained(python, str(script), listener, outside, **nobody), listener, outside
    )


@pytest.mark.parametrize("kind", ["user", "limits"])
def test_without_namespaces_limits_hold(kind, tmp_path):
    """As far as they go: files, memory, core dumps, descriptors, and (not root) processes; children of its group end."""
    if kind == "user" and os.geteuid() != 0:
        pytest.skip("only root can become another user")
    tmp_path.chmod(0o711)
    code = f"""
import os, sys, json, resource, time
sys.path.insert(0, {os.path.dirname(SCRIPT)!r})
import sandbox
descriptor = os.open("/dev/null", os.O_RDONLY)
report, mine = os.pipe()
def deeds():
    found = {{"uid": os.getuid(), "cwd": os.listdir(".")}}
    for name, deed in (("file", lambda: open("x", "wb").write(bytes(17 << 20))), ("memory", lambda: bytearray(5 << 30)),
                       ("descriptor", lambda: os.fstat(descriptor))):
        try:
            deed()
            found[name] = "done"
        except (OSError, MemoryError) as error:
            found[name] = type(error).__name__
    if found["uid"] != {os.geteuid()} or {os.geteuid()} == 0 and os.fork() == 0:
        if os.getpid() != os.getpgid(0):
            time.sleep(600)
    print(json.dumps(found), flush=True)
pid = os.fork()
if pid == 0:
    os._exit(sandbox.contain(deeds, {kind!r}, sys.argv[1]))
assert os.waitpid(pid, 0)[1] == 0
"""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(scratch)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["uid"] != 0) if kind == "user" else (found["uid"] == os.geteuid())
    assert (
        found["cwd"] == []
        and found["file"] == "OSError"
        and found["memory"] == "MemoryError"
    )
    assert found["descriptor"] == "OSError" and not sleepers(str(scratch))


def test_what_is_missing_has_to_be_allowed(monkeypatch):
    lacking = sandbox.Protections(
        "limits", "no namespaces here (unshare: Operation not permitted)"
    )
    monkeypatch.setattr(sandbox, "check", lambda: lacking)
    with pytest.raises(
        PermissionError, match="Operation not permitted.*--allow_unsandboxed"
    ):
        sandbox.require_protections(allow_unsandboxed=False)
    assert sandbox.require_protections(allow_unsandboxed=True) == lacking


def test_the_probe_says_what_is_missing_where_unshare_is_forbidden():
    """As in a container without CAP_SYS_ADMIN."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    argv = [
        "setpriv",
        "--bounding-set",
        "-sys_admin",
        "--inh-caps",
        "-sys_admin",
        sys.executable,
        SCRIPT,
    ]
    found = json.loads(
        subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    )
    assert (
        found["kind"] in ("user", "limits")
        and "unshare" in found["missing"]
        and "network" in found["missing"]
    )
