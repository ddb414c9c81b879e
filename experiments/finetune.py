"""Fine-tunes a LoRA adapter under one of the paper's conditions and measures entanglement as it goes.

    python experiments/finetune.py --model=Qwen/Qwen2.5-Coder-7B --condition=B3 --seed=0 --output_dir=runs/qwen7b_b3_0
    python experiments/finetune.py --model=Qwen/Qwen2.5-Coder-7B --seeds=0,1,2,3 --seed_mode=vmap --mesh=data:2,fsdp:4 --output_dir=runs
    python experiments/finetune.py --preset=tiny

The defaults are section 2.2's; --intervention=light is section 6.3's. Reproduces one row of Table 3:
Qwen-7B, B3, seed 0: EI 0.955 before, 0.712 after. Writes run.json, metrics.jsonl, checkpoints/ and, at
the end, adapter/ (PEFT's format) and summary.json to --output_dir. --resume continues a killed run exactly, also on other devices.
With --seeds each seed has a folder in --output_dir; runs that are there are skipped or continued.
"""

import dataclasses
import pathlib
import sys

import device_flags
import run_flags
from absl import app, flags, logging

from jaxent.data import mix
from jaxent.distributed import processes
from jaxent.measure import penalty
from jaxent.runs import console, execute, queue, records, validate
from jaxent.runs import spec as specs
from jaxent.stats import differences, intervals
from jaxent.train import loop

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_enum("condition", "B3", mix.CONDITIONS, "what to train on (Table 1)")
flags.DEFINE_enum(
    "intervention",
    "strong",
    list(specs.INTERVENTIONS),
    "light: rank 16, attention modules, 2000 steps",
)
flags.DEFINE_enum(
    "preset",
    "paper",
    ["paper", "tiny"],
    "paper: the published settings; tiny: the embedded checkpoint "
    "and data, a minute on two cores",
)
flags.DEFINE_integer("seed", 0, "seed of adapter, data order and dropout")
flags.DEFINE_list("seeds", None, "several seeds instead of one: see --seed_mode")
flags.DEFINE_string(
    "adapter", None, "adapter folder to begin from, with a fresh optimizer and schedule"
)
flags.DEFINE_float(
    "csr_lambda",
    None,
    "weight of CSR's penalty (section 6.1; default 0.1 for B4, 0 otherwise)",
)
flags.DEFINE_string("output_dir", None, "run folder")
flags.DEFINE_bool("resume", False, "continue the run in --output_dir")
flags.adopt_module_key_flags(run_flags)
flags.adopt_module_key_flags(device_flags)


def described() -> tuple[specs.RunSpec, pathlib.Path]:
    """The run and its folder. Presets change defaults only: a flag given on the command line stays as given."""
    tiny = FLAGS.preset == "tiny"
    preset = (
        specs.PRESETS["tiny"] | {"model": specs.TINY_MODEL}
        if tiny
        else {"model": FLAGS.model}
    )
    out = FLAGS.output_dir or ("runs/tiny" if tiny else None)
    named = run_flags.given("model", "condition", "seed", "adapter", "csr_lambda")
    settings = (
        specs.INTERVENTIONS[FLAGS.intervention]
        | preset
        | named
        | {"intervention": FLAGS.intervention}
    )
    for name, value in (("model", settings["model"]), ("output_dir", out)):
        if not value:
            raise ValueError(f"--{name} is missing (or use --preset=tiny)")
    return specs.RunSpec(**settings), pathlib.Path(out)


def text(summary: dict) -> str:
    """Entanglement, V-purity and accuracies before and after, and the paired change over replicate sets, as a table."""
    before, after = (
        records.Measured(summary[when]["step"], summary[when])
        for when in ("before", "after")
    )
    names = {
        "EI (literal)": "ei",
        "nested EI": "nested_ei",
        "SEI": "sei",
        "CVO": "cvo",
        "V-purity": "v_purity",
    }
    names |= {f"accuracy, {c}": f"accuracy.{c}" for c in before.found["accuracy"]}
    rows = [
        [
            title,
            before.value(name),
            after.value(name),
            *_change(before.sets(name), after.sets(name)),
        ]
        for title, name in names.items()
    ]
    return console.format_table(
        [
            "",
            "before",
            f"after step {after.step}",
            "change over sets [95%]",
            "sign-flip p",
        ],
        rows,
    )


def _change(before, after) -> tuple[str, float | None]:
    """The change's mean and interval over replicate sets [R], "-" where it is undefined in one, and its exact p."""
    if before is None or after is None:
        return "-", None
    change = after - before
    low, high = intervals.t_interval(change)
    return f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]", differences.sign_flip(
        change
    )


def several(run: specs.RunSpec, out: pathlib.Path) -> None:
    """One run a seed, each in a folder of its own in `out`."""
    runs = [dataclasses.replace(run, seed=int(seed)) for seed in FLAGS.seeds]
    outcomes = queue.run_all(
        runs, out, mesh=FLAGS.mesh, seeds_together=device_flags.seeds_together()
    )
    if processes.is_primary():
        for one, summary in queue.finished_summaries(outcomes):
            print(f"\n{one.name}\n{text(summary)}")
        print(f"\nRun folders: {out}")
    if failed := queue.format_failures(outcomes):
        sys.exit(f"finetune: {failed}")


@processes.exit_together()
def main(_):
    logging.set_verbosity(logging.WARNING)
    try:
        device_flags.start()
        run, out = described()
        checked = validate.validate_run(run)
        mesh = validate.choose_run_mesh(checked, FLAGS.mesh)
        if checked.length < run.max_length and processes.is_primary():
            print(
                f"The model's context is {checked.length} tokens: used instead of --max_length {run.max_length}"
            )
        if FLAGS.seeds:
            several(run, out)
            return
        corpus = validate.begin_run(checked, out, FLAGS.resume)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"finetune: {error}")
    try:
        summary = execute.execute_run(
            checked, execute.BaseModel(checked, mesh), corpus, out
        )
    except (penalty.NoGradientError, loop.NonFiniteError) as error:
        sys.exit(f"finetune: {error}")
    if processes.is_primary():
        print(f"\n{text(summary)}\n\nRun folder: {out}")


if __name__ == "__main__":
    app.run(main)
