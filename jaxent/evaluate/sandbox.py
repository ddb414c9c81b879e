"""Running code nobody has read, on Linux.

    python jaxent/evaluate/sandbox.py                    # what protections this system has, as JSON
    python jaxent/evaluate/sandbox.py python -c '...'    # a command under them

One of three kinds is in force, the first that works here (tried by doing it, `probe`):

    namespaces   Linux namespaces of its own for network (none at all, not even loopback), processes (all end
                 with the first), files (Python and system libraries read-only, one small writable /tmp, nothing
                 else of this system, no /proc), and IPC. Root creates them and then becomes a user nobody else
                 is; everybody else creates them inside a user namespace and gives up its capabilities.
    user         no namespaces; root becomes that user: file permissions and limits hold, the network is open
    limits       resource limits alone

All three: address space, processes, file size and CPU seconds limited, no core dumps, no file descriptors but the
standard ones, no privileges to be gained by exec, killed when the caller dies. The environment is the caller's: clean it.
"""

import ctypes
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

NAMESPACES, USER, LIMITS = "namespaces", "user", "limits"

_CLONE_MOUNT = 0x20000
_CLONE = {
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = (
    442,
    -100,
    0x8000,
)  # Linux 5.12, the same number on every machine
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION = 0x20080522
_USERS = range(
    61184, 65520
)  # what systemd keeps for users that exist while a process does
_SYSTEM = (
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
)
_PROBE = """
import decimal, hashlib, os, socket, sys
if sys.argv[1] == "namespaces":
    assert os.getpid() == 1 and os.getuid() != 0 and os.getcwd() == "/tmp"
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
    except OSError:
        sys.exit(0)
    sys.exit("the network can be reached")
"""


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bytes and seconds a process; `processes` (threads count) and `scratch` for all of one call together.

    Nothing bounds the memory of all its processes but processes x memory: hence few.
    """

    memory: int = 4 << 30
    processes: int = 4
    file: int = 16 << 20
    scratch: int = 64 << 20
    cpu: int = 120


@dataclasses.dataclass(frozen=True)
class Protections:
    """Which kind is in force here and, unless it is namespaces, what is missing and why."""

    kind: str
    missing: str = ""


def check_protections() -> Protections:
    """What this system has, found out in a process of its own (0.3 s)."""
    argv = [
        sys.executable,
        "-P",
        __file__,
    ]  # not -m, which would import all of jaxent.decode
    done = subprocess.run(
        argv, env=environment(), capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        raise RuntimeError(
            f"sandbox: the probe ended with {done.returncode}, expected 0: {done.stderr[-500:]}"
        )
    return Protections(**json.loads(done.stdout))


def require_protections(allow_unsandboxed: bool) -> Protections:
    """`check`, or PermissionError where something is missing and that is not allowed."""
    found = check_protections()
    if found.missing and not allow_unsandboxed:
        raise PermissionError(
            f"sandbox: {found.missing}. Run generated code all the same with --allow_unsandboxed"
        )
    return found


def environment() -> dict[str, str]:
    """What a child process gets of ours: where things are, nothing else."""
    kept = (
        "PATH",
        "HOME",
        "XDG_CACHE_HOME",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
    )
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return found | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def run_contained(
    action: Callable[[], None], kind: str, scratch: str, limits: Limits = Limits()
) -> int:
    """Calls `action` in a contained process, waits, and returns its wait status; its working folder is writable.

    `scratch` is an empty folder: the place to mount on, or to write in where there are no namespaces.
    Call it in a forked process that does nothing else: its namespaces change too, but for the files.
    Raises OSError where the protections cannot be had; then `action` was not called.
    """
    uid = (
        _USERS[os.getpid() % len(_USERS)]
        if os.geteuid() == 0 and kind != LIMITS
        else None
    )
    if kind == NAMESPACES:
        _unshare(user=uid is None)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _contained(action, kind, scratch, limits, uid, writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        trouble = pipe.read()
    _, status = os.waitpid(pid, 0)
    if kind != NAMESPACES:
        _end_group(pid)
    if trouble:
        raise OSError(trouble)
    return status


def _contained(action, kind, scratch, limits, uid, writing) -> None:
    """The contained process; never returns. What goes wrong before `action` is written to `writing`."""
    code = 1
    try:
        os.setsid()
        if kind == NAMESPACES:
            _private_root(scratch, limits)
        else:
            _private_folder(scratch, uid)
        _drop(uid)
        _limit(limits)
        os.dup2(writing, 3, inheritable=False)
        os.closerange(4, max(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    except BaseException as error:
        os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(code)
    try:
        os.close(3)
        action()
        code = 0
    finally:
        os._exit(code)


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _call(name: str, *arguments, what: str = "") -> None:
    """A C library function that returns 0; OSError naming it otherwise."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name} {what}: {os.strerror(number)}")


def _unshare(user: bool) -> None:
    names = [n for n in _CLONE if user or n != "user"]
    inside, outside = 65534, (os.geteuid(), os.getegid())
    _call("unshare", sum(_CLONE[n] for n in names), what=", ".join(names))
    if user:
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"{inside} {outside[0]} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"{inside} {outside[1]} 1")


