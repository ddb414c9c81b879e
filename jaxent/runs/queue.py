"""A list of runs, one after the other: finished ones skipped, interrupted ones continued, failed ones named at the end."""

import collections
import concurrent.futures.process
import contextlib
import dataclasses
import gc
import json
import multiprocessing
import os
import pathlib
import threading
import traceback
from collections.abc import Sequence

import jax
from jax.sharding import Mesh

from jaxent.distributed import axes, processes
from jaxent.model import known_configs
from jaxent.runs import console, execute, validate
from jaxent.runs import cost as costs
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.train import log, loop


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of a study ended: "done", "skipped" (it was finished before) or "failed" with its reason."""

    run: specs.RunSpec
    folder: pathlib.Path
    state: str
    reason: str | None = None


def check_unique_names(runs: Sequence[specs.RunSpec]) -> None:
    """ValueError unless every run has a folder of its own."""
    for name, number in collections.Counter(run.name for run in runs).items():
        if number > 1:
            raise ValueError(
                f"{number} runs of the study would be in the folder {name}: expected one"
            )


def run_all(
    runs: Sequence[specs.RunSpec],
    out: pathlib.Path,
    progress: bool = True,
    mesh: str | None = None,
    seeds_together: bool = False,
) -> list[Outcome]:
    """Executes the runs, each in out/<its name>. Runs on one base model follow each other and share it in memory.

    seeds_together: runs that differ in their seed alone share every step too. Whatever stops a run becomes its reason and
    the next one goes on. mesh: as `sharding.choose_mesh` reads it, for each model. What can be found wrong before any model is loaded is
    found before the first run. Outcomes come in the order of `runs`. Every process of a program calls this alike; the first
    writes and prints.
    """
    check_unique_names(runs)
    ended = {
        run: Outcome(run, out / run.name, "failed", reason)
        for run in runs
        if (reason := _early(run, mesh))
    }
    for outcome in ended.values():
        _say(f"{outcome.run.name} cannot run: {outcome.reason}")
    groups = collections.defaultdict(list)
    for run in runs:
        groups[execute.base_key(run)].append(run)
    for members in groups.values():
        left, base = [run for run in members if run not in ended], None
        over = _mesh(left[0], mesh) if left else None
        for batch in _batches(left, seeds_together):
            if reason := _uneven(batch, over):
                ended |= {
                    run: Outcome(run, out / run.name, "failed", reason) for run in batch
                }
                _say(f"{batch[0].name} and the like cannot run: {reason}")
                continue
            title = ", ".join(
                f"[{runs.index(run) + 1}/{len(runs)}] {run.name}" for run in batch
            )
            found, base = _some(batch, out, base, title, progress, over)
            ended |= {outcome.run: outcome for outcome in found}
        del base
        gc.collect()  # the model goes before the next one comes
    return [ended[run] for run in runs]


def _batches(
    runs: Sequence[specs.RunSpec], seeds_together: bool
) -> list[list[specs.RunSpec]]:
    """The runs one by one, or in groups that differ in their seed alone; those that start from an adapter always one by one."""
    groups = collections.defaultdict(list)
    if seeds_together and (apart := [run for run in runs if run.adapter]):
        _say(
            f"{len(apart)} runs start from an adapter: their seeds follow one another, whatever --seed_mode says"
        )
    for run in runs:
        alike = seeds_together and run.mixture is not None and run.adapter is None
        groups[dataclasses.replace(run, seed=0) if alike else run].append(run)
    return list(groups.values())


def _uneven(batch: Sequence[specs.RunSpec], mesh: Mesh | None) -> str | None:
    """What is wrong with runs that share every step on the mesh."""
    ways = axes.axis_size(mesh, "seed")
    return (
        f"{len(batch)} seeds do not split {ways} ways (seed)"
        if len(batch) > 1 and len(batch) % ways
        else None
    )


def _say(text: str) -> None:
    if processes.is_primary():
        print(text, flush=True)


def run_in_subprocess(
    runs: Sequence[specs.RunSpec],
    out: pathlib.Path,
    mesh: str | None = None,
    seeds_together: bool = False,
) -> tuple[list[Outcome], bool]:
    """`conduct` in a process of its own, so that the device is free for others' processes afterwards. It ends with this one.

    Also gives whether that process was the first of several, or alone: this one never joins them.
    ValueError where one of several was lost.
    """
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), _end_with_parent
    ) as pool:
        index, number = pool.submit(_joined).result()
        try:
            return pool.submit(
                _conduct_on, runs, out, mesh, seeds_together
            ).result(), index == 0
        except concurrent.futures.process.BrokenProcessPool:
            if number > 1:
                raise ValueError(
                    f"the training of {number} processes has ended; start all again: it goes on where it was"
                ) from None
            return [_left(run, out / run.name) for run in runs], True


def _left(run: specs.RunSpec, folder: pathlib.Path) -> Outcome:
    """What a process that was killed left of a run."""
    if (folder / "summary.json").is_file():
        return Outcome(run, folder, "done")
    return Outcome(
        run,
        folder,
        "failed",
        "the process that trains was killed (for memory?); the same command goes on",
    )


def _joined() -> tuple[int, int]:
    """This process's number and how many there are, once they have met."""
    processes.initialize()
    return jax.process_index(), jax.process_count()


