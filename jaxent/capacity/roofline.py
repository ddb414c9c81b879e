"""How long a job takes on its chips, and its plan.

Memory, traffic and time of all its programs. Times are rooflines.

Where the chips' compiler is installed a plan's memory and traffic are what it makes of
the programs (`compiler`), otherwise by formula.
"""

import dataclasses
import math
from collections.abc import Callable

from jaxent.capacity import compiler, hlo_collectives, jobs, memory
from jaxent.capacity import programs as capacity_programs
from jaxent.data import probes
from jaxent.model import blocks
from jaxent.runs import cost as costs

SHARE = 0.4  # of the published peak that large products reach in training
_LINK = 0.5  # of a chip's links that a collective over one axis of a mesh keeps busy


@dataclasses.dataclass(frozen=True)
class Time:
    """Seconds of a roofline.

    FLOPs at SHARE of the peak, bytes of memory at its bandwidth, bytes received at
    half of all links' (so many are busy in a collective over one axis of the mesh).
    Collectives do not overlap with computation here.
    """

    compute: float
    memory: float
    link: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return max(self.compute, self.memory) + self.link


def step_flops(job: jobs.Job) -> float:
    """FLOPs of one step of all seeds, over all chips, by `cost.run_cost`.

    Unused rows of a micro-batch are computed too.
    """
    # A run of one step measures before and after it, a run of no step once.
    one_step = _run_flops(job, max_steps=1, csr_lambda=0.0)
    measurement = _run_flops(job, max_steps=0, csr_lambda=0.0)
    step = job.seeds * (one_step - 2 * measurement)
    return step * job.micro_batches * job.at_a_time / job.run.batch_size


def _run_flops(job: jobs.Job, **settings) -> float:
    """FLOPs of the job's run with some settings changed."""
    run = dataclasses.replace(job.run, **settings)
    return costs.run_cost(run, job.config).flops


def measure_flops(job: jobs.Job) -> float:
    """FLOPs of one measurement of one seed, by `cost.run_cost`."""
    return _run_flops(job, max_steps=0)


def token_flops(job: jobs.Job, rows: int) -> float:
    """FLOPs of one token of so many rows.

    Twice the weights, adapter and head included, and attention over the longest cache.
    """
    c, shapes = job.config, blocks.linear_shapes(job.config)
    adapted = sum(sum(shapes[m]) for m in job.run.lora_target_modules)
    layer = sum(k * n for k, n in shapes.values()) + job.run.lora_r * adapted
    weights = c.layers * layer + c.vocab * c.embed
    attention = 4 * c.layers * c.heads * c.head_dim * (job.prompt + job.new)
    return rows * (2 * weights + attention)


def _time(job: jobs.Job, flops: float, read: float, received: dict[str, float]) -> Time:
    chip = job.topology.chip
    link = sum(received.values()) / (_LINK * chip.link)
    return Time(
        flops / (job.topology.size * SHARE * chip.peak), read / chip.bandwidth, link
    )


def step_time(job: jobs.Job, cost: memory.ProgramCost) -> Time:
    """The time of the job's training step."""
    read = _bytes_read(job, 3, job.micro_batches)
    return _time(job, step_flops(job), read, cost.received)


def plan_training(
    job: jobs.Job, compiling: bool = False, effort: float = -1.0
) -> tuple[memory.ProgramCost, Time]:
    """The job's training step alone; `jobs.check_job` first.

    Args:
        job: what is planned.
        compiling: whether the program is compiled, or analysed by formula.
        effort: of the compiler.
    """
    program = compiler.job_site(job, compiling).train()
    cost = _program_cost(program, job, compiling, effort)
    return cost, step_time(job, cost)


