"""A job's programs compiled for chips that are not there.

By libtpu, which needs no TPU, or JAX's CUDA plugin, which needs no GPU (pip install -e
'.[plan,plan-gpu]').
"""

import contextlib
import importlib.metadata
import importlib.util
import math
import os
import re
from typing import Any

import jax
from jax.experimental import topologies

from jaxent.capacity import chips, hlo_collectives, jobs, memory, programs
from jaxent.distributed import axes

_PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "libtpu",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
)


def is_available(topology: chips.Topology) -> bool:
    """Whether programs can be compiled for such chips here.

    With libtpu, or with JAX's CUDA plugin, whatever is in the machine.
    """
    if topology.tpu:
        return "TPU_LIBRARY_PATH" in os.environ or _is_installed("libtpu")
    if topology.chip.name not in chips.DESCRIBED:
        return False
    plugins = ("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13")
    return _is_installed("jax_plugins") and any(map(_is_installed, plugins))


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def compiler_versions() -> str:
    """Versions of what plans depend on, for tables of them."""
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    versions.setdefault("libtpu", os.environ.get("TPU_LIBRARY_PATH", "not installed"))
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def job_site(job: jobs.Job, compiling: bool) -> programs.Site:
    """Where the job's arrays are: the topology's devices if programs are compiled."""
    if not compiling:
        return programs.Site(job, job.abstract)
    devices = _tpus(job.topology) if job.topology.tpu else _gpus(job.topology)
    if job.topology.size == 1:
        return programs.Site(job, None, devices[0])
    return programs.Site(job, axes.create_mesh(job.sizes, devices))


def _gpus(topology: chips.Topology) -> list[jax.Device]:
    return topologies.get_topology_desc(
        platform="cuda",
        target_config=chips.gpu_target(topology.chip),
        topology=f"1x1x{topology.size}",
    ).devices


def _tpus(topology: chips.Topology) -> list[jax.Device]:
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    # No TPU is here: these two only keep libtpu from looking for one.
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    bounds = {"chips_per_host_bounds": (1, 1, 1)} if topology.size == 1 else {}
    try:
        return topologies.get_topology_desc(
            platform="tpu", topology_name=str(topology), **bounds
        ).devices
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(
            f"topology {topology}: libtpu knows no such slice "
            f"({str(error).splitlines()[0]})"
        ) from error


def effort_options(effort: float) -> dict[str, Any]:
    """The compile options of this JAX for how much the TPU compiler is to try.

    JAX up to 0.10 takes the number itself. Later ones have levels instead: O0 for -1,
    the compiler's default for 0, O3 for 1.

    Args:
        effort: -1 (fastest to compile) to 1.
    """
    if jax.__version_info__ < (0, 11):
        return {"exec_time_optimization_effort": effort}
    if effort == 0:
        return {}
    return {"optimization_level": "O0" if effort < 0 else "O3"}


def compile_program(
    program: programs.Program, job: jobs.Job, effort: float
) -> memory.ProgramCost:
    """What the compiler plans for a program.

    Total = arguments + outputs - those that share memory + temporaries. A refusal for
    want of memory is a result. XLA:GPU refuses nothing: compare the total.

    Args:
        program: what is compiled.
        job: the job it belongs to.
        effort: of XLA:TPU, -1 (five times as fast to compile, temporaries up to a tenth
            larger) to 1.
    """
    parts = {name: programs.held_bytes(tree) for name, tree in program.parts.items()}
    options = effort_options(effort) if job.topology.tpu else {}
    how = "compiled, unfused attention"
    if job.topology.tpu:
        how = f"compiled, effort {effort:g}"
    try:
        compiled = program.lower().compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if "hbm" not in str(error).lower() or "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _refused(program, job, parts, str(error), how)
    m: Any = compiled.memory_analysis()
    arguments = m.argument_size_in_bytes + m.output_size_in_bytes
    total = arguments - m.alias_size_in_bytes + m.temp_size_in_bytes
    parts["temporaries"] = total - sum(parts.values())
    received = hlo_collectives.received_bytes(
        str(compiled.as_text()), program.loops, job.topology.size
    )
    received = {kind: n / program.per for kind, n in received.items()}
    return memory.ProgramCost(program.name, parts, total, received, how)


def _refused(
    program: programs.Program, job: jobs.Job, parts: dict, message: str, how: str
) -> memory.ProgramCost:
    """The cost of a program that does not fit, with the compiler's figure."""
    pattern = r"([\d.]+)([GM])\)? (?:of [\d.]+[GM] hbm|exceeds available HBM)"
    figure, total = re.search(pattern, message), math.inf
    if figure:
        total = float(figure[1]) * (2**30 if figure[2] == "G" else 2**20)
    lines = message.splitlines()
    refusal = next(line for line in lines if "hbm" in line.lower()).strip()
    received = memory.expected_traffic(program, job)
    return memory.ProgramCost(program.name, parts, total, received, how, refusal)
