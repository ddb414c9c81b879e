"""Does a model's study fit a slice of TPUs or a node of GPUs, and how long does it take there? Nothing is rented, loaded or run.

    python scripts/plan.py --model=Qwen/Qwen2.5-Coder-32B --topology=v5e:4x4
    python scripts/plan.py --model=Qwen/Qwen2.5-Coder-32B --topology=v5e:4x4 --mesh=fsdp:4,tensor:4 --seeds=8
    python scripts/plan.py --model=Qwen/Qwen2.5-Coder-14B --topology=v6e:4x4 --search
    python scripts/plan.py --all --output_dir=docs/capacity.md

With libtpu (pip install -e '.[plan]'; it needs no TPU) or JAX's CUDA plugin (pip install -e '.[plan-gpu]'; it needs no GPU) the package's own
training step, measuring step and decoding chunk are compiled for the chips asked for: a minute or so each on one core. For GPUs that is with
attention not fused, as cuDNN's cannot be lowered without one: their temporaries are an upper bound. Where the compiler is not there
plans are by formula, which the tables mark. Without --mesh the mesh is the one on which the study would be fastest by formula, among those that fit.
"""

import dataclasses
import pathlib
import shlex
import sys

import jax
import tqdm
from absl import app, flags, logging

from jaxent.capacity import chips, compiler, hlo_collectives, programs, roofline
from jaxent.model import known_configs
from jaxent.paper import tables as paper_tables
from jaxent.runs import console
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs

FLAGS = flags.FLAGS
_RUN = specs.RunSpec("")
flags.DEFINE_string(
    "model", None, "checkpoint folder or Hub id; one of the paper's needs no network"
)
flags.DEFINE_string(
    "topology",
    "v5e:4x4",
    "chip:shape, such as v5e:4x4, v5p:2x2x4, v6e:4x4, h100:1, h200:8",
)
flags.DEFINE_string(
    "mesh", None, "chips by axis (seed, data, fsdp, tensor), such as fsdp:4,tensor:4"
)
flags.DEFINE_integer("seeds", 1, "seeds trained together, in one step")
flags.DEFINE_bool(
    "search", False, "try every mesh that divides and name the fastest that fits"
)
flags.DEFINE_bool(
    "compile", True, "compile where the compiler is installed; otherwise by formula"
)
flags.DEFINE_float(
    "compiler_effort",
    -1.0,
    "of the compiler: -1 is five times as fast as 0, its temporaries up to a tenth larger",
    -1.0,
    1.0,
)
flags.DEFINE_float(
    "rows",
    programs.Job.rows,
    "packed rows an optimizer step uses on average (default: B3's with Qwen's tokenizer)",
)
flags.DEFINE_integer("lora_r", _RUN.lora_r, "LoRA rank")
flags.DEFINE_integer("max_length", _RUN.max_length, "tokens an example and a row")
flags.DEFINE_integer(
    "micro_batch_size", _RUN.micro_batch_size, "packed rows a chip runs at a time"
)
flags.DEFINE_integer("batch_size", _RUN.batch_size, "examples an optimizer step")
flags.DEFINE_integer("max_steps", _RUN.max_steps, "optimizer steps")
flags.DEFINE_integer("measure_steps", _RUN.measure_steps, "steps between measurements")
flags.DEFINE_bool("load_in_4bit", True, "NF4; otherwise bfloat16 weights")
flags.DEFINE_integer(
    "max_new_tokens",
    programs.Job.new,
    "tokens generated for each of the coding benchmark's 164 problems, at most",
)
flags.DEFINE_bool("all", False, "the paper's six models on --topologies")
flags.DEFINE_list(
    "topologies",
    [
        "v5e:1x1",
        "v5e:4x4",
        "v5p:2x2x4",
        "v6e:4x4",
        "h100:1",
        "h100:8",
        "h200:1",
        "h200:8",
    ],
    "with --all",
)
flags.DEFINE_string("output_dir", None, "with --all: Markdown file")

_KINDS = {
    "all-gather": "gather",
    "all-reduce": "reduce",
    "reduce-scatter": "scatter",
    "all-to-all": "all-to-all",
    "collective-permute": "permute",
}
_HELD = ("weights", "adapter", "optimizer", "batch", "cache", "temporaries")


def job(model: str, topology: str) -> programs.Job:
    names = (
        "rank",
        "max_length",
        "micro_batch_size",
        "batch_size",
        "max_steps",
        "measure_steps",
        "load_in_4bit",
    )
    run = specs.RunSpec(model, **{name: FLAGS[name].value for name in names})
    return programs.Job(
        run,
        known_configs.require_config(model),
        chips.parse_topology(topology),
        seeds=FLAGS.seeds,
        rows=FLAGS.rows,
        new=FLAGS.max_new_tokens,
    )


def gib(number: float | None) -> str:
    return "-" if number is None else f"{number / 2**30:.2f}"