@processes.exit_together()
def _conduct_on(runs, out, mesh: str | None, seeds_together: bool) -> list[Outcome]:
    return run_all(runs, out, mesh=mesh, seeds_together=seeds_together)


def _end_with_parent() -> None:
    watch = lambda: (multiprocessing.parent_process().join(), os._exit(1))
    threading.Thread(target=watch, daemon=True).start()


def read_measurements(
    runs: Sequence[specs.RunSpec], out: pathlib.Path
) -> list[tuple[specs.RunSpec, list[dict]]]:
    """(run, its measurements in order) of finished runs."""
    return [
        (
            run,
            [
                r
                for r in log.read_metrics(out / run.name / "metrics.jsonl")
                if r["kind"] == "measure"
            ],
        )
        for run in runs
    ]


def _early(run: specs.RunSpec, mesh: str | None) -> str | None:
    """What is wrong with a run before anything is loaded."""
    try:
        _mesh(run, mesh)
    except (ValueError, FileNotFoundError) as error:
        return str(error)


def _mesh(run: specs.RunSpec, text: str | None) -> Mesh | None:
    """The run's mesh; the adapter it starts from may be another run's, not there yet."""
    return validate.choose_run_mesh(
        validate.validate_run(dataclasses.replace(run, start=None)), text
    )


def _some(
    runs: Sequence[specs.RunSpec],
    out: pathlib.Path,
    base: execute.BaseModel | None,
    title: str,
    progress: bool,
    mesh: Mesh | None,
):
    """(outcomes of runs that are executed together, the base model, loaded if it was None and a run needs it)."""
    ended, begun = {}, []
    for run in runs:
        folder = out / run.name
        with _caught(ended, run, folder=out):
            checked = validate.validate_run(run, out)
            corpus = validate.begin_run(checked, folder, resume=True)
            if processes.broadcast_from_primary(
                lambda: "done" if (folder / "summary.json").is_file() else None
            ):
                ended[run] = Outcome(run, folder, "skipped")
                _say(f"{run.name}: finished before")
            else:
                begun.append((checked, corpus, folder))
    if begun:
        _say(title)
        with _caught(ended, *(one.run for one, _, _ in begun), folder=out):
            base = base or execute.BaseModel(begun[0][0], mesh)
            for (checked, _, folder), found in zip(
                begun, execute.train_seeds(begun, base, progress)
            ):
                failed = isinstance(found, loop.NonFiniteError)
                ended[checked.run] = Outcome(
                    checked.run,
                    folder,
                    "failed" if failed else "done",
                    str(found) if failed else None,
                )
    for run, outcome in ended.items():
        if outcome.state == "failed":
            _say(f"{run.name} failed: {outcome.reason}")
    return [ended[run] for run in runs], base


