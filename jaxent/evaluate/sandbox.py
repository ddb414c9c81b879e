"""Runs code that nobody has read, on Linux.

    python -m jaxent.evaluate.sandbox                  # the protections here, as JSON
    python -m jaxent.evaluate.sandbox python -c '...'  # a command under them

One of three kinds of protection is in force: the first that works when it is tried
(`probe`).

    namespaces   Linux namespaces of its own: no network, not even loopback; processes
                 that all end with the first; Python and system libraries read-only,
                 one small writable /tmp, nothing else of this system, no /proc; its
                 own IPC. Root creates them and then becomes a user that nobody else
                 is. Everybody else creates them inside a user namespace and gives up
                 its capabilities.
    user         No namespaces. Root becomes that user: file permissions and limits
                 hold, the network is open.
    limits       Resource limits alone.

All three limit address space, processes, file size and CPU seconds, write no core
dumps, close all file descriptors but the standard ones, gain no privileges by exec, and
end when the caller dies. The environment variables are the caller's: pass
`environment()`.

The module imports no jax: whoever imports it forks often.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable

from jaxent import json_files
from jaxent.evaluate import namespaces, resource_limits

NAMESPACES, USER, LIMITS = "namespaces", "user", "limits"

_ROOT = str(pathlib.Path(__file__).resolve().parents[2])
_USERS = range(61184, 65520)  # systemd keeps these for users of a single process
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "XDG_CACHE_HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
)
_PROBE = """
import decimal, hashlib, os, socket, sys
if sys.argv[1] == "namespaces":
    assert os.getpid() == 1 and os.getuid() != 0 and os.getcwd() == "/tmp"
    open("probe", "w").close()
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
    except OSError:
        sys.exit(0)
    sys.exit("the network can be reached")
"""


@dataclasses.dataclass(frozen=True)
class Protections:
    """Which kind is in force here.

    Attributes:
        kind: NAMESPACES, USER or LIMITS.
        missing: What is missing and why; empty with namespaces.
    """

    kind: str
    missing: str = ""


def check_protections() -> Protections:
    """Tries, in a process of its own (0.3 s), which protections this system has.

    Returns:
        The first kind that works.

    Raises:
        RuntimeError: If not even a process with limits alone can be started.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "jaxent.evaluate.sandbox"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise RuntimeError(
            f"sandbox: the probe ended with {done.returncode}, expected 0: "
            f"{done.stderr[-500:]}"
        )
    return Protections(**json_files.parse_json(done.stdout, "sandbox"))


def require_protections(allow_unsandboxed: bool) -> Protections:
    """`check_protections`, and an error where something is missing.

    Args:
        allow_unsandboxed: Whether missing protections are accepted.

    Returns:
        The protections in force.

    Raises:
        PermissionError: If something is missing and that is not allowed.
    """
    protections = check_protections()
    if protections.missing and not allow_unsandboxed:
        raise PermissionError(
            f"sandbox: {protections.missing}. Run generated code all the same with "
            "--allow_unsandboxed"
        )
    return protections


