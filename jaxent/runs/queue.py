"""A list of runs, one after the other.

Finished ones are skipped, interrupted ones continued, failed ones named at the end.
"""

import collections
import concurrent.futures.process
import contextlib
import dataclasses
import gc
import multiprocessing
import os
import pathlib
import threading
import traceback
from collections.abc import Iterator, Sequence

import jax
from jax.sharding import Mesh

from jaxent.distributed import axes, processes
from jaxent.runs import base_model, execute, outcomes, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.train import loop

_Outcomes = dict[specs.RunSpec, outcomes.Outcome]


def check_unique_names(runs: Sequence[specs.RunSpec]) -> None:
    """Checks that every run has a folder of its own.

    Raises:
      ValueError: two runs have one name.
    """
    for name, number in collections.Counter(run.name for run in runs).items():
        if number > 1:
            raise ValueError(
                f"{number} runs of the study would be in the folder {name}: "
                "expected one"
            )


def run_all(
    runs: Sequence[specs.RunSpec],
    out: pathlib.Path,
    progress: bool = True,
    mesh: str | None = None,
    seeds_together: bool = False,
) -> list[outcomes.Outcome]:
    """Executes runs; those on one base model follow each other and share it.

    What can be found wrong before any model is loaded is found before the first run.
    Whatever stops a run becomes its reason, and the next one goes on. Every process
    of a program calls this alike; the first writes and prints.

    Args:
      runs: the runs.
      out: the folder of all runs; each has a folder of its name in it.
      progress: whether to show progress bars.
      mesh: as `sharding.choose_mesh` reads it, for each model.
      seeds_together: whether runs that differ in their seed alone share every step.

    Returns:
      The outcomes, in the order of `runs`.

    Raises:
      ValueError: two runs have one name.
    """
    check_unique_names(runs)
    ended: _Outcomes = {}
    for run in runs:
        if reason := _find_early_problem(run, mesh):
            _fail([run], out, reason, ended)
            _print_once(f"{run.name} cannot run: {reason}")
    by_base = collections.defaultdict(list)
    for run in runs:
        if run not in ended:
            by_base[base_model.base_key(run)].append(run)
    for members in by_base.values():
        base = None
        devices = _choose_mesh(members[0], mesh)
        for group in _group_seeds(members, seeds_together):
            if reason := _find_uneven_split(group, devices):
                _fail(group, out, reason, ended)
                _print_once(f"{group[0].name} and the like cannot run: {reason}")
                continue
            title = ", ".join(
                f"[{runs.index(run) + 1}/{len(runs)}] {run.name}" for run in group
            )
            base = _run_group(group, out, base, title, progress, devices, ended)
        del base
        gc.collect()  # the model goes before the next one comes
    return [ended[run] for run in runs]


def _fail(
    runs: Sequence[specs.RunSpec], out: pathlib.Path, reason: str, ended: _Outcomes
) -> None:
    for run in runs:
        ended[run] = outcomes.Outcome(run, out / run.name, "failed", reason)


def _group_seeds(
    runs: Sequence[specs.RunSpec], seeds_together: bool
) -> list[list[specs.RunSpec]]:
    """The runs one by one, or in groups that differ in their seed alone.

    Runs that start from an adapter or train all weights are always one by one.
    """
    apart = {run for run in runs if run.adapter or run.tuner == "full"}
    if seeds_together and apart:
        _print_once(
            f"{len(apart)} runs start from an adapter or train all weights: "
            "their seeds follow one another, whatever --seed_mode says"
        )
    groups = collections.defaultdict(list)
    for run in runs:
        trains = run.training_mixture is not None
        groupable = seeds_together and trains and run not in apart
        key = dataclasses.replace(run, seed=0) if groupable else run
        groups[key].append(run)
    return list(groups.values())


def _find_uneven_split(group: Sequence[specs.RunSpec], mesh: Mesh | None) -> str | None:
    """What is wrong with runs that share every step on the mesh."""
    axis_size = axes.axis_size(mesh, "seed")
    if len(group) == 1 or len(group) % axis_size == 0:
        return None
    return f"{len(group)} seeds are not divisible by axis size {axis_size} (seed)"


def _print_once(text: str) -> None:
    """Prints on the first process."""
    if processes.is_primary():
        print(text, flush=True)


def run_in_subprocess(
    runs: Sequence[specs.RunSpec],
    out: pathlib.Path,
    mesh: str | None = None,
    seeds_together: bool = False,
) -> tuple[list[outcomes.Outcome], bool]:
    """`run_all` in a process of its own, which ends with this one.

    The device is free for others' processes afterwards.

    Returns:
      The outcomes, and whether that process was the first of several, or alone:
      this process never joins them.

    Raises:
      ValueError: one of several processes was lost.
    """
    with concurrent.futures.ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), _end_with_parent
    ) as pool:
        index, number = pool.submit(_join_processes).result()
        try:
            training = pool.submit(_run_and_exit, runs, out, mesh, seeds_together)
            return training.result(), index == 0
        except concurrent.futures.process.BrokenProcessPool:
            if number > 1:
                raise ValueError(
                    f"the training of {number} processes has ended; start all again: "
                    "it goes on where it was"
                ) from None
            return [_outcome_after_kill(run, out / run.name) for run in runs], True


