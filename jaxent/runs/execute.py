"""One run, from its specification to a finished run folder.

A run folder holds, in the order in which they are written: run.json (settings,
hashes, versions, device), metrics.jsonl (records of steps and measurements) with
checkpoints/, adapter/ (PEFT's format, with a model card; where all weights are trained
model/, a whole checkpoint), and summary.json. A run is
finished once its summary is there.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh

from jaxent.checkpoint import full_weights, peft
from jaxent.data import batches
from jaxent.distributed import axes, processes
from jaxent.measure import concepts
from jaxent.model import trained
from jaxent.runs import (
    base_model,
    measurement,
    memory_choice,
    model_card,
    training_data,
    validate,
)
from jaxent.runs import folder as run_folder
from jaxent.train import held_out, log, loop
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class BegunRun:
    """A run whose folder `validate.begin_run` has prepared, and its texts."""

    validated: validate.ValidatedRun
    corpus: training_data.AnyCorpus
    folder: run_folder.RunFolder

    def open_log(self) -> log.MetricsLog:
        """The run's log, not opened yet; only the first process writes it."""
        return log.MetricsLog(
            self.folder.metrics, self.folder.tensorboard, processes.is_primary()
        )


def execute_run(
    validated: validate.ValidatedRun,
    base: base_model.BaseModel,
    corpus: training_data.AnyCorpus,
    out: pathlib.Path,
    progress: bool = True,
) -> run_folder.Summary:
    """Trains and measures a run, from its newest checkpoint if it has one.

    The caller holds the folder's lock, see `lock_folders`.

    Args:
      validated: the run.
      base: its base model.
      corpus: its texts, as `validate.begin_run` gave them.
      out: its folder, which `validate.begin_run` has prepared.
      progress: whether to show a progress bar.

    Returns:
      The summary, which is also written; empty on all processes but the first.

    Raises:
      penalty.NoGradientError: CSR's penalty does not reach the adapter.
      loop.NonFiniteError: a loss or gradient was NaN or infinite.
    """
    begun = BegunRun(validated, corpus, run_folder.RunFolder(out))
    [ended] = train_seeds([begun], base, progress)
    if isinstance(ended, loop.NonFiniteError):
        raise ended
    return ended


def train_seeds(
    begun: Sequence[BegunRun], base: base_model.BaseModel, progress: bool = True
) -> list[run_folder.Summary | loop.NonFiniteError]:
    """`execute_run` of runs that differ in nothing but their seed, in one step.

    Returns:
      Each run's summary, or what ended it.
    """
    if begun[0].validated.run.training_mixture is None:
        return [_measure_base(one, base) for one in begun]
    return _train(begun, base, progress)


@contextlib.contextmanager
def lock_folder(folder: run_folder.RunFolder) -> Iterator[None]:
    """Holds a folder's lock; of several processes the first holds it.

    It is taken before a run's texts and model are read, so that a second command on
    the folder is refused at once.

    Raises:
      run_folder.LockedError: another process executes a run in the folder.
    """
    with contextlib.ExitStack() as stack:

        def acquire() -> None:
            stack.enter_context(folder.lock())

        try:
            processes.broadcast_from_primary(acquire)
        except ValueError as error:  # the other processes learn the message alone
            raise run_folder.LockedError(str(error)) from None
        yield


def _measure_base(begun: BegunRun, base: base_model.BaseModel) -> run_folder.Summary:
    """The summary of a run that does not train, B0."""
    measured = measurement.measure_entanglement(begun.validated, base, None)
    metrics = begun.open_log()
    with contextlib.closing(metrics):
        metrics.open()
        metrics.write("measure", 0, measured)
    return _summarise(begun, base, None, metrics)


def _train(
    begun: Sequence[BegunRun], base: base_model.BaseModel, progress: bool
) -> list[run_folder.Summary | loop.NonFiniteError]:
    validated, mesh = begun[0].validated, base.compute.mesh
    run = validated.run
    rows_at_a_time = run.micro_batch_size * axes.axis_size(mesh, "batch")
    choice = _choose_memory(validated, len(begun), mesh)
    plan = loop.LoopConfig(
        dataclasses.replace(run.train_config, micro_batch_size=rows_at_a_time),
        run.lora_config,
        dataclasses.replace(base.compute, remat=choice.remat),
        run.measure_steps,
        run.save_steps,
        run.eval_steps,
    )
    rows = steps.addressable_rows(run.batch_size, rows_at_a_time, mesh)
    scored = held_out.make_batches(
        begun[0].corpus.held_out, validated.length, rows_at_a_time
    )
    seed_runs = [_seed_run(one, base, rows, scored) for one in begun]
    if choice.lengths:
        groups_at = _groups_of_rows(begun[0], choice.lengths)
        seed_runs = [dataclasses.replace(seed_runs[0], groups_at=groups_at)]
    reference = measurement.csr_reference(validated, base)
    model = base.decoded if choice.decoded else base.model
    states = loop.fit(model, plan, seed_runs, reference, progress)
    results: list[run_folder.Summary | loop.NonFiniteError] = []
    for one, seed_run, state in zip(begun, seed_runs, states):
        if isinstance(state, loop.NonFiniteError):
            results.append(state)
        else:
            _save_trained(one, state.adapter)
            results.append(_summarise(one, base, state.adapter, seed_run.log))
    return results


