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

import jax
from jax.experimental import topologies

from jaxent.capacity import chips, hlo_collectives, programs
from jaxent.distributed import axes


def is_available(topology: chips.Topology) -> bool:
    """Whether programs can be compiled for such chips here.

    With libtpu, or with JAX's CUDA plugin, whatever is in the machine.
    """
    there = lambda name: importlib.util.find_spec(name) is not None
    if topology.tpu:
        return "TPU_LIBRARY_PATH" in os.environ or there("libtpu")
    return there("jax_plugins") and any(
        there(f"jax_plugins.{name}") for name in ("xla_cuda12", "xla_cuda13")
    )


def compiler_versions() -> str:
    """Of what plans depend on, for tables of them."""
    found = {}
    for name in (
        "jax",
        "jaxlib",
        "flax",
        "libtpu",
        "jax-cuda12-plugin",
        "jax-cuda13-plugin",
    ):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    found.setdefault("libtpu", os.environ.get("TPU_LIBRARY_PATH", "not installed"))
    return ", ".join(f"{name} {version}" for name, version in found.items())


def job_site(job: programs.Job, compiling: bool) -> programs.Site:
    """Where the job's arrays lie.

    On the topology's devices if programs are to be compiled.
    """
    if not compiling:
        return programs.Site(job, job.abstract)
    devices = _tpus(job.topology) if job.topology.tpu else _gpus(job.topology)
    return (
        programs.Site(job, None, devices[0])
        if job.topology.size == 1
        else programs.Site(job, axes.create_mesh(job.sizes, devices))
    )


def _gpus(topology: chips.Topology) -> list[jax.Device]:
    return topologies.get_topology_desc(
        platform="cuda",
        target_config=chips.gpu_target(topology.chip),
        topology=f"1x1x{topology.size}",
    ).devices


def _tpus(topology: chips.Topology) -> list[jax.Device]:
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    os.environ.setdefault(
        "TPU_ACCELERATOR_TYPE", "v5litepod-1"
    )  # no TPU is here: these two only keep libtpu from looking for one
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    bounds = {"chips_per_host_bounds": (1, 1, 1)} if topology.size == 1 else {}
    try:
        return topologies.get_topology_desc(
            platform="tpu", topology_name=str(topology), **bounds
        ).devices
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(
            f"topology {topology}: libtpu knows no such slice ({str(error).splitlines()[0]})"
        ) from error


def effort_options(effort: float) -> dict[str, float | str]:
    """The compile options of this JAX for how much the TPU compiler is to try.

    JAX up to 0.10 takes the number itself. Later ones have levels instead: O0 for -1, the
    compiler's default for 0, O3 for 1.

    Args:
        effort: -1 (fastest to compile) to 1.
    """
    if jax.__version_info__ < (0, 11):
        return {"exec_time_optimization_effort": effort}
    if effort == 0:
        return {}
    return {"optimization_level": "O0" if effort < 0 else "O3"}


def compile_program(
    program: programs.Program, job: programs.Job, effort: float
) -> programs.Found:
    """What the compiler plans.

    Total = arguments + outputs - those that share memory + temporaries; a refusal for
    want of memory is a result.

    effort: of XLA:TPU, -1 (five times as fast, temporaries up to a tenth larger) to 1.
    XLA:GPU refuses nothing: compare the total.
    """
    parts = {name: programs.held_bytes(tree) for name, tree in program.parts.items()}
    options = effort_options(effort) if job.topology.tpu else {}
    how = f"compiled, effort {effort:g}" if options else "compiled, unfused attention"
    try:
        ready = program.lower().compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if "hbm" not in str(error).lower() or "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _refused(program, job, parts, str(error), how)
    m = ready.memory_analysis()
    total = (
        m.argument_size_in_bytes
        + m.output_size_in_bytes
        - m.alias_size_in_bytes
        + m.temp_size_in_bytes
    )
    parts["temporaries"] = total - sum(parts.values())
    received = hlo_collectives.received_bytes(
        ready.as_text(), program.loops, job.topology.size
    )
    return programs.Found(
        program.name,
        parts,
        total,
        {kind: n / program.per for kind, n in received.items()},
        how,
    )


def _refused(
    program: programs.Program, job: programs.Job, parts: dict, message: str, how: str
) -> programs.Found:
    """The row of a program that does not fit, with the compiler's figure."""
    figure = re.search(
        r"([\d.]+)([GM])\)? (?:of [\d.]+[GM] hbm|exceeds available HBM)", message
    )
    total = (
        float(figure[1]) * (2**30 if figure[2] == "G" else 2**20)
        if figure
        else math.inf
    )
    said = next(line for line in message.splitlines() if "hbm" in line.lower()).strip()
    return programs.Found(
        program.name, parts, total, programs.expected_parts(program, job), how, said
    )
