"""How long a job takes on its chips, and its plan: memory, traffic and time of all its programs. Times are rooflines.

Where the chips' compiler is installed a plan's memory and traffic are what it makes of the programs (`compiler`), otherwise by formula.
"""

import dataclasses
import math
from collections.abc import Callable

from jaxent.capacity import compiler, hlo_collectives
from jaxent.capacity import programs as capacity_programs
from jaxent.data import probes
from jaxent.model import blocks
from jaxent.runs import cost as costs

SHARE = 0.4  # of the published peak that large products reach in training
_LINK = 0.5  # of a chip's links that a collective over one axis of a mesh keeps busy


@dataclasses.dataclass(frozen=True)
class Time:
    """Seconds of a roofline: operations at SHARE of the peak, bytes of memory at its bandwidth, bytes received at half of all
    links' (a collective over one axis of the mesh keeps so many busy). Collectives are not taken to hide behind operations.
    """

    compute: float
    memory: float
    link: float

    @property
    def seconds(self) -> float:
        return max(self.compute, self.memory) + self.link


def step_flops(job: capacity_programs.Job) -> float:
    """Operations of one step of all seeds, over all chips, by `cost.run_cost`: unused rows of a micro-batch are computed too."""
    one, none = (
        costs.run_cost(
            dataclasses.replace(job.run, steps=n, csr_lambda=0.0), job.config
        ).flops
        for n in (1, 0)
    )
    return (
        job.seeds
        * (one - 2 * none)
        * job.micro_batches
        * job.at_a_time
        / job.run.batch_size
    )


def measure_flops(job: capacity_programs.Job) -> float:
    """Operations of one measurement of one seed, by `cost.run_cost`."""
    return costs.run_cost(dataclasses.replace(job.run, steps=0), job.config).flops


def token_flops(job: capacity_programs.Job, rows: int) -> float:
    """Operations of one token of so many rows: twice the weights, adapter and head included, and attention over the longest cache."""
    c, shapes = job.config, blocks.linear_shapes(job.config)
    weights = (
        c.layers
        * (
            sum(k * n for k, n in shapes.values())
            + job.run.lora_r * sum(sum(shapes[m]) for m in job.run.lora_target_modules)
        )
        + c.vocab * c.embed
    )
    return rows * (
        2 * weights + 4 * c.layers * c.heads * c.head_dim * (job.prompt + job.new)
    )


def _time(
    job: capacity_programs.Job, flops: float, read: float, received: dict[str, float]
) -> Time:
    chip = job.topology.chip
    link = sum(received.values()) / (_LINK * chip.link)
    return Time(
        flops / (job.topology.size * SHARE * chip.peak), read / chip.bandwidth, link
    )


def step_time(job: capacity_programs.Job, found: capacity_programs.Found) -> Time:
    """Of the job's training step."""
    return _time(job, step_flops(job), _read(job, 3, job.micro_batches), found.received)


def plan_training(
    job: capacity_programs.Job, compiling: bool = False, effort: float = -1.0
) -> tuple[capacity_programs.Found, Time]:
    """The job's training step alone: compiled where asked for, otherwise by analysis. `check` first."""
    program = compiler.job_site(job, compiling).train()
    found = (
        compiler.compile_program(program, job, effort)
        if compiling
        else capacity_programs.analyse_program(program, job)
    )
    return found, step_time(job, found)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A job's programs, and what follows: seconds of a step, of a measurement of one seed and of a token of `decoded` rows."""

    job: capacity_programs.Job
    found: tuple[capacity_programs.Found, ...]
    step: Time
    measurement: Time
    token: Time
    decoded: int

    @property
    def fits(self) -> bool:
        return all(capacity_programs.fits_memory(f, self.job) for f in self.found)

    @property
    def hours(self) -> dict[str, float]:
        """Of the job's seeds: training, measuring (once more for the bare model), and the coding benchmark with every answer at its longest."""
        run, seeds = self.job.run, self.job.seeds
        times = 1 + seeds * (1 + -(-run.max_steps // run.measure_steps))
        batches_ = -(-self.job.problems // self.decoded)
        seconds = (
            run.max_steps * self.step.seconds,
            times * self.measurement.seconds,
            seeds * batches_ * self.job.new * self.token.seconds,
        )
        return dict(
            zip(("training", "measuring", "decoding"), (s / 3600 for s in seconds))
        )


def plan_of(
    job: capacity_programs.Job,
    compiling: bool = False,
    effort: float = -1.0,
    said: Callable[[str], None] = lambda text: None,
) -> Plan:
    """The job's plan: compiled where asked for, otherwise by analysis. said: hears what is about to be compiled. `check` first."""
    at, found = compiler.job_site(job, compiling), []
    programs = [at.train(), at.measure(), *_decoding(at)]
    for program in programs:
        if compiling:
            said(f"{job.run.model} on {job.topology}, mesh {job.mesh}: {program.name}")
        found.append(
            compiler.compile_program(program, job, effort)
            if compiling
            else capacity_programs.analyse_program(program, job)
        )
    cache, rows = (
        (programs[2].parts["cache"], programs[2].rows)
        if len(programs) > 2
        else (None, 1)
    )
    if cache is None:
        refused = "not one row of the cache fits beside the weights"
        found.append(
            capacity_programs.Found(
                "decoding",
                found[1].parts,
                math.inf,
                dict.fromkeys(hlo_collectives.KINDS, 0.0),
                "analysed",
                refused,
            )
        )
    batches_of = math.ceil(
        len(probes.load_probes(job.run.probes, job.run.probe_sets).probes)
        / capacity_programs.probes_at_a_time(job)
    )
    measured = {kind: batches_of * n for kind, n in found[1].received.items()}
    step = step_time(job, found[0])
    measurement = _time(job, measure_flops(job), _read(job, 1, batches_of), measured)
    token = _time(
        job,
        token_flops(job, rows),
        _read(job, 1, 1) + capacity_programs.held_bytes(cache),
        found[2].received,
    )
    return Plan(job, tuple(found), step, measurement, token, rows)


def _decoding(at: capacity_programs.Site) -> list[capacity_programs.Program]:
    """The decoding program, or none where not one row fits."""
    try:
        return [at.decode()]
    except ValueError:
        return []


def _read(job: capacity_programs.Job, passes: int, times: int) -> float:
    """Bytes of a chip's memory: in each pass codes read, decoded weights written and read; the head's read twice."""
    c = job.config
    linear = c.layers * sum(k * n for k, n in blocks.linear_shapes(c).values())
    size = costs.NF4 + 4 if job.run.load_in_4bit else 2
    return (
        times
        * (passes * size * linear + 2 * 2 * c.vocab * c.embed)
        / job.sizes["tensor"]
    )


def search_meshes(job: capacity_programs.Job) -> list[Plan]:
    """The job's plans by analysis on every mesh that divides, those that fit first, the fastest study first."""
    plans = [plan_of(one) for one in capacity_programs.candidate_meshes(job)]
    if not plans:
        raise ValueError(
            f"{job.topology}: no mesh of {job.topology.size} chips splits {job.run.model} and {job.run.batch_size} examples a step"
        )
    return sorted(plans, key=lambda p: (not p.fits, sum(p.hours.values())))