def _choose_memory(
    validated: validate.ValidatedRun, seeds: int, mesh: Mesh | None
) -> memory_choice.Choice:
    """What runs that share a step keep in memory, printed."""
    run, config = validated.run, validated.checkpoint.config
    devices = 1 if mesh is None else mesh.size
    choice = memory_choice.choose(run, config, validated.length, seeds, devices)
    if processes.is_primary():
        print(memory_choice.describe(choice, run, config), flush=True)
    return choice


def _groups_of_rows(
    begun: BegunRun, lengths: tuple[int, ...]
) -> Callable[[int], list[batches.Batch]]:
    """From a step to its examples in rows of several lengths."""
    run = begun.validated.run
    mixture = run.training_mixture
    assert mixture is not None, f"{run.condition} does not train"

    def groups_at(step: int) -> list[batches.Batch]:
        drawn, counted = begun.corpus.draw(mixture, run.seed, step, run.batch_size)
        return batches.pack_lengths(drawn, lengths, counted)

    return groups_at


def _seed_run(
    begun: BegunRun,
    base: base_model.BaseModel,
    rows: np.ndarray | None,
    scored: held_out.Batches,
) -> loop.SeedRun:
    """A run as the training loop takes it.

    rows: those that this process reads; scored: the held-out examples.
    """
    validated, run = begun.validated, begun.validated.run
    mixture = run.training_mixture
    assert mixture is not None, f"{run.condition} does not train"
    start = None
    if validated.start:
        adapter = peft.load_adapter(str(validated.start), base.model.config, run.model)
        start = axes.to_host(adapter)

    def batch_at(step: int) -> tuple[batches.Batch, int]:
        return begun.corpus.batch(
            mixture,
            run.seed,
            step,
            validated.length,
            run.batch_size,
            run.packing,
            rows,
        )

    def measure(adapter: trained.Trained) -> dict[str, Any]:
        return measurement.measure_entanglement(validated, base, adapter)

    def score(adapter: trained.Trained) -> dict[str, Any]:
        return held_out.score(base.model, scored, adapter, base.compute)

    return loop.SeedRun(
        run.seed,
        batch_at,
        measure,
        begun.folder.checkpoints,
        begun.open_log(),
        start,
        score if scored else None,
    )


def _save_trained(begun: BegunRun, tree: trained.Trained) -> None:
    host, folder = axes.to_host(tree), begun.folder
    checkpoint, model = begun.validated.checkpoint, begun.validated.run.model

    def save() -> None:
        if isinstance(host, trained.FullWeights):
            base, config = checkpoint.folder, checkpoint.config
            full_weights.save(host, base, config, folder.model)
        else:
            peft.save_adapter(host, folder.adapter, model)

    processes.broadcast_from_primary(save)


def _summarise(
    begun: BegunRun,
    base: base_model.BaseModel,
    adapter: trained.Trained | None,
    metrics: log.MetricsLog,
) -> run_folder.Summary:
    """Writes the summary and returns it; empty on all processes but the first."""
    of_adapter = measurement.summarise_adapter(
        begun.validated, base, adapter, begun.folder
    )
    summary: run_folder.Summary = {}
    if processes.is_primary():
        of_metrics = measurement.summarise_metrics(metrics.records)
        summary = concepts.to_plain({**of_metrics, **of_adapter})
    processes.broadcast_from_primary(
        lambda: _write_results(begun.folder, adapter is not None, summary)
    )
    return summary


def _write_results(
    folder: run_folder.RunFolder, has_adapter: bool, summary: run_folder.Summary
) -> None:
    """Writes the model card, then the summary, which ends the run."""
    if has_adapter:
        model_card.write_card(folder, summary)
    folder.write_summary(summary)
