"""Linux namespaces, mounts and privileges, through the C library.

A contained process sees a file system of its own: Python and the system's libraries,
read-only, and one small writable /tmp.
"""

import ctypes
import os
import pathlib
import signal
import sys
from collections.abc import Iterable

_TEMPORARY = "/tmp"
_ROOT_OPTIONS = "size=1m,mode=755"
_INSIDE_USER = 65534  # the number of the calling user inside its user namespace

# Constants of the Linux headers (sched.h, mount.h, prctl.h, capability.h).
_CLONE_MOUNT = 0x20000
_CLONE = {
    "uts": 0x4000000,
    "ipc": 0x8000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}
_MS_NOSUID = 2
_MS_NODEV = 4
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_ATTR_RDONLY = 1
_ATTR_NOSUID = 2
_MOUNT_SETATTR = 442  # Linux 5.12; the same number on every architecture
_MOUNT_ATTR_BYTES = 32
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522

_SYSTEM_PATHS = (
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


def unshare(new_user: bool) -> None:
    """Moves this process to namespaces of its own, mounts excepted.

    Its children are in the new process namespace; it stays in the old one.

    Args:
        new_user: Whether to create a user namespace too, which gives an ordinary user
            the right to create the others.

    Raises:
        OSError: Where this system forbids it.
    """
    names = [name for name in _CLONE if new_user or name != "user"]
    user, group = os.geteuid(), os.getegid()
    _call("unshare", sum(_CLONE[name] for name in names), what=", ".join(names))
    if not new_user:
        return
    process = pathlib.Path("/proc/self")
    (process / "setgroups").write_text("deny")
    (process / "uid_map").write_text(f"{_INSIDE_USER} {user} 1")
    (process / "gid_map").write_text(f"{_INSIDE_USER} {group} 1")


def enter_private_root(root: str, scratch_bytes: int) -> None:
    """Gives this process a file system of its own and moves it to its /tmp.

    The private /tmp is mounted first: an environment may be below /tmp, and its
    read-only mount has to be on top. chroot suffices for a process that will have no
    capabilities, and it forbids new user namespaces.

    Args:
        root: An empty folder, the mount point of the new root.
        scratch_bytes: Size of the private /tmp, in bytes.

    Raises:
        OSError: Where this system forbids it.
    """
    _call("unshare", _CLONE_MOUNT, what="mount")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount("jaxent", root, "tmpfs", _MS_NOSUID, _ROOT_OPTIONS)
    temporary = f"{root}{_TEMPORARY}"
    os.mkdir(temporary)
    options = f"size={scratch_bytes},nr_inodes=4096,mode=1777"
    _mount("jaxent", temporary, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    paths = visible_paths()
    for path in paths:
        _add_read_only(path, root, paths)
    _set_read_only(root, recursive=False)
    os.chroot(root)
    os.chdir(_TEMPORARY)


def visible_paths() -> list[str]:
    """The absolute paths that a contained Python needs, none of them below another."""
    packages = [
        path
        for path in sys.path
        if os.path.basename(path) in ("site-packages", "dist-packages")
    ]
    prefixes = [sys.base_prefix, sys.prefix]
    prefixes += [os.path.realpath(prefix) for prefix in prefixes]
    candidates = {
        os.path.abspath(path)
        for path in (*_SYSTEM_PATHS, *prefixes, *packages)
        if os.path.exists(path)
    }
    kept: list[str] = []
    for path in sorted(candidates):
        if not _is_below(path, kept):
            kept.append(path)
    return kept


def drop_privileges(uid: int | None) -> None:
    """Becomes a user without capabilities, for good, that ends with its parent.

    Args:
        uid: The user and group to become; None keeps the present ones.

    Raises:
        OSError: Where this system forbids it.
    """
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, what="no_new_privs")
    if os.geteuid() != 0:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        no_sets = (ctypes.c_uint32 * 6)()
        _call(
            "capset",
            ctypes.byref(header),
            ctypes.byref(no_sets),
            what="no capabilities",
        )
    kill = int(signal.SIGKILL)
    _call("prctl", _PR_SET_PDEATHSIG, kill, 0, 0, 0, what="end with the caller")


def _add_read_only(path: str, root: str, visible: list[str]) -> None:
    """Shows `path` at the same path below `root`, read-only."""
    target = f"{root}{path}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path) and _is_below(os.path.realpath(path), visible):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.mkdir(target)
    else:
        pathlib.Path(target).touch(exist_ok=False)
    _mount(path, target, None, _MS_BIND | _MS_REC)
    _set_read_only(target, recursive=True)


def _is_below(path: str, folders: Iterable[str]) -> bool:
    """Whether `path` is one of `folders` or below one."""
    return any(path == f or path.startswith(f"{f}/") for f in folders)


def _mount(
    source: str,
    target: str,
    kind: str | None,
    flags: int,
    options: str | None = None,
) -> None:
    """mount(2)."""
    _call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
        what=f"{source} on {target}",
    )


def _set_read_only(target: str, *, recursive: bool) -> None:
    """mount_setattr(2): no writes and no set-user-ID programs in a mount."""
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY | _ATTR_NOSUID, 0, 0, 0)
    _call(
        "syscall",
        _MOUNT_SETATTR,
        _AT_FDCWD,
        target.encode(),
        _AT_RECURSIVE if recursive else 0,
        ctypes.byref(attributes),
        ctypes.c_size_t(_MOUNT_ATTR_BYTES),
        what=f"mount_setattr {target} read-only",
    )


def _call(name: str, *arguments, what: str) -> None:
    """Calls a C library function; OSError with its name unless it returns 0."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name} {what}: {os.strerror(number)}")
