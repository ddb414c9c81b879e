"""Whole runs: measure, train, log, checkpoint, resume.

One run, or several that differ in their seed and share every step.
"""

import collections
import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from jaxent.arrays import lora
from jaxent.checkpoint import training_state
from jaxent.data import batches
from jaxent.distributed import axes, processes
from jaxent.measure import penalty
from jaxent.model import blocks, convert, trained, transformer
from jaxent.model import config as configs
from jaxent.train import drawing, step_report
from jaxent.train import log as logs
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """What runs do besides their data.

    Attributes:
      train_config: the optimizer's constants and the number of steps.
      lora_config: the adapter's shape; None trains all weights.
      compute: the arithmetic and the mesh.
      measure_steps: steps between measurements.
      save_steps: steps between checkpoints; every measured step is saved too.
      eval_steps: steps between scores of held-out examples; None for none.

    Example:
      >>> config = LoopConfig(
      ...     steps.TrainConfig(steps=7),
      ...     lora.LoraConfig(),
      ...     transformer.ComputeConfig(),
      ...     measure_steps=4,
      ...     save_steps=3,
      ... )
      >>> [step for step in range(1, 8) if config.measures(step)]
      [4, 7]
      >>> [step for step in range(1, 8) if config.saves(step)]
      [3, 4, 6, 7]
    """

    train_config: steps.TrainConfig
    lora_config: lora.LoraConfig | None
    compute: transformer.ComputeConfig
    measure_steps: int = 500
    save_steps: int = 100
    eval_steps: int | None = None

    def scores(self, step: int) -> bool:
        """Whether the run is scored on held-out examples after a step."""
        every, last = self.eval_steps, self.train_config.steps
        return every is not None and (step % every == 0 or step == last)

    def measures(self, step: int) -> bool:
        """Whether the run is measured after a step."""
        return step % self.measure_steps == 0 or step == self.train_config.steps

    def saves(self, step: int) -> bool:
        """Whether the run is saved after a step."""
        return step % self.save_steps == 0 or self.measures(step)


@dataclasses.dataclass(frozen=True)
class SeedRun:
    """One run: its seed, data, measurement, and what it leaves behind.

    Attributes:
      seed: of the initial adapter and of dropout.
      batch_at: from a step to its batch ([rows, T] arrays) and the used rows.
      measure: from an adapter to the numbers to log.
      checkpoints: the folder of the training states.
      log: the run's log, which the loop opens and closes.
      start: an adapter to begin from instead of PEFT's initial one.
      score: as `measure`, of the loss on held-out examples; None without them.
      groups_at: instead of batch_at for a run alone without a mesh: from a step to its
        rows of several lengths, as `batches.pack_lengths` gives them.
    """

    seed: int
    batch_at: Callable[[int], tuple[batches.Batch, int]]
    measure: Callable[[trained.Trained], dict[str, Any]]
    checkpoints: pathlib.Path
    log: logs.MetricsLog
    start: lora.Adapter | None = None
    score: Callable[[trained.Trained], dict[str, Any]] | None = None
    groups_at: Callable[[int], list[batches.Batch]] | None = None


class NonFiniteError(FloatingPointError):
    """A loss or gradient was NaN or infinite; the last good state was saved."""


def fit(
    model: transformer.Transformer,
    plan: LoopConfig,
    seed_runs: Sequence[SeedRun],
    reference: penalty.CsrReference | None = None,
    progress: bool = True,
) -> list[steps.TrainState | NonFiniteError]:
    """Trains runs on one model, all in one step, each from its newest checkpoint.

    Measures before, in and after training. Runs trained together equal runs trained
    alone. A killed run that is continued ends in the same bits (on one mesh).

    Args:
      model: the frozen base.
      plan: what the runs have in common.
      seed_runs: what they differ in.
      reference: what CSR's penalty compares with; None for no penalty.
      progress: whether to show a progress bar.

    Returns:
      Each run's last state, or what ended it: after a NaN its last good state is
      saved and the others go on.
    """
    saved = [training_state.saved_steps(run.checkpoints) for run in seed_runs]
    common = set.intersection(*saved)
    if any(saved) and not common:
        return _fit_groups(model, plan, seed_runs, saved, reference, progress)
    resume_step = max(common, default=None)
    with contextlib.ExitStack() as stack:
        saves = []
        for run in seed_runs:
            save = training_state.Checkpoints(run.checkpoints)
            saves.append(stack.enter_context(contextlib.closing(save)))
        for run in seed_runs:
            stack.callback(run.log.close)
            run.log.open(resume_step)
        if resume_step is None:
            states = [initial_state(model, plan, r.seed, r.start) for r in seed_runs]
        else:
            states = [_restore(model, plan, save, resume_step) for save in saves]
        state = stack_seeds(states, plan)
        del states
        if resume_step is None:
            unstacked = unstack_seeds(state, plan, len(seed_runs))
            for run, save, one in zip(seed_runs, saves, unstacked):
                run.log.write("measure", 0, run.measure(one.adapter))
                if run.score and plan.scores(0):
                    run.log.write("eval", 0, run.score(one.adapter))
                save.save(0, one)
        show = progress and processes.is_primary()
        return _train(model, plan, seed_runs, state, reference, saves, show)