def _outcome_after_kill(run: specs.RunSpec, path: pathlib.Path) -> outcomes.Outcome:
    """The outcome of a run whose process was killed, from its folder."""
    if run_folder.RunFolder(path).finished:
        return outcomes.Outcome(run, path, "done")
    reason = (
        "the process that trains was killed (for memory?); the same command goes on"
    )
    return outcomes.Outcome(run, path, "failed", reason)


def _join_processes() -> tuple[int, int]:
    """This process's number and how many there are, once they have met."""
    processes.initialize()
    return jax.process_index(), jax.process_count()


@processes.exit_together()
def _run_and_exit(runs, out, mesh, seeds_together) -> list[outcomes.Outcome]:
    return run_all(runs, out, mesh=mesh, seeds_together=seeds_together)


def _end_with_parent() -> None:
    """Ends this process when its parent ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _find_early_problem(run: specs.RunSpec, mesh: str | None) -> str | None:
    """What is wrong with a run before anything is loaded."""
    try:
        _choose_mesh(run, mesh)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return None


def _choose_mesh(run: specs.RunSpec, text: str | None) -> Mesh | None:
    """The run's mesh; the adapter it starts from may be one that is not there yet."""
    without_adapter = dataclasses.replace(run, adapter=None)
    return validate.choose_run_mesh(validate.validate_run(without_adapter), text)


def _run_group(
    runs: Sequence[specs.RunSpec],
    out: pathlib.Path,
    base: base_model.BaseModel | None,
    title: str,
    progress: bool,
    mesh: Mesh | None,
    ended: _Outcomes,
) -> base_model.BaseModel | None:
    """Executes runs that share every step, and adds their outcomes.

    Returns the base model, which is loaded if it was None and a run needs it.
    """
    begun: list[execute.BegunRun] = []
    with contextlib.ExitStack() as locks:
        for run in runs:
            with _failures_caught([run], out, ended):
                one = _begin(run, out, locks)
                if _is_finished(one.folder):
                    ended[run] = outcomes.Outcome(run, one.folder.path, "skipped")
                    _print_once(f"{run.name}: finished before")
                else:
                    begun.append(one)
        if begun:
            _print_once(title)
            with _failures_caught([one.validated.run for one in begun], out, ended):
                base = base or base_model.BaseModel(begun[0].validated, mesh)
                results = execute.train_seeds(begun, base, progress)
                for one, result in zip(begun, results):
                    ended[one.validated.run] = _outcome(one, result)
    for run in runs:
        if ended[run].state == "failed":
            _print_once(f"{run.name} failed: {ended[run].reason}")
    return base


def _begin(
    run: specs.RunSpec, out: pathlib.Path, locks: contextlib.ExitStack
) -> execute.BegunRun:
    """Prepares a run; the lock of its folder, if it is not finished, joins `locks`."""
    folder = run_folder.RunFolder(out / run.name)
    validated = validate.validate_run(run, out)
    if not _is_finished(folder):
        locks.enter_context(execute.lock_folder(folder))
    corpus = validate.begin_run(validated, folder.path, resume=True)
    return execute.BegunRun(validated, corpus, folder)


def _is_finished(folder: run_folder.RunFolder) -> bool:
    """Whether the run is finished, as the first process sees it."""
    return bool(
        processes.broadcast_from_primary(lambda: "yes" if folder.finished else None)
    )


def _outcome(
    begun: execute.BegunRun, result: run_folder.Summary | loop.NonFiniteError
) -> outcomes.Outcome:
    run, path = begun.validated.run, begun.folder.path
    if isinstance(result, loop.NonFiniteError):
        return outcomes.Outcome(run, path, "failed", str(result))
    return outcomes.Outcome(run, path, "done", summary=result)


@contextlib.contextmanager
def _failures_caught(
    runs: Sequence[specs.RunSpec], out: pathlib.Path, ended: _Outcomes
) -> Iterator[None]:
    """Whatever stops the block becomes the runs' reason.

    Of several processes, it must stop all of them.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        processes.barrier_on_failure(error)
        _fail(runs, out, str(error), ended)
    except Exception as error:  # out of memory, a full disk, a defect: the others go on
        processes.barrier_on_failure(error)
        traceback.print_exc()
        message = (str(error).strip() or "no message").splitlines()[0]
        _fail(runs, out, f"{type(error).__name__}: {message}", ended)
