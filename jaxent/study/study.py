"""A list of runs, one after the other: finished ones skipped, interrupted ones continued, failed ones named at the end."""

import collections
import concurrent.futures
import dataclasses
import gc
import json
import multiprocessing
import os
import pathlib
import sys
import threading
import traceback
from collections.abc import Sequence

from jaxent.report import records, tables
from jaxent.study import cost as costs, execute, prepare, published, spec as specs
from jaxent.train import log


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of a study ended: "done", "skipped" (it was finished before) or "failed" with its reason."""

    run: specs.Run
    folder: pathlib.Path
    state: str
    reason: str | None = None


def check_names(runs: Sequence[specs.Run]) -> None:
    """ValueError unless every run has a folder of its own."""
    for name, number in collections.Counter(run.name for run in runs).items():
        if number > 1:
            raise ValueError(f"{number} runs of the study would be in the folder {name}: expected one")


def conduct(runs: Sequence[specs.Run], out: pathlib.Path, progress: bool = True) -> list[Outcome]:
    """Executes the runs, each in out/<its name>. Runs on one base model follow each other and share it in memory.

    Whatever stops a run becomes its reason and the next one goes on. What can be found wrong before any model is loaded
    is found before the first run. Outcomes come in the order of `runs`.
    """
    check_names(runs)
    ended = {run: Outcome(run, out / run.name, "failed", reason) for run in runs if (reason := _early(run))}
    for outcome in ended.values():
        print(f"{outcome.run.name} cannot run: {outcome.reason}")
    groups = collections.defaultdict(list)
    for run in runs:
        groups[execute.shared(run)].append(run)
    for members in groups.values():
        base = None
        for run in members:
            if run not in ended:
                ended[run], base = _one(run, out, base, f"[{runs.index(run) + 1}/{len(runs)}] {run.name}", progress)
        del base
        gc.collect()  # the model goes before the next one comes
    return [ended[run] for run in runs]


def conduct_apart(runs: Sequence[specs.Run], out: pathlib.Path) -> list[Outcome]:
    """`conduct` in a process of its own, so that the device is free for others' processes afterwards. It ends with this one."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        return pool.submit(conduct, runs, out).result()


def _end_with_parent() -> None:
    watch = lambda: (multiprocessing.parent_process().join(), os._exit(1))
    threading.Thread(target=watch, daemon=True).start()


def measured(runs: Sequence[specs.Run], out: pathlib.Path) -> list[tuple[specs.Run, list[dict]]]:
    """(run, its measurements in order) of finished runs."""
    return [(run, [r for r in log.read(out / run.name / "metrics.jsonl") if r["kind"] == "measure"]) for run in runs]


def _early(run: specs.Run) -> str | None:
    """What is wrong with a run before anything is loaded; the adapter it starts from may be another run's, not there yet."""
    try:
        prepare.check(dataclasses.replace(run, start=None))
    except (ValueError, FileNotFoundError) as error:
        return str(error)


def _one(run: specs.Run, out: pathlib.Path, base: execute.Base | None, title: str, progress: bool):
    """(Outcome, the base model, loaded if it was None and the run needs it)."""
    folder = out / run.name
    try:
        checked = prepare.check(run, out)
        corpus = prepare.begin(checked, folder, resume=True)
        if (folder / "summary.json").is_file():
            print(f"{title}: finished before")
            return Outcome(run, folder, "skipped"), base
        print(f"{title}", flush=True)
        base = base or execute.Base(checked)
        execute.execute(checked, base, corpus, folder, progress)
        return Outcome(run, folder, "done"), base
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        reason = str(error)
    except Exception as error:  # out of memory, a full disk, a defect: the others go on
        traceback.print_exc()
        reason = f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    print(f"{title} failed: {reason}")
    return Outcome(run, folder, "failed", reason), base


def summaries(outcomes: Sequence[Outcome]) -> list[tuple[specs.Run, dict]]:
    """(run, summary.json's content) of every run that is finished."""
    return [(o.run, json.loads((o.folder / "summary.json").read_text())) for o in outcomes if o.state != "failed"]


def record(name: str, outcomes: Sequence[Outcome], table: str, out: pathlib.Path, more: dict = {}) -> pathlib.Path:
    """Writes out/<name>/study.json (every run's outcome and settings, and what `more` holds) and table.txt; returns their folder."""
    rows = [
        {"name": o.run.name, "state": o.state, "reason": o.reason, "settings": o.run.to_json(),
         "summary": None if o.state == "failed" else json.loads((o.folder / "summary.json").read_text())}
        for o in outcomes
    ]  # fmt: skip
    found = {"study": name, "command": sys.argv, "runs": rows} | more
    records.write(out / name / "study.json", json.dumps(found, indent=1) + "\n")
    records.write(out / name / "table.txt", table + "\n")
    return out / name


def failures(outcomes: Sequence[Outcome]) -> str:
    """The failed runs with their reasons, a line each; empty if there are none."""
    return "\n".join(f"{o.run.name} failed: {o.reason}" for o in outcomes if o.state == "failed")


def plan(runs: Sequence[specs.Run], out: pathlib.Path, teraflops: float | None = None) -> str:
    """The list of runs with their state and cost at most, for --dry_run; nothing is loaded or downloaded but configurations."""
    check_names(runs)
    speed = teraflops * 1e12 if teraflops else costs.rate()
    rows, total = [], 0.0
    for run in runs:
        config = published.config(run.model)
        state = "finished" if (out / run.name / "summary.json").is_file() else "begun" if (out / run.name / "run.json").is_file() else "-"
        if config is None:
            rows.append([run.name, state, run.steps, "unknown", "unknown", "unknown"])
            continue
        found = costs.cost(run, config)
        hours = found.flops / speed / 3600
        total += hours * (state != "finished")
        rows.append([run.name, state, found.steps, f"{found.tokens / 1e6:,.1f} M", duration(hours), f"{found.memory / 2**30:.1f} GiB"])
    source = "as given" if teraflops else "0.4 of a 2048 x 2048 product's here"
    header = ["run", "state", "steps", "tokens at most", "time at most", "memory"]
    return (f"{tables.text(header, rows)}\n\n{len(rows)} runs, {duration(total)} at most for those not finished, at "
            f"{speed / 1e12:.3g} TFLOP/s ({source}). With packing expect an eighth to a half of it.")  # fmt: skip


def duration(hours: float) -> str:
    """h:mm:ss."""
    seconds = round(hours * 3600)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
