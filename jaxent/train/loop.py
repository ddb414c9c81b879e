"""A whole run: measure, train, log, checkpoint, resume."""

import dataclasses
import pathlib
import time
from collections.abc import Callable

import jax
import tqdm

from jaxent.arrays import lora
from jaxent.checkpoint import run as runs
from jaxent.data import batches
from jaxent.measure import penalty
from jaxent.model import transformer
from jaxent.train import log as logs, step as steps


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run does besides its data: optimizer, adapter, arithmetic, seed, and how often it measures and saves."""

    hyper: steps.Hyper
    spec: lora.Spec
    compute: transformer.Compute
    seed: int
    measure_every: int = 500
    save_every: int = 100

    def measures(self, step: int) -> bool:
        return step % self.measure_every == 0 or step == self.hyper.steps

    def saves(self, step: int) -> bool:
        return step % self.save_every == 0 or self.measures(step)


class NonFinite(FloatingPointError):
    """A loss or gradient was NaN or infinite; the last good state was saved."""


def initial(model: transformer.Transformer, plan: Plan) -> steps.State:
    """The state before the first step: PEFT's initial adapter, drawn from the run's seed."""
    key = jax.random.fold_in(jax.random.key(plan.seed), 0)
    return steps.init(lora.init(key, plan.spec, model.config.layers, transformer.shapes(model.config)), plan.hyper)


def fit(
    model: transformer.Transformer,
    plan: Plan,
    batch_at: Callable[[int], tuple[batches.Batch, int]],
    measure: Callable[[dict], dict],
    folder: pathlib.Path,
    state: steps.State | None = None,
    anchor: penalty.Anchor | None = None,
    progress: bool = True,
) -> steps.State:
    """Runs `plan` in `folder` from `state` (default `initial`), continuing from its newest checkpoint if it has one.

    batch_at(step) gives a packed batch and its used rows; measure(adapter) gives numbers to log,
    before training, every measure_every steps and at the end; anchor: CSR's, or None. A run killed at any moment and
    continued ends in the bit-identical adapter. Raises `NonFinite` with the step's number, after
    saving the last good state.
    """
    state = initial(model, plan) if state is None else state
    checkpoints = runs.Checkpoints(folder / "checkpoints")
    begun = checkpoints.latest()
    if begun is None:
        state = jax.tree.map(lambda x: jax.device_put(x, x.sharding), state)  # committed, as a restored one is: one compilation
    else:
        state = checkpoints.restore(begun, state)
    log = logs.MetricsLog(folder, begun)
    try:
        if begun is None:
            log.write("measure", 0, measure(state.adapter))
            checkpoints.save(0, state)
        return _train(model, plan, batch_at, measure, state, anchor, checkpoints, log, progress)
    finally:
        checkpoints.close()
        log.close()


def _train(model, plan, batch_at, measure, state, anchor, checkpoints, log, progress):
    train_step = steps.compiled(plan.spec, plan.hyper, plan.compute)
    key = jax.random.fold_in(jax.random.key(plan.seed), 1)
    begun = int(state.step)
    bar = tqdm.tqdm(total=plan.hyper.steps, initial=begun, desc="train", unit="step", disable=not progress, mininterval=1)
    clock = time.perf_counter()
    batch, rows = batch_at(begun) if begun < plan.hyper.steps else (None, 0)
    for done in range(begun + 1, plan.hyper.steps + 1):
        state, metrics = train_step(state, model, batch, rows, key, anchor)
        this_rows = rows
        if done < plan.hyper.steps:
            batch, rows = batch_at(done)  # packed while the device works
        values = {name: getattr(metrics, name).item() for name in ("loss", "grad_norm", "learning_rate", "tokens")}
        if metrics.failed.item() >= 0:
            checkpoints.save(done - 1, state)
            raise NonFinite(
                f"step {done}: loss {values['loss']}, gradient norm {values['grad_norm']}; expected finite numbers. "
                f"The state after step {done - 1} is saved"
            )
        if metrics.csr == metrics.csr:  # not NaN: a CSR step
            values |= {"csr": metrics.csr.item(), "csr_ratio": metrics.csr_ratio.item()}
        now = time.perf_counter()
        log.write("train", done, values | {"rows": int(this_rows), "seconds": now - clock})
        bar.set_postfix(loss=f"{values['loss']:.3f}", tok_s=f"{values['tokens'] / (now - clock):.0f}", refresh=False)
        bar.update()
        if plan.measures(done):
            log.write("measure", done, measure(state.adapter))
        if plan.saves(done):
            checkpoints.save(done, state)
        clock = time.perf_counter()
    bar.close()
    return state
