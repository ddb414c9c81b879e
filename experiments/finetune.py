r"""Fine-tunes a LoRA adapter under one of the paper's conditions, and measures it.

    python experiments/finetune.py --model=Qwen/Qwen2.5-Coder-7B --condition=B3 \
        --seed=0 --output_dir=runs/qwen7b_b3_0
    python experiments/finetune.py --model=Qwen/Qwen2.5-Coder-7B --seeds=0,1,2,3 \
        --seed_mode=vmap --mesh=data:2,fsdp:4 --output_dir=runs
    python experiments/finetune.py --preset=tiny
    python experiments/finetune.py --model=mine --dataset=own.jsonl \
        --text_column=body --eval_steps=100 --output_dir=runs/own

The defaults are section 2.2's; --intervention=light is section 6.3's. Reproduces one
row of Table 3: Qwen-7B, B3, seed 0: EI 0.955 before, 0.712 after. Writes run.json,
metrics.jsonl, checkpoints/ and, at the end, adapter/ (PEFT's format) and summary.json
to --output_dir. --resume continues a killed run exactly, also on other devices. With
--seeds each seed has a folder in --output_dir; runs that are there are skipped or
continued.
"""

import contextlib
import dataclasses
import pathlib
import sys

import data_flags
import device_flags
import run_flags
import seed_flags
from absl import flags

from jaxent import command
from jaxent.data import mix

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_enum("condition", "B3", mix.CONDITIONS, "what to train on (Table 1)")
flags.DEFINE_enum(
    "intervention",
    "strong",
    ["strong", "light"],
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
flags.adopt_module_key_flags(data_flags)
flags.adopt_module_key_flags(run_flags)
flags.adopt_module_key_flags(seed_flags)
flags.adopt_module_key_flags(device_flags)
command.parse(__name__, __doc__)

import devices

from jaxent.data import own, stream
from jaxent.distributed import processes
from jaxent.measure import penalty
from jaxent.runs import (
    base_model,
    before_after,
    console,
    execute,
    queue,
    training_data,
    validate,
)
from jaxent.runs import folder as run_folder
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs
from jaxent.train import loop

_ENDED = (
    penalty.NoGradientError,
    loop.NonFiniteError,
    stream.StreamError,
)


def read_flags() -> tuple[specs.RunSpec, pathlib.Path]:
    """The run and its folder.

    Presets change defaults only: a flag given on the command line keeps its value.
    """
    tiny = FLAGS.preset == "tiny"
    preset = specs.PRESETS["tiny"] | {"model": specs.TINY_MODEL}
    settings = specs.INTERVENTIONS[FLAGS.intervention]
    settings = settings | (preset if tiny else {"model": FLAGS.model})
    settings |= run_flags.given(
        *("model", "condition", "seed", "adapter", "csr_lambda"),
        *data_flags.NAMES,
    )
    if FLAGS.dataset or FLAGS.mixture:
        if FLAGS["condition"].present:
            raise ValueError(
                "--condition beside --dataset or --mixture: expected one of them"
            )
        settings["condition"] = own.CONDITION
    settings |= {"intervention": FLAGS.intervention}
    out = FLAGS.output_dir or ("runs/tiny" if tiny else None)
    for name, value in (("model", settings["model"]), ("output_dir", out)):
        if not value:
            raise ValueError(f"--{name} is missing (or use --preset=tiny)")
    return specs.RunSpec(**settings), pathlib.Path(out)


def format_summary(summary: dict) -> str:
    """Estimates and accuracies before and after, and their paired change over sets."""
    rows, changes = [], before_after.list_changes(summary)
    for one in changes:
        change = before_after.format_interval(one.change, one.change_interval, "+")
        of_all = (one.before_all_probes, one.after_all_probes)
        rows.append([one.title, one.before, one.after, change, one.p, *of_all])
    if held_out := summary.get("held_out"):
        losses = (held_out[when]["loss"] for when in ("before", "after"))
        rows.append(["held-out loss", *losses, *["-"] * 4])
    header = ["", "before", f"after step {summary['after']['step']}"]
    header += ["change over sets [95%]", "sign-flip p"]
    header += ["one fit on all probes, before", "after"]
    table = console.format_table(header, rows)
    return "\n".join([table, *before_after.list_reasons(changes)])


def train_seeds(run: specs.RunSpec, out: pathlib.Path) -> None:
    """One run a seed, each in a folder of its own in `out`."""
    runs = [dataclasses.replace(run, seed=int(seed)) for seed in FLAGS.seeds]
    outcomes = queue.run_all(
        runs, out, mesh=FLAGS.mesh, seeds_together=devices.seeds_together()
    )
    if processes.is_primary():
        for one, summary in run_outcomes.finished_summaries(outcomes):
            print(f"\n{one.name}\n{format_summary(summary)}")
        print(f"\nRun folders: {out}")
    if failed := run_outcomes.format_failures(outcomes):
        sys.exit(f"finetune: {failed}")


@processes.exit_together()
def main() -> None:
    """Checks everything, then trains and measures."""
    with contextlib.ExitStack() as locks:
        execute_or_exit(locks)


def execute_or_exit(locks: contextlib.ExitStack) -> None:
    """`main`; the lock of the run folder joins `locks`."""
    try:
        devices.start()
        run, out = read_flags()
        checked = validate.validate_run(run)
        mesh = validate.choose_run_mesh(checked, FLAGS.mesh)
        if checked.length < run.max_length and processes.is_primary():
            print(
                f"The model's context is {checked.length} tokens: used instead of "
                f"--max_length {run.max_length}"
            )
        if FLAGS.seeds:
            train_seeds(run, out)
            return
        locks.enter_context(execute.lock_folder(run_folder.RunFolder(out)))
        corpus = validate.begin_run(checked, out, FLAGS.resume)
        if processes.is_primary() and (text := training_data.format_tallies(corpus)):
            print(text)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"finetune: {error}")
    try:
        base = base_model.BaseModel(checked, mesh)
        summary = execute.execute_run(checked, base, corpus, out)
    except _ENDED as error:
        sys.exit(f"finetune: {error}")
    if processes.is_primary():
        print(f"\n{format_summary(summary)}\n\nRun folder: {out}")


if __name__ == "__main__":
    command.run(main)
