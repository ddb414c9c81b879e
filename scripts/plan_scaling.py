r"""How a model's training step would scale from few chips to many.

    python scripts/plan_scaling.py --output_file=docs/scaling.md
    python scripts/plan_scaling.py --model=Qwen/Qwen2.5-Coder-14B --nocompile \
        --topologies=v6e:2x4,v6e:4x4,v6e:4x8

Strong, weak, and with a seed more for every few chips. Nothing runs.

With libtpu (pip install -e '.[plan]'; it needs no TPU) every step is compiled for its
slice, about half a minute each, and the bytes of its collectives are counted in the
compiled text; without, they follow from a formula. Times are rooflines from published
figures (`jaxent.capacity.chips`). The mesh is the one with the fastest step by formula,
among those that fit.
"""

import dataclasses
import pathlib
import shlex
import sys

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model",
    "Qwen/Qwen2.5-Coder-32B",
    "checkpoint folder or Hub id; one of the paper's needs no network",
)
flags.DEFINE_list(
    "topologies",
    ["v5e:2x4", "v5e:4x4", "v5e:4x8", "v5e:8x8", "v5e:8x16", "v5e:16x16"],
    "slices, the smallest first",
)
flags.DEFINE_integer("strong_rows", 256, "full rows of a step in the strong scaling")
flags.DEFINE_integer(
    "rows_a_chip", 2, "full rows of a step and chip in the weak scaling"
)
flags.DEFINE_integer("chips_a_seed", 8, "chips for which the third table has one seed")
flags.DEFINE_bool(
    "compile", True, "compile where libtpu is installed; otherwise by formula"
)
flags.DEFINE_float("compiler_effort", -1.0, "of the compiler, as in plan.py", -1.0, 1.0)
flags.DEFINE_string("output_file", None, "Markdown file (default: printed)")
command.parse(__name__, __doc__)

import jax
import tqdm

from jaxent.capacity import chips, compiler, jobs, memory, roofline
from jaxent.model import known_configs
from jaxent.runs import console
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs

_HEADER = [
    "chips",
    "mesh",
    "rows a step",
    "seeds",
    "GiB a chip",
    "gathered, GB",
    "reduced, GB",
    "other, GB",
    "computing, s",
    "links, s",
    "step, s",
    "tokens/s",
    "efficiency",
    "bytes",
]

_DOCUMENT = """# How {model} would scale on paper

**Nothing here ran on a TPU.** What a chip receives in a training step is {how}; times
follow from it and from published figures (`memory.py`, `roofline.py` and `chips.py` in
`jaxent/capacity`).

    {command}

{versions}

Assumptions: FLOPs at {share:g} of the published peak or memory at its published
bandwidth, whichever takes longer; a collective over one axis of the mesh keeps half of
a chip's links busy and does not hide behind computation; no latency and no stragglers;
one slice, so nothing crosses a data-centre network. NF4, rank 64 on seven modules, rows
of {length} tokens, one row a chip at a time, every row full. The mesh of each line is
the one with the fastest step by formula among those that fit. Efficiency is tokens a
second and chip, over the first line's."""
_STRONG = """## Strong scaling: {rows} rows a step

The work stays, the chips grow."""
_WEAK = """## Weak scaling: {rows} rows a chip

The batch grows with the chips."""
_SEEDS = """## A seed for every {chips} chips

The paper's own step (16 examples, {used:g} packed rows of them on average) with a seed
more for every {chips} chips, all seeds in one step over one base model: how this
package uses a large slice. One seed's step alone has 16 rows at most to split."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of a table: a job's training step."""

    job: jobs.Job
    cost: memory.ProgramCost
    time: roofline.Time

    @property
    def tokens(self) -> float:
        """Tokens a second."""
        rows = self.job.seeds * self.job.rows
        return rows * self.job.length / self.time.seconds

    @property
    def tokens_a_chip(self) -> float:
        """Tokens a second and chip."""
        return self.tokens / self.job.topology.size


