"""Compiled programs are kept from one command to the next.

This module imports nothing heavy: JAX reads the settings when it is imported.
"""

import hashlib
import os
import pathlib
import platform
from collections.abc import MutableMapping

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_LARGEST = 2 << 30  # bytes; the programs that were not used for longest go first
_SHORTEST = 0.3  # seconds of compiling, below which a program is not kept


def keep_programs(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets JAX's compilation cache below ~/.cache/jaxent, unless the user set one.

    The folder is that of this processor's instructions, because programs for a CPU do
    not run on one that lacks some, and a home folder may be shared by machines.

    Args:
        environment: variables that JAX reads; those that are there stay. With
            JAX_COMPILATION_CACHE_DIR set to nothing, programs are not kept.

    Example:
        >>> environment = {"JAX_COMPILATION_CACHE_DIR": "/elsewhere"}
        >>> keep_programs(environment)
        >>> environment
        {'JAX_COMPILATION_CACHE_DIR': '/elsewhere'}
    """
    if _FOLDER in environment:
        return
    folder = pathlib.Path.home() / ".cache" / "jaxent" / "compiled" / _processor()
    environment[_FOLDER] = str(folder)
    environment.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_LARGEST))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(_SHORTEST))


def _processor() -> str:
    """A name for the processor's instruction set."""
    facts = platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        # "flags" on x86, "Features" on ARM; all cores have the same.
        facts += next((x for x in lines if x.lower().startswith(("flags", "feat"))), "")
    return hashlib.sha256(facts.encode()).hexdigest()[:12]