def _mount(
    source: str, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    encoded = [
        None if s is None else s.encode() for s in (source, target, kind, options)
    ]
    _call(
        "mount",
        *encoded[:3],
        ctypes.c_ulong(flags),
        encoded[3],
        what=f"{source} on {target}",
    )


def _private_root(root: str, limits: Limits) -> None:
    """Mounts a file system of read-only binds and a writable /tmp on `root`, for this process alone, and makes it the root.

    chroot suffices for a process without capabilities, and keeps it from new user namespaces.
    """
    _call("unshare", _CLONE_MOUNT, what="mount")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("jaxent", root, "tmpfs", _MS_NOSUID, "size=1m,mode=755")
    visible = _visible()
    for path in visible:
        target = f"{root}{path}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(path) and _below(os.path.realpath(path), visible):
            os.symlink(os.readlink(path), target)
            continue
        os.mkdir(target) if os.path.isdir(path) else open(target, "x").close()
        _mount(path, target, None, _MS_BIND | _MS_REC)
    os.mkdir(f"{root}/tmp")
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY | _ATTR_NOSUID, 0, 0, 0)
    place = (_AT_FDCWD, root.encode(), _AT_RECURSIVE)
    _call(
        "syscall",
        _MOUNT_SETATTR,
        *place,
        ctypes.byref(attributes),
        ctypes.c_size_t(32),
        what="mount_setattr read-only",
    )
    _mount(
        "jaxent",
        f"{root}/tmp",
        "tmpfs",
        _MS_NOSUID | _MS_NODEV,
        f"size={limits.scratch},nr_inodes=4096,mode=1777",
    )
    os.chroot(root)
    os.chdir("/tmp")


def _visible() -> list[str]:
    """Absolute paths a contained Python needs, none below another."""
    packages = [
        p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages")
    ]
    prefixes = [
        p
        for prefix in (sys.base_prefix, sys.prefix)
        for p in (prefix, os.path.realpath(prefix))
    ]
    kept = []
    for path in sorted(
        {
            os.path.abspath(p)
            for p in (*_SYSTEM, *prefixes, *packages)
            if os.path.exists(p)
        }
    ):
        if not _below(path, kept):
            kept.append(path)
    return kept


def _below(path: str, folders: list[str]) -> bool:
    return any(path == f or path.startswith(f"{f}/") for f in folders)


def _private_folder(scratch: str, uid: int | None) -> None:
    if uid is not None:
        os.chown(scratch, uid, uid)
    os.chdir(scratch)


def _drop(uid: int | None) -> None:
    """Becomes `uid` where given, without capabilities; nothing executed later can have more."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, what="no_new_privs")
    if os.geteuid() != 0:
        header, none = (
            (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0),
            (ctypes.c_uint32 * 6)(),
        )
        _call(
            "capset", ctypes.byref(header), ctypes.byref(none), what="no capabilities"
        )
    _call(
        "prctl",
        _PR_SET_PDEATHSIG,
        int(signal.SIGKILL),
        0,
        0,
        0,
        what="end with the caller",
    )


def _limit(limits: Limits) -> None:
    """Hard limits; a lower one that is already there stays."""
    wanted = {
        "AS": limits.memory,
        "DATA": limits.memory,
        "STACK": limits.memory,
        "NPROC": limits.processes,
        "FSIZE": limits.file,
        "CPU": limits.cpu,
        "NOFILE": 256,
        "CORE": 0,
    }
    for name, value in wanted.items():
        key = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(key)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(key, (value, value))


def probe() -> Protections:
    """The first kind under which a new interpreter starts and imports; for a process with a single thread."""
    troubles = {}
    for kind in (NAMESPACES, USER, LIMITS):
        if kind == USER and os.geteuid() != 0:
            continue
        troubles[kind] = _attempt(kind)
        if not troubles[kind]:
            break
    else:
        raise OSError(
            f"sandbox: Python does not start under any kind of protection: {troubles}"
        )
    if kind == NAMESPACES:
        return Protections(kind)
    missing = f"no namespaces here ({troubles[NAMESPACES]}), so generated code reaches the network and this system's files"
    if kind == LIMITS and os.geteuid() == 0:
        missing += (
            f", and it runs as root, whom process limits do not bind ({troubles[USER]})"
        )
    return Protections(kind, missing)


def _attempt(kind: str) -> str:
    """Empty if the probe passes under `kind`, else why not."""
    scratch = tempfile.mkdtemp()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            argv = [os.path.realpath(sys.executable), "-I", "-c", _PROBE, kind]
            status = run_contained(
                lambda: (silence(), os.execv(argv[0], argv)), kind, scratch
            )
            os.write(
                writing,
                f"{sys.executable} does not run in it".encode() if status else b"",
            )
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


def silence() -> None:
    """Standard input, output and error of this process become /dev/null."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)


def main() -> None:
    found = probe()
    if not sys.argv[1:]:
        print(json.dumps(dataclasses.asdict(found)))
        return
    scratch = tempfile.mkdtemp()
    argv = [shutil.which(sys.argv[1]) or sys.argv[1], *sys.argv[2:]]
    pid = os.fork()
    if pid == 0:
        status = run_contained(lambda: os.execv(argv[0], argv), found.kind, scratch)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    status = os.waitpid(pid, 0)[1]
    shutil.rmtree(scratch)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