@contextlib.contextmanager
def _caught(ended: dict, *runs: specs.RunSpec, folder: pathlib.Path):
    """Whatever stops the block becomes the reason of the runs; of several processes, it must stop all of them."""
    try:
        yield
        return
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        processes.barrier_on_failure(error)
        reason = str(error)
    except Exception as error:  # out of memory, a full disk, a defect: the others go on
        processes.barrier_on_failure(error)
        traceback.print_exc()
        reason = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    ended.update(
        {run: Outcome(run, folder / run.name, "failed", reason) for run in runs}
    )


def finished_summaries(outcomes: Sequence[Outcome]) -> list[tuple[specs.RunSpec, dict]]:
    """(run, summary.json's content) of every run that is finished."""
    return [
        (o.run, json.loads((o.folder / "summary.json").read_text()))
        for o in outcomes
        if o.state != "failed"
    ]


def write_study(
    name: str,
    outcomes: Sequence[Outcome],
    table: str,
    out: pathlib.Path,
    more: dict = {},
) -> pathlib.Path:
    """Writes out/<name>/study.json and table.txt; returns their folder.

    study.json: every run's outcome and settings, `validate.origin`, and what `more` holds.
    """
    rows = [
        {
            "name": o.run.name,
            "state": o.state,
            "reason": o.reason,
            "settings": o.run.to_json(),
            "summary": None
            if o.state == "failed"
            else json.loads((o.folder / "summary.json").read_text()),
        }
        for o in outcomes
    ]
    found = {"study": name, **validate.origin(), "runs": rows} | more
    run_folder.write_text(out / name / "study.json", json.dumps(found, indent=1) + "\n")
    run_folder.write_text(out / name / "table.txt", table + "\n")
    return out / name


def format_failures(outcomes: Sequence[Outcome]) -> str:
    """The failed runs with their reasons, a line each; empty if there are none."""
    return "\n".join(
        f"{o.run.name} failed: {o.reason}" for o in outcomes if o.state == "failed"
    )


def format_plan(
    runs: Sequence[specs.RunSpec], out: pathlib.Path, teraflops: float | None = None
) -> str:
    """The list of runs with their state and cost at most, for --dry_run; nothing is loaded or downloaded but configurations."""
    check_unique_names(runs)
    speed = teraflops * 1e12 if teraflops else costs.matmul_rate()
    rows, total = [], 0.0
    for run in runs:
        config = known_configs.find_config(run.model)
        state = (
            "finished"
            if (out / run.name / "summary.json").is_file()
            else "begun"
            if (out / run.name / "run.json").is_file()
            else "-"
        )
        if config is None:
            rows.append(
                [
                    run.name,
                    state,
                    run.max_steps if run.mixture else 0,
                    "unknown",
                    "unknown",
                    "unknown",
                ]
            )
            continue
        found = costs.run_cost(run, config)
        hours = found.flops / speed / 3600
        total += hours * (state != "finished")
        rows.append(
            [
                run.name,
                state,
                found.steps,
                f"{found.tokens / 1e6:,.1f} M",
                format_duration(hours),
                f"{found.memory / 2**30:.1f} GiB",
            ]
        )
    source = "as given" if teraflops else "0.4 of a 2048 x 2048 product's here"
    header = ["run", "state", "steps", "tokens at most", "time if all full", "memory"]
    unknown = sum(row[-1] == "unknown" for row in rows)
    left_out = (
        f", {unknown} of unknown cost left out (their config.json cannot be reached)"
        if unknown
        else ""
    )
    return (
        f"{console.format_table(header, rows)}\n\n{len(rows)} runs, {format_duration(total)} for those not finished if every row were full{left_out}, by "
        f"operations at {speed / 1e12:.3g} TFLOP/s ({source}). With packing expect an eighth to a half of it; loading and compiling come\n"
        "on top, and models of a few million parameters do not reach that speed."
    )


def format_duration(hours: float) -> str:
    """h:mm:ss."""
    seconds = round(hours * 3600)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