def make_jobs(topology: str) -> dict[str, jobs.Job]:
    """The job of each table on a topology, still without a mesh."""
    config = known_configs.require_config(FLAGS.model)
    chips_ = chips.parse_topology(topology)

    def with_rows(rows: int) -> jobs.Job:
        run = specs.RunSpec(FLAGS.model, batch_size=rows)
        return jobs.Job(run, config, chips_, rows=rows)

    seeds = max(1, chips_.size // FLAGS.chips_a_seed)
    return {
        "strong": with_rows(FLAGS.strong_rows),
        "weak": with_rows(FLAGS.rows_a_chip * chips_.size),
        "seeds": jobs.Job(specs.RunSpec(FLAGS.model), config, chips_, seeds=seeds),
    }


def on_fastest_mesh(job: jobs.Job) -> jobs.Job:
    """The job on the mesh with the fastest training step that fits, by formula.

    Raises:
        ValueError: where it fits on none.
    """
    fitting = []
    for candidate in jobs.candidate_meshes(job):
        cost, time = roofline.plan_training(candidate)
        if memory.fits_memory(cost, candidate):
            fitting.append((time.seconds, candidate.mesh))
    if not fitting:
        raise ValueError(
            f"{job.topology}: no mesh of {job.topology.size} chips holds "
            f"{job.run.model}'s step of {job.run.batch_size} rows"
        )
    return dataclasses.replace(job, mesh=min(fitting)[1])


def format_line(line: Line, first: Line) -> list[str]:
    """A line under `_HEADER`; efficiency is over the first line's."""
    job, time = line.job, line.time
    received = {kind: n / 1e9 for kind, n in line.cost.received.items()}
    gathered = received["all-gather"]
    reduced = received["all-reduce"] + received["reduce-scatter"]
    fits = "" if memory.fits_memory(line.cost, job) else " (does not fit)"
    return [
        str(job.topology.size),
        job.mesh.replace(",", ", "),
        f"{job.rows:g}",
        str(job.seeds),
        f"{line.cost.total / 2**30:.2f}{fits}",
        f"{gathered:.1f}",
        f"{reduced:.1f}",
        f"{sum(received.values()) - gathered - reduced:.1f}",
        f"{max(time.compute, time.memory):.2f}",
        f"{time.link:.2f}",
        f"{time.seconds:.2f}",
        f"{line.tokens:.0f}",
        f"{line.tokens_a_chip / first.tokens_a_chip:.2f}",
        line.cost.how.split(",")[0],
    ]


def format_lines(lines: list[Line]) -> str:
    """A table of Markdown."""
    rows = [format_line(line, lines[0]) for line in lines]
    return console.format_markdown(_HEADER, rows)


def document(compiling: bool) -> str:
    """All three tables as Markdown."""
    todo = [
        (name, on_fastest_mesh(job))
        for topology in FLAGS.topologies
        for name, job in make_jobs(topology).items()
    ]
    lines: dict[str, list[Line]] = {"strong": [], "weak": [], "seeds": []}
    for name, job in tqdm.tqdm(todo, desc="plan", unit="step", leave=False):
        planned = roofline.plan_training(job, compiling, FLAGS.compiler_effort)
        lines[name].append(Line(job, *planned))
    titles = {
        "strong": _STRONG.format(rows=FLAGS.strong_rows),
        "weak": _WEAK.format(rows=FLAGS.rows_a_chip),
        "seeds": _SEEDS.format(chips=FLAGS.chips_a_seed, used=jobs.Job.rows),
    }
    sections = [f"{titles[name]}\n\n{format_lines(of)}" for name, of in lines.items()]
    return "\n\n".join([head(compiling, todo[0][1].length), *sections]) + "\n"


def head(compiling: bool, length: int) -> str:
    """What the document says before its tables."""
    compiled = "counted in what libtpu's compiler makes of this package's own step"
    effort = f"compiler effort {FLAGS.compiler_effort:g}"
    return _DOCUMENT.format(
        model=FLAGS.model,
        how=compiled if compiling else "estimated by formula",
        command=shlex.join(["python", "scripts/plan_scaling.py", *sys.argv[1:]]),
        share=roofline.SHARE,
        versions=f"{compiler.compiler_versions()}; {effort}.",
        length=length,
    )


def main() -> None:
    """Writes or prints the document."""
    jax.config.update("jax_platforms", "cpu")
    compiling = FLAGS.compile and compiler.is_available(chips.parse_topology("v5e:4x4"))
    try:
        text = document(compiling)
    except ValueError as error:
        sys.exit(f"plan_scaling: {error}")
    if not FLAGS.output_file:
        print(text)
        return
    run_folder.write_text(pathlib.Path(FLAGS.output_file), text)
    print(f"Written: {FLAGS.output_file}")


if __name__ == "__main__":
    command.run(main)