def compiles(one: programs.Job) -> bool:
    return FLAGS.compile and compiler.is_available(one.topology)


def why_analysed(one: programs.Job) -> str:
    compiler = "libtpu" if one.topology.tpu else "JAX's CUDA plugin"
    return (
        ""
        if compiles(one)
        else f"{compiler} is not installed or not wanted: all figures of this table are by formula."
    )


def memory(plan: roofline.Plan) -> str:
    rows = []
    for f in plan.found:
        verdict = "yes" if programs.fits_memory(f, plan.job) else "no"
        rows.append(
            [
                f.name,
                *(gib(f.parts.get(name)) for name in _HELD),
                gib(f.total),
                verdict,
                f.how,
            ]
        )
    header = [
        "GiB a chip",
        *_HELD,
        "total",
        f"fits {gib(plan.job.topology.chip.memory)}",
        "how",
    ]
    refusals = "".join(f"\n{f.name}: {f.refused}" for f in plan.found if f.refused)
    return console.format_table(header, rows) + refusals


def sent(plan: roofline.Plan) -> str:
    units = ("step", "batch of probes", "token")
    rows = [
        [
            f"{f.name}, a {unit}",
            *(f"{f.received[kind] / 1e9:.3f}" for kind in hlo_collectives.KINDS),
        ]
        for f, unit in zip(plan.found, units)
    ]
    return console.format_table(["GB a chip receives", *_KINDS.values()], rows)


def times(plan: roofline.Plan) -> str:
    job_ = plan.job
    parts = (
        (
            f"step of {job_.micro_batches} x {job_.at_a_time} rows, {job_.seeds} seeds",
            roofline.step_flops(job_),
            plan.step,
        ),
        ("measurement, a seed", roofline.measure_flops(job_), plan.measurement),
        (
            f"token of {plan.decoded} rows",
            roofline.token_flops(job_, plan.decoded),
            plan.token,
        ),
    )
    rows = [
        [
            name,
            f"{flops / 1e12:.3g}",
            *(f"{1e3 * x:.3g}" for x in (t.compute, t.memory, t.link, t.seconds)),
        ]
        for name, flops, t in parts
    ]
    hours = plan.hours
    total = (
        f"{job_.seeds} seeds, hours: "
        + ", ".join(f"{name} {h:.2f}" for name, h in hours.items())
        + f"; all {sum(hours.values()):.2f}"
    )
    return (
        console.format_table(
            ["ms", "TFLOP", "operations", "memory", "links", "in all"], rows
        )
        + "\n\n"
        + total
    )


def report(plan: roofline.Plan) -> str:
    chip = plan.job.topology.chip
    notes = (
        f"Operations at {roofline.SHARE:g} of {chip.peak / 1e12:g} TFLOP/s, memory at {chip.bandwidth / 1e9:g} GB/s, "
        f"links at half of {chip.link / 1e9:g} GB/s; in all: the larger of the first two, and the third. "
        "Loops over layers and chunks count as often as the compiled text says, "
        "the one over micro-batches (tokens, in decoding) as often as it runs. Nothing ran on such a chip."
    )
    title = f"{plan.job.run.model} on {plan.job.topology}, mesh {plan.job.mesh}"
    return "\n\n".join(
        filter(
            None,
            [
                title,
                memory(plan),
                sent(plan),
                times(plan),
                why_analysed(plan.job),
                notes,
            ],
        )
    )


def planned(one: programs.Job) -> str:
    if FLAGS.mesh and not FLAGS.search:
        chosen = dataclasses.replace(one, mesh=FLAGS.mesh)
        programs.check_job(chosen)
        return report(plan_now(chosen))
    found = roofline.search_meshes(one)
    text = searched(found) + "\n\n" if FLAGS.search else ""
    best = fastest(found)
    return (
        text
        + ("The fastest that fits" if best.fits else "No mesh fits; the nearest")
        + f":\n\n{report(best)}"
    )


def fastest(found: list[roofline.Plan]) -> roofline.Plan:
    """The first of `roofline.search_meshes` that fits, compiled where that is possible; the first of all if none does."""
    if not compiles(found[0].job):
        return found[0]
    plans = (plan_now(f.job) for f in found if f.fits or f is found[0])
    first = next(plans)
    return first if first.fits else next((p for p in plans if p.fits), first)


def plan_now(one: programs.Job) -> roofline.Plan:
    return roofline.plan_of(
        one,
        compiles(one),
        FLAGS.compiler_effort,
        lambda text: tqdm.tqdm.write(f"compiling {text}", file=sys.stderr),
    )


def searched(found: list[roofline.Plan]) -> str:
    numbers = lambda p: [
        gib(max(f.total for f in p.found)),
        "yes" if p.fits else "no",
        f"{p.step.seconds:.2f}",
        f"{sum(p.hours.values()):.1f}",
    ]
    rows = [[p.job.mesh, *numbers(p)] for p in found]
    return console.format_table(
        ["mesh (by formula)", "GiB a chip at most", "fits", "step, s", "study, hours"],
        rows,
    )


