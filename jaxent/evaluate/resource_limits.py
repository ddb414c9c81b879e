"""Resource limits of a contained process: memory, processes, files, CPU time."""

import dataclasses
import resource

_OPEN_FILES = 256


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a contained program may use.

    `memory`, `file` and `cpu` hold for each process, `processes` and `scratch` for all
    processes of one call together. Nothing but processes x memory bounds the memory of
    all of them, so `processes` is small.

    Attributes:
        memory: Address space, in bytes.
        processes: Processes and threads.
        file: Size of a file, in bytes.
        scratch: Size of the private /tmp, in bytes.
        cpu: CPU time, in seconds.

    Example:
        >>> Limits(memory=1 << 30).cpu
        120
    """

    memory: int = 4 << 30
    processes: int = 4
    file: int = 16 << 20
    scratch: int = 64 << 20
    cpu: int = 120


def set_limits(limits: Limits) -> None:
    """Sets hard limits for this process and its children; lower hard limits stay.

    Args:
        limits: The limits; `scratch` is a property of a file system, not of a process,
            and is not set here.
    """
    wanted = {
        resource.RLIMIT_AS: limits.memory,
        resource.RLIMIT_DATA: limits.memory,
        resource.RLIMIT_STACK: limits.memory,
        resource.RLIMIT_NPROC: limits.processes,
        resource.RLIMIT_FSIZE: limits.file,
        resource.RLIMIT_CPU: limits.cpu,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for name, value in wanted.items():
        hard = resource.getrlimit(name)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(name, (value, value))
