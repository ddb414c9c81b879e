"""How a model's training step would scale from few chips to many: strong, weak, and with a seed more for every few chips. Nothing runs.

    python scripts/plan_scaling.py --output_dir=docs/scaling.md
    python scripts/plan_scaling.py --model=Qwen/Qwen2.5-Coder-14B --topologies=v6e:2x4,v6e:4x4,v6e:4x8 --nocompile

With libtpu (pip install -e '.[plan]'; it needs no TPU) every step is compiled for its slice, about half a minute each, and the bytes of its
collectives are counted in the compiled text; without, they follow from a formula. Times are rooflines from published figures
(`jaxent.capacity.chips`). The mesh is the one with the fastest step by formula, among those that fit.
"""

import dataclasses
import pathlib
import shlex
import sys

import jax
import tqdm
from absl import app, flags, logging

from jaxent.capacity import chips, compiler, programs, roofline
from jaxent.model import known_configs
from jaxent.runs import console
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs

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
flags.DEFINE_string("output_dir", None, "Markdown file (default: printed)")

_HEADER = [
    "chips",
    "mesh",
    "rows a step",
    "seeds",
    "GiB a chip",
    "gathered, GB",
    "reduced, GB",
    "other, GB",
    "operations, s",
    "links, s",
    "step, s",
    "tokens/s",
    "efficiency",
    "bytes",
]

_DOCUMENT = """# How {model} would scale on paper

**Nothing here ran on a TPU.** What a chip receives in a training step is {how}; times follow from it and
from published figures (`programs.py`, `roofline.py` and `chips.py` in `jaxent/capacity`).

    {command}

{versions}

Assumptions: operations at {share:g} of the published peak or memory at its published bandwidth, whichever takes longer; a collective over one
axis of the mesh keeps half of a chip's links busy and does not hide behind operations; no latency and no stragglers; one slice, so nothing
crosses a data-centre network. NF4, rank 64 on seven modules, rows of {length} tokens, one row a chip at a time, every row full. The mesh of each
line is the one with the fastest step by formula among those that fit. Efficiency is tokens a second and chip, over the first line's."""
_STRONG = """## Strong scaling: {rows} rows a step

The work stays, the chips grow."""
_WEAK = """## Weak scaling: {rows} rows a chip

The batch grows with the chips."""
_SEEDS = """## A seed for every {chips} chips

The paper's own step (16 examples, {used:g} packed rows of them on average) with a seed more for every {chips} chips, all seeds in one step over
one base model: how this package uses a large slice. One seed's step alone has 16 rows at most to split."""


def jobs(topology: str) -> dict[str, programs.Job]:
    """The job of each table on a topology, still without a mesh."""
    config, slice_ = (
        known_configs.require_config(FLAGS.model),
        chips.parse_topology(topology),
    )

    def of(rows: int) -> programs.Job:
        return programs.Job(
            specs.RunSpec(FLAGS.model, examples=rows), config, slice_, rows=rows
        )

    seeds = max(1, slice_.size // FLAGS.chips_a_seed)
    return {
        "strong": of(FLAGS.strong_rows),
        "weak": of(FLAGS.rows_a_chip * slice_.size),
        "seeds": programs.Job(specs.RunSpec(FLAGS.model), config, slice_, seeds=seeds),
    }


def fastest(job: programs.Job) -> programs.Job:
    """The job on the mesh with the fastest training step by formula, among those on which it fits; ValueError where none does."""
    plans = [
        (one, *roofline.plan_training(one)) for one in programs.candidate_meshes(job)
    ]
    fitting = [
        (time.seconds, one.mesh)
        for one, found, time in plans
        if programs.fits_memory(found, one)
    ]
    if not fitting:
        raise ValueError(
            f"{job.topology}: no mesh of {job.topology.size} chips holds {job.run.model}'s step of {job.run.batch_size} rows"
        )
    return dataclasses.replace(job, mesh=min(fitting)[1])


def line(job: programs.Job, compiling: bool) -> dict:
    found, time = roofline.plan_training(job, compiling, FLAGS.compiler_effort)
    rows = job.seeds * job.rows
    return {
        "job": job,
        "found": found,
        "time": time,
        "tokens": rows * job.length / time.seconds,
    }


def cells(one: dict, first: dict) -> list[str]:
    job, found, time = one["job"], one["found"], one["time"]
    r = {kind: n / 1e9 for kind, n in found.received.items()}
    gathered, reduced = r["all-gather"], r["all-reduce"] + r["reduce-scatter"]
    rate = lambda x: x["tokens"] / x["job"].topology.size
    fits = "" if programs.fits_memory(found, job) else " (does not fit)"
    return [
        str(job.topology.size),
        job.mesh.replace(",", ", "),
        f"{job.rows:g}",
        str(job.seeds),
        f"{found.total / 2**30:.2f}{fits}",
        f"{gathered:.1f}",
        f"{reduced:.1f}",
        f"{sum(r.values()) - gathered - reduced:.1f}",
        f"{max(time.compute, time.memory):.2f}",
        f"{time.link:.2f}",
        f"{time.seconds:.2f}",
        f"{one['tokens']:.0f}",
        f"{rate(one) / rate(first):.2f}",
        found.how.split(",")[0],
    ]


def table(lines: list[dict]) -> str:
    return console.format_markdown(_HEADER, [cells(one, lines[0]) for one in lines])


def document(compiling: bool) -> str:
    found = {"strong": [], "weak": [], "seeds": []}
    todo = [
        (name, fastest(job))
        for topology in FLAGS.topologies
        for name, job in jobs(topology).items()
    ]
    for name, job in tqdm.tqdm(todo, desc="plan", unit="step", leave=False):
        found[name].append(line(job, compiling))
    how = (
        "counted in what libtpu's compiler makes of this package's own step"
        if compiling
        else "reckoned by formula"
    )
    head = _DOCUMENT.format(
        model=FLAGS.model,
        how=how,
        command=shlex.join(["python", "scripts/plan_scaling.py", *sys.argv[1:]]),
        share=roofline.SHARE,
        versions=f"{compiler.compiler_versions()}; compiler effort {FLAGS.compiler_effort:g}.",
        length=todo[0][1].length,
    )
    parts = {
        "strong": _STRONG.format(rows=FLAGS.strong_rows),
        "weak": _WEAK.format(rows=FLAGS.rows_a_chip),
        "seeds": _SEEDS.format(chips=FLAGS.chips_a_seed, used=programs.Job.rows),
    }
    return (
        "\n\n".join(
            [
                head,
                *(f"{parts[name]}\n\n{table(lines)}" for name, lines in found.items()),
            ]
        )
        + "\n"
    )


def main(_):
    logging.set_verbosity(logging.ERROR)
    jax.config.update("jax_platforms", "cpu")
    try:
        text = document(
            FLAGS.compile and compiler.is_available(chips.parse_topology("v5e:4x4"))
        )
    except ValueError as error:
        sys.exit(f"plan_scaling: {error}")
    if not FLAGS.output_dir:
        print(text)
        return
    run_folder.write_text(pathlib.Path(FLAGS.output_dir), text)
    print(f"Written: {FLAGS.output_dir}")


if __name__ == "__main__":
    app.run(main)
