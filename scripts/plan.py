r"""Does a model's study fit a slice of TPUs or a node of GPUs, and how fast is it?

    python scripts/plan.py --model=Qwen/Qwen2.5-Coder-32B --topology=v5e:4x4
    python scripts/plan.py --model=Qwen/Qwen2.5-Coder-32B --topology=v5e:4x4 \
        --mesh=fsdp:4,tensor:4 --seeds=8
    python scripts/plan.py --model=Qwen/Qwen2.5-Coder-14B --topology=v6e:4x4 --search
    python scripts/plan.py --all --output_file=docs/capacity.md

Nothing is rented, loaded or run.

With libtpu (pip install -e '.[plan]'; it needs no TPU) or JAX's CUDA plugin (pip
install -e '.[plan-gpu]'; it needs no GPU) the package's own training step, measuring
step and decoding chunk are compiled for the chips asked for: a minute or so each on one
core. For GPUs that is with attention not fused, as cuDNN's cannot be lowered without
one: their temporaries are an upper bound. Where the compiler is not there plans are by
formula, which the tables mark. Without --mesh the mesh is the one on which the study
would be fastest by formula, among those that fit.
"""

import dataclasses
import pathlib
import shlex
import sys

from absl import flags

from jaxent import command
from jaxent.paper import models as paper_models
from jaxent.paper import settings