def _fit_groups(
    model: transformer.Transformer,
    plan: LoopConfig,
    seed_runs: Sequence[SeedRun],
    saved: Sequence[set[int]],
    reference: penalty.CsrReference | None,
    progress: bool,
) -> list[steps.TrainState | NonFiniteError]:
    """`fit` of runs without a common checkpoint: those at one step go on together.

    Such runs were killed after one of them had failed.
    """
    groups = collections.defaultdict(list)
    for i, of_run in enumerate(saved):
        groups[max(of_run, default=None)].append(i)
    ended: dict[int, steps.TrainState | NonFiniteError] = {}
    for members in groups.values():
        group = [seed_runs[i] for i in members]
        ended |= zip(members, fit(model, plan, group, reference, progress))
    return [ended[i] for i in range(len(seed_runs))]


def initial_state(
    model: transformer.Transformer,
    plan: LoopConfig,
    seed: int,
    start: lora.Adapter | None = None,
) -> steps.TrainState:
    """The state before the first step.

    Args:
      model: the frozen base.
      plan: adapter, optimizer and devices.
      seed: what PEFT's initial adapter is drawn from.
      start: an adapter to begin from instead.
    """
    make = _state_maker(model.config, plan)
    key = jax.random.fold_in(jax.random.key(seed), 0)
    norms = _magnitudes(model, plan.lora_config) if start is None else None
    begun = _own_weights(model, plan) if start is None else start
    shardings = _shardings(jax.eval_shape(make, key, begun, norms), plan)
    return jax.jit(make, out_shardings=shardings)(key, begun, norms)


def _own_weights(
    model: transformer.Transformer, plan: LoopConfig
) -> trained.FullWeights | None:
    """What full fine-tuning begins with; None for adapters."""
    return None if plan.lora_config else trained.full_weights(model)


def _magnitudes(model: transformer.Transformer, lora_config: lora.LoraConfig | None):
    """What DoRA's magnitudes begin with; None for others."""
    if lora_config is None or not lora_config.use_dora:
        return None
    norms = functools.partial(convert.weight_norms, modules=lora_config.modules)
    return jax.jit(norms)(model)


def _state_maker(config: configs.Config, plan: LoopConfig):
    """make(key, start, norms) gives the state before the first step."""
    return functools.partial(
        _make_state,
        lora_config=plan.lora_config,
        config=config,
        train_config=plan.train_config,
    )


def _make_state(key, start, norms, lora_config, config, train_config):
    if start is None:
        shapes = blocks.linear_shapes(config)
        start = lora.init_adapter(key, lora_config, config.layers, shapes, norms)
    if isinstance(start, trained.FullWeights):
        start = trained.float32_copy(start)  # the steps donate it, and the base stays
    return steps.init_state(start, train_config)


def _shardings(state: steps.TrainState, plan: LoopConfig, *lead: str):
    """The shardings of a state: on the mesh, or on the default device.

    On the default device it is committed, as a restored state is: one compilation.
    """
    if plan.compute.mesh is None:
        return jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return steps.state_shardings(state, plan.train_config, plan.compute.mesh, *lead)


def _restore(
    model: transformer.Transformer,
    plan: LoopConfig,
    save: training_state.Checkpoints,
    step: int,
) -> steps.TrainState:
    """A run's state at a step, on this plan's mesh whatever mesh saved it."""
    make = _state_maker(model.config, plan)
    norms = jax.eval_shape(
        functools.partial(_magnitudes, lora_config=plan.lora_config), model
    )
    begun = _own_weights(model, plan)
    shapes = jax.eval_shape(make, jax.random.key(0), begun, norms)
    shardings = _shardings(shapes, plan)
    if plan.compute.mesh is None:
        device = shardings
        shardings = jax.tree.map(lambda _: device, shapes)

    def place(x, sharding):
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

    return save.restore(step, jax.tree.map(place, shapes, shardings))