def everything() -> None:
    """The table of the paper's models on --topologies, as Markdown in --output_dir, which always holds the cells that are done."""
    cells = [
        job(model, topology)
        for topology in FLAGS.topologies
        for model in paper_tables.HUB.values()
    ]
    rows = {topology: [] for topology in FLAGS.topologies}
    for one in tqdm.tqdm(cells, desc="plan", unit="cell", leave=False):
        best = fastest(roofline.search_meshes(one))
        rows[str(one.topology)].append(row(best, roofline.plan_of(best.job)))
        if FLAGS.output_dir:
            run_folder.write_text(pathlib.Path(FLAGS.output_dir), document(rows))
    print(f"Written: {FLAGS.output_dir}" if FLAGS.output_dir else document(rows))


def document(rows: dict[str, list[list[str]]]) -> str:
    """The Markdown of each topology's rows, without topologies that have none yet."""
    command = shlex.join(["python", "scripts/plan.py", *sys.argv[1:]])
    versions = (
        f"{compiler.compiler_versions()}; compiler effort {FLAGS.compiler_effort:g}."
    )
    parts = [_DOCUMENT.format(command=command, versions=versions, share=roofline.SHARE)]
    for topology, lines in rows.items():
        if lines:
            chip = chips.parse_topology(topology).chip
            title = f"## {topology}\n\n{chips.parse_topology(topology).size} x {chip.name}: {gib(chip.memory)} GiB, {chip.peak / 1e12:g} TFLOP/s, "
            title += (
                f"memory {chip.bandwidth / 1e9:g} GB/s, links {chip.link / 1e9:g} GB/s"
            )
            parts.append(f"{title}\n\n{console.format_markdown(_HEADER, lines)}")
    return "\n\n".join(parts) + "\n"


_HEADER = [
    "model",
    "mesh",
    "weights",
    "adapter, optimizer",
    "temporaries",
    "training, GiB",
    "by formula",
    "decoding, GiB",
    "GB received a step",
    "step, s",
    "run, hours",
    "fits",
    "memory",
]

_DOCUMENT = """# Do the paper's models fit, and how long does a run take?

**Nothing here ran on a TPU or GPU.** Memory marked *compiled* is what the compiler of libtpu, or of JAX's CUDA plugin, plans for this package's own
training step, measuring step and decoding chunk, on the machine of whoever made this table, without a TPU or GPU; for GPUs with attention not fused
(cuDNN's cannot be lowered without one), so that their temporaries are an upper bound. Memory marked *formula*, all times and hours
follow from shapes and published figures (`programs.py`, `roofline.py` and `chips.py` in `jaxent/capacity`).

    {command}

{versions}

A run is section 2.2's: NF4, rank 64 on seven modules, 2048 tokens a row, 5000 steps, one seed, 4.84 packed rows a step (B3), measured every 500
steps; then HumanEval's 164 problems with all answers at 768 tokens, the longest allowed. GiB are a chip's, of the program named; *training* is
weights, adapter, optimizer, batch and temporaries together, *decoding* weights, adapter, the longest cache and temporaries. *by formula* is the
training step's total again, to judge the formula by where the compiler was asked. The mesh is the one with the fastest run by
formula among those that fit. Times are rooflines: operations at {share:g} of the published peak or memory at its published bandwidth, whichever
takes longer, and what the links carry at half of their published bandwidth, nothing of it hidden behind operations. They are to compare slices by."""


def row(plan: roofline.Plan, by_formula: roofline.Plan) -> list[str]:
    train, _, decode = plan.found
    held = [
        gib(train.parts["weights"]),
        gib(train.parts["adapter"] + train.parts["optimizer"]),
        gib(train.parts.get("temporaries")),
    ]
    totals = [gib(train.total), gib(by_formula.found[0].total), gib(decode.total)]
    received = f"{sum(train.received.values()) / 1e9:.1f}"
    how = "formula" if train.how == "analysed" else "compiled"
    hours = f"{plan.step.seconds:.2f}", f"{sum(plan.hours.values()):.1f}"
    name = plan.job.run.model.split("/")[-1]
    return [
        name,
        plan.job.mesh.replace(",", ", "),
        *held,
        *totals,
        received,
        *hours,
        "yes" if plan.fits else "**no**",
        how,
    ]


def main(_):
    logging.set_verbosity(logging.ERROR)
    jax.config.update("jax_platforms", "cpu")
    try:
        if FLAGS.all:
            everything()
        elif FLAGS.model:
            print(planned(job(FLAGS.model, FLAGS.topology)))
        else:
            sys.exit("plan: expected --model or --all")
    except ValueError as error:
        sys.exit(f"plan: {error}")


if __name__ == "__main__":
    app.run(main)