def environment() -> dict[str, str]:
    """The environment variables of a child process: search paths, no secrets.

    Returns:
        Names and values; PYTHONPATH includes the folder of this package.

    Example:
        >>> os.environ["HF_TOKEN"] = "secret"
        >>> "HF_TOKEN" in environment()
        False
        >>> del os.environ["HF_TOKEN"]
    """
    variables = {
        name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ
    }
    # A checkout has to be named; an installed package is importable without.
    if os.path.basename(_ROOT) not in ("site-packages", "dist-packages"):
        paths = [variables.get("PYTHONPATH", ""), _ROOT]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return variables | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run_contained(
    action: Callable[[], object],
    kind: str,
    scratch: str,
    limits: resource_limits.Limits = resource_limits.Limits(),
) -> int:
    """Calls a function in a contained process and waits for the process to end.

    Call it in a forked process that does nothing else: its namespaces change too, all
    but the mounts. The working folder of the contained process is writable.

    Args:
        action: The function; what it returns is ignored.
        kind: NAMESPACES, USER or LIMITS.
        scratch: An empty folder: the mount point of the private root, or the working
            folder where there are no namespaces.
        limits: What the process may use.

    Returns:
        The wait status of the process, as os.waitpid gives it.

    Raises:
        OSError: Where the protections cannot be had; `action` was not called then.
    """
    becomes_user = os.geteuid() == 0 and kind != LIMITS
    uid = _USERS[os.getpid() % len(_USERS)] if becomes_user else None
    if kind == NAMESPACES:
        namespaces.unshare(new_user=uid is None)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _contain_and_exit(action, kind, scratch, limits, uid, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        trouble = pipe.read()
    _, status = os.waitpid(pid, 0)
    if kind != NAMESPACES:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    if trouble:
        raise OSError(trouble)
    return status


def _contain_and_exit(
    action: Callable[[], object],
    kind: str,
    scratch: str,
    limits: resource_limits.Limits,
    uid: int | None,
    writing: int,
) -> None:
    """The contained process; errors before `action` go to the pipe `writing`."""
    code = 1
    try:
        os.setsid()
        if kind == NAMESPACES:
            namespaces.enter_private_root(scratch, limits.scratch)
        else:
            _enter_folder(scratch, uid)
        namespaces.drop_privileges(uid)
        resource_limits.set_limits(limits)
        os.dup2(writing, 3, inheritable=False)
        most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        os.closerange(4, max(1024, most_files))
    except BaseException as error:
        os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(code)
    try:
        os.close(3)
        action()
        code = 0
    finally:
        os._exit(code)


def _enter_folder(folder: str, uid: int | None) -> None:
    """Makes a folder the working folder, owned by the user `uid`."""
    if uid is not None:
        os.chown(folder, uid, uid)
    os.chdir(folder)


def probe() -> Protections:
    """The first kind under which a new interpreter starts and imports.

    Call it in a process with a single thread: it forks.

    Returns:
        The protections in force.

    Raises:
        OSError: If Python starts under no kind.
    """
    troubles = {}
    for kind in (NAMESPACES, USER, LIMITS):
        if kind == USER and os.geteuid() != 0:
            continue
        troubles[kind] = _try_kind(kind)
        if not troubles[kind]:
            break
    else:
        raise OSError(
            "sandbox: Python does not start under any kind of protection: "
            f"{troubles}, expected one that works"
        )
    if kind == NAMESPACES:
        return Protections(kind)
    missing = (
        f"no namespaces here ({troubles[NAMESPACES]}), so generated code reaches the "
        "network and this system's files"
    )
    if kind == LIMITS and os.geteuid() == 0:
        missing += (
            f", and it runs as root, whom process limits do not bind ({troubles[USER]})"
        )
    return Protections(kind, missing)


def _try_kind(kind: str) -> str:
    """Empty if the probe passes under `kind`, else the reason why not."""
    scratch = tempfile.mkdtemp()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            status = run_contained(lambda: _execute_probe(kind), kind, scratch)
            if status:
                os.write(writing, f"{sys.executable} does not run in it".encode())
        except BaseException as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        trouble = pipe.read()
    os.waitpid(pid, 0)
    shutil.rmtree(scratch)
    return trouble


def _execute_probe(kind: str) -> None:
    """Replaces this process by an interpreter that runs the probe."""
    silence()
    python = os.path.realpath(sys.executable)
    os.execv(python, [python, "-I", "-c", _PROBE, kind])


def silence() -> None:
    """Standard input, output and error of this process become /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)


def _run_command(command: list[str], kind: str) -> int:
    """The exit status of a command under protections of this kind."""
    # Absolute, because the working folder is another one there.
    program = os.path.abspath(shutil.which(command[0]) or command[0])
    scratch = tempfile.mkdtemp()
    pid = os.fork()
    if pid == 0:
        status = run_contained(
            lambda: os.execv(program, [program, *command[1:]]), kind, scratch
        )
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    _, status = os.waitpid(pid, 0)
    shutil.rmtree(scratch)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Prints the protections as JSON, or runs the command of the arguments."""
    protections = probe()
    command = sys.argv[1:]
    if not command:
        print(json.dumps(dataclasses.asdict(protections)))
        return
    sys.exit(_run_command(command, protections.kind))


if __name__ == "__main__":
    main()