def stack_seeds(
    states: Sequence[steps.TrainState], plan: LoopConfig
) -> steps.TrainState:
    """States with a leading axis, split over the mesh's "seed"; of one, itself."""
    if len(states) == 1:
        return states[0]

    def join(*states):
        return jax.tree.map(lambda *x: jnp.stack(x), *states)

    return jax.jit(join, out_shardings=_shardings(states[0], plan, "seed"))(*states)


def unstack_seeds(
    state: steps.TrainState, plan: LoopConfig, seeds: int
) -> list[steps.TrainState]:
    """The states that `stack_seeds` joined."""
    if seeds == 1:
        return [state]
    shardings = _shardings(jax.eval_shape(_select_seed, state, 0), plan)
    select = jax.jit(_select_seed, out_shardings=shardings)
    return [select(state, seed) for seed in range(seeds)]


def _select_seed(state: steps.TrainState, index) -> steps.TrainState:
    return jax.tree.map(lambda x: x[index], state)


def _train(
    model, plan: LoopConfig, seed_runs, state, reference, saves, progress: bool
) -> list[steps.TrainState | NonFiniteError]:
    """The steps from the state on; what `fit` returns."""
    number = len(seed_runs)
    of_loop = plan.train_config, plan.compute
    groups_at = seed_runs[0].groups_at if number == 1 else None
    if groups_at is not None:
        draw, train_step = drawing.several_lengths(groups_at, *of_loop)
    else:
        batch_ats = [run.batch_at for run in seed_runs]
        draw, train_step = drawing.one_length(batch_ats, *of_loop)
    seeds = [run.seed for run in seed_runs]
    key = steps.dropout_keys(seeds, plan.compute.mesh)
    last = plan.train_config.steps
    begun = int(np.max(axes.to_host(state.step)))
    ended: dict[int, NonFiniteError] = {}
    bar = tqdm.tqdm(
        total=last,
        initial=begun,
        desc="train",
        unit="step",
        disable=not progress,
        mininterval=1,
    )
    bar.set_postfix_str("compiling the first step")
    clock = time.perf_counter()
    if begun < last:
        drawn = draw(begun)
    for done in range(begun + 1, last + 1):
        state, metrics = train_step(state, model, drawn, key, reference)
        used = drawn[1]
        if done < last:  # packed while the device works
            drawn = draw(done)
        measured = step_report.split_seeds(metrics, number)
        seconds = time.perf_counter() - clock
        for i, values in enumerate(measured):
            if i not in ended and values["failed"] >= 0:
                ended[i] = _non_finite_error(values, done)
                saves[i].save(done - 1, unstack_seeds(state, plan, number)[i])
        alive = [i for i in range(number) if i not in ended]
        for i in alive:
            extra = {"rows": int(used[i]), "seconds": seconds / number}
            record = step_report.make_record(measured[i]) | extra
            seed_runs[i].log.write("train", done, record)
        if not alive:
            break
        step_report.advance(bar, [measured[i] for i in alive], seconds)
        if plan.saves(done) or plan.scores(done):
            _save(plan, seed_runs, state, saves, alive, done)
        clock = time.perf_counter()
    bar.close()
    return [
        ended.get(i, one) for i, one in enumerate(unstack_seeds(state, plan, number))
    ]


def _non_finite_error(values: dict[str, Any], step: int) -> NonFiniteError:
    return NonFiniteError(
        f"step {step}: loss {values['loss']}, gradient norm {values['grad_norm']}; "
        f"expected finite numbers. The state after step {step - 1} is saved"
    )


def _save(plan: LoopConfig, seed_runs, state, saves, alive, step: int) -> None:
    """Scores, measures and saves the runs where that is due, in this order."""
    states = unstack_seeds(state, plan, len(seed_runs))
    for i in alive:
        run, adapter = seed_runs[i], states[i].adapter
        if run.score and plan.scores(step):
            run.log.write("eval", step, run.score(adapter))
        if plan.measures(step):
            run.log.write("measure", step, run.measure(adapter))
    if plan.saves(step):
        for i in alive:
            saves[i].save(step, states[i])