FLAGS = flags.FLAGS
_PAPER = settings.STRONG
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
    "of the compiler: -1 is five times as fast as 0, its temporaries up to a tenth "
    "larger",
    -1.0,
    1.0,
)
flags.DEFINE_float(
    "rows",
    4.84,
    "packed rows an optimizer step uses on average: B3's with Qwen's tokenizer",
)
flags.DEFINE_integer("lora_r", _PAPER["lora_r"], "LoRA rank")
flags.DEFINE_integer("max_length", _PAPER["max_length"], "tokens an example and a row")
flags.DEFINE_integer("micro_batch_size", 1, "packed rows a chip runs at a time")
flags.DEFINE_integer("batch_size", _PAPER["batch_size"], "examples an optimizer step")
flags.DEFINE_integer("max_steps", _PAPER["max_steps"], "optimizer steps")
flags.DEFINE_integer("measure_steps", 500, "steps between measurements")
flags.DEFINE_bool("load_in_4bit", True, "NF4; otherwise bfloat16 weights")
flags.DEFINE_integer(
    "max_new_tokens",
    768,
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
flags.DEFINE_string("output_file", None, "with --all: Markdown file")
command.parse(__name__, __doc__)

import jax
import tqdm

from jaxent.capacity import chips, compiler, jobs, plan_text, roofline
from jaxent.model import known_configs
from jaxent.runs import console
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs

_RUN_FLAGS = (
    "lora_r",
    "max_length",
    "micro_batch_size",
    "batch_size",
    "max_steps",
    "measure_steps",
    "load_in_4bit",
)
_DOCUMENT = """# Do the paper's models fit, and how long does a run take?

**Nothing here ran on a TPU or GPU.** Memory marked *compiled* is what the compiler of
libtpu, or of JAX's CUDA plugin, plans for this package's own training step, measuring
step and decoding chunk, on the machine of whoever made this table, without a TPU or
GPU; for GPUs with attention not fused (cuDNN's cannot be lowered without one), so that
their temporaries are an upper bound. Memory marked *formula*, all times and hours
follow from shapes and published figures (`memory.py`, `roofline.py` and `chips.py` in
`jaxent/capacity`).

    {command}

{versions}

A run is section 2.2's: NF4, rank 64 on seven modules, 2048 tokens a row, 5000 steps,
one seed, 4.84 packed rows a step (B3), measured every 500 steps; then HumanEval's 164
problems with all answers at 768 tokens, the longest allowed. GiB are a chip's, of the
program named; *training* is weights, adapter, optimizer, batch and temporaries
together, *decoding* weights, adapter, the longest cache and temporaries. *by formula*
is the training step's total again, to judge the formula by where the compiler was
asked. The mesh is the one with the fastest run by formula among those that fit. Times
are rooflines: FLOPs at {share:g} of the published peak or memory at its published
bandwidth, whichever takes longer, and what the links carry at half of their published
bandwidth, nothing of it hidden behind computation. They are to compare slices by."""


def make_job(model: str, topology: str) -> jobs.Job:
    """The job that the flags describe, still without a mesh."""
    run = specs.RunSpec(model, **{name: FLAGS[name].value for name in _RUN_FLAGS})
    return jobs.Job(
        run,
        known_configs.require_config(model),
        chips.parse_topology(topology),
        seeds=FLAGS.seeds,
        rows=FLAGS.rows,
        new=FLAGS.max_new_tokens,
    )


def compiles(job: jobs.Job) -> bool:
    """Whether the job's programs are compiled, not analysed by formula."""
    return FLAGS.compile and compiler.is_available(job.topology)


def plan_now(job: jobs.Job) -> roofline.Plan:
    """The job's plan, compiled where that is possible."""

    def say(text: str) -> None:
        tqdm.tqdm.write(f"compiling {text}", file=sys.stderr)

    return roofline.plan_of(job, compiles(job), FLAGS.compiler_effort, say)


def report(plan: roofline.Plan) -> str:
    """The plan as text, with why it is by formula where it is."""
    remark = ""
    if not compiles(plan.job):
        missing = "libtpu" if plan.job.topology.tpu else "JAX's CUDA plugin"
        remark = (
            f"{missing} is not installed or not wanted: all figures of this table are "
            "by formula."
        )
    return plan_text.format_plan(plan, remark)


def answer(job: jobs.Job) -> str:
    """The plan on --mesh, or on the fastest mesh that fits."""
    if FLAGS.mesh and not FLAGS.search:
        on_mesh = dataclasses.replace(job, mesh=FLAGS.mesh)
        jobs.check_job(on_mesh)
        return report(plan_now(on_mesh))
    plans = roofline.search_meshes(job)
    searched = f"{plan_text.format_search(plans)}\n\n" if FLAGS.search else ""
    best = fastest(plans)
    verdict = "The fastest that fits" if best.fits else "No mesh fits; the nearest"
    return f"{searched}{verdict}:\n\n{report(best)}"


def fastest(plans: list[roofline.Plan]) -> roofline.Plan:
    """The first of `roofline.search_meshes` that fits, compiled where that is possible.

    The first of all if none does.
    """
    if not compiles(plans[0].job):
        return plans[0]
    tried = (plan_now(p.job) for p in plans if p.fits or p is plans[0])
    first = next(tried)
    return first if first.fits else next((p for p in tried if p.fits), first)


def plan_all() -> None:
    """The table of the paper's models on --topologies, as Markdown.

    --output_file always holds the cells that are done.
    """
    cells = [
        make_job(model, topology)
        for topology in FLAGS.topologies
        for model in paper_models.HUB.values()
    ]
    rows: dict[str, list[list[str]]] = {topology: [] for topology in FLAGS.topologies}
    for job in tqdm.tqdm(cells, desc="plan", unit="cell", leave=False):
        best = fastest(roofline.search_meshes(job))
        row = plan_text.format_row(best, roofline.plan_of(best.job))
        rows[str(job.topology)].append(row)
        if FLAGS.output_file:
            run_folder.write_text(pathlib.Path(FLAGS.output_file), document(rows))
    print(f"Written: {FLAGS.output_file}" if FLAGS.output_file else document(rows))


def document(rows: dict[str, list[list[str]]]) -> str:
    """The Markdown of each topology's rows, without topologies that have none yet."""
    command_line = shlex.join(["python", "scripts/plan.py", *sys.argv[1:]])
    effort = f"compiler effort {FLAGS.compiler_effort:g}"
    versions = f"{compiler.compiler_versions()}; {effort}."
    head = _DOCUMENT.format(
        command=command_line, versions=versions, share=roofline.SHARE
    )
    parts = [head]
    for topology, lines in rows.items():
        if lines:
            title = plan_text.format_topology(chips.parse_topology(topology))
            table = console.format_markdown(plan_text.ROW_HEADER, lines)
            parts.append(f"{title}\n\n{table}")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Plans one job, or all of the paper's."""
    jax.config.update("jax_platforms", "cpu")
    try:
        if FLAGS.all:
            plan_all()
        elif FLAGS.model:
            print(answer(make_job(FLAGS.model, FLAGS.topology)))
        else:
            sys.exit("plan: expected --model or --all")
    except ValueError as error:
        sys.exit(f"plan: {error}")


if __name__ == "__main__":
    command.run(main)