def _program_cost(
    program: capacity_programs.Program, job: jobs.Job, compiling: bool, effort: float
) -> memory.ProgramCost:
    if compiling:
        return compiler.compile_program(program, job, effort)
    return memory.analyse_program(program, job)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A job's programs, and what follows.

    Seconds of a step, of a measurement of one seed and of a token of `decoded` rows.
    """

    job: jobs.Job
    costs: tuple[memory.ProgramCost, ...]
    step: Time
    measurement: Time
    token: Time
    decoded: int

    @property
    def fits(self) -> bool:
        """Whether every program fits a chip."""
        return all(memory.fits_memory(cost, self.job) for cost in self.costs)

    @property
    def hours(self) -> dict[str, float]:
        """Of the job's seeds.

        Training, measuring (once more for the bare model), and the coding benchmark
        with every answer at its longest.
        """
        run, seeds = self.job.run, self.job.seeds
        times = 1 + seeds * (1 + -(-run.max_steps // run.measure_steps))
        tokens = -(-self.job.problems // self.decoded) * self.job.new
        seconds = {
            "training": run.max_steps * self.step.seconds,
            "measuring": times * self.measurement.seconds,
            "decoding": seeds * tokens * self.token.seconds,
        }
        return {name: value / 3600 for name, value in seconds.items()}


def plan_of(
    job: jobs.Job,
    compiling: bool = False,
    effort: float = -1.0,
    say: Callable[[str], None] | None = None,
) -> Plan:
    """The job's plan; `jobs.check_job` first.

    Args:
        job: what is planned.
        compiling: whether programs are compiled, or analysed by formula.
        effort: of the compiler.
        say: hears what is about to be compiled.
    """
    site = compiler.job_site(job, compiling)
    training, measuring, decoding = site.train(), site.measure(), _decoding(site)
    program_costs = []
    for program in filter(None, (training, measuring, decoding)):
        if compiling and say:
            say(f"{job.run.model} on {job.topology}, mesh {job.mesh}: {program.name}")
        program_costs.append(_program_cost(program, job, compiling, effort))
    if decoding is None:
        program_costs.append(_no_room(program_costs[1].parts))
    number = len(probes.load_probes(job.run.probes, job.run.probe_sets).probes)
    batches = math.ceil(number / capacity_programs.probes_at_a_time(job))
    step = step_time(job, program_costs[0])
    received = {k: batches * n for k, n in program_costs[1].received.items()}
    read = _bytes_read(job, 1, batches)
    measurement = _time(job, measure_flops(job), read, received)
    rows = decoding.rows if decoding else 1
    cache = capacity_programs.held_bytes(decoding.parts["cache"] if decoding else None)
    read = _bytes_read(job, 1, 1) + cache
    token = _time(job, token_flops(job, rows), read, program_costs[2].received)
    return Plan(job, tuple(program_costs), step, measurement, token, rows)


def _no_room(parts: dict[str, int]) -> memory.ProgramCost:
    """The cost of decoding where not one row of the cache fits."""
    return memory.ProgramCost(
        capacity_programs.DECODING,
        parts,
        math.inf,
        dict.fromkeys(hlo_collectives.KINDS, 0.0),
        "analysed",
        "not one row of the cache fits beside the weights",
    )


def _decoding(site: capacity_programs.Site) -> capacity_programs.Program | None:
    """The decoding program, None where not one row fits."""
    try:
        return site.decode()
    except ValueError:
        return None


def _bytes_read(job: jobs.Job, passes: int, times: int) -> float:
    """Bytes of a chip's memory that are read and written.

    In each pass codes read, decoded weights written and read; the head's read twice.
    """
    c = job.config
    linear = c.layers * sum(k * n for k, n in blocks.linear_shapes(c).values())
    size = costs.NF4 + 4 if job.run.load_in_4bit else 2
    one = passes * size * linear + 2 * 2 * c.vocab * c.embed
    return times * one / job.sizes["tensor"]


def search_meshes(job: jobs.Job) -> list[Plan]:
    """The job's plans by formula on every mesh that divides.

    Those that fit come first, the fastest study first.
    """
    plans = [plan_of(candidate) for candidate in jobs.candidate_meshes(job)]
    if not plans:
        raise ValueError(
            f"{job.topology}: no mesh of {job.topology.size} chips splits "
            f"{job.run.model} and {job.run.batch_size} examples a step"
        )
    return sorted(plans, key=lambda p: (not p.fits, sum(p.hours.values())))
