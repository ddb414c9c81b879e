"""Jobs of published models, for the tests of plans."""

import dataclasses

from jaxent.capacity import chips, compiler, jobs, memory
from jaxent.model import known_configs
from jaxent.runs import spec as specs

SEVEN, BIG = "Qwen/Qwen2.5-Coder-7B", "Qwen/Qwen2.5-Coder-32B"


def job(
    model: str, topology: str, mesh: str = "none", layers: int | None = None, **settings
) -> jobs.Job:
    """A job of a published model, with fewer layers if asked for."""
    config = known_configs.find_config(model)
    config = dataclasses.replace(config, layers=layers or config.layers)
    run, chips_ = specs.RunSpec(model), chips.parse_topology(topology)
    return jobs.Job(run, config, chips_, mesh, **settings)


def compiled(one: jobs.Job, program: str) -> memory.ProgramCost:
    """One of a job's programs, compiled."""
    site = compiler.job_site(one, True)
    return compiler.compile_program(getattr(site, program)(), one, -1.0)


def analysed(one: jobs.Job, program: str) -> memory.ProgramCost:
    """One of a job's programs, by formula."""
    site = compiler.job_site(one, False)
    return memory.analyse_program(getattr(site, program)(), one)
