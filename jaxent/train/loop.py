"""Whole runs: measure, train, log, checkpoint, resume; one, or several that differ in their seed and share every step."""

import contextlib
import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from jaxent.arrays import lora
from jaxent.checkpoint import training_state as runs
from jaxent.data import batches
from jaxent.distributed import axes, processes
from jaxent.measure import penalty
from jaxent.model import blocks, transformer
from jaxent.train import log as logs
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """What runs do besides their data: optimizer, adapter, arithmetic, and how often they measure and save."""

    hyper: steps.TrainConfig
    lora_config: lora.LoraConfig
    compute: transformer.ComputeConfig
    measure_steps: int = 500
    save_steps: int = 100

    def measures(self, step: int) -> bool:
        return step % self.measure_steps == 0 or step == self.hyper.steps

    def saves(self, step: int) -> bool:
        return step % self.save_steps == 0 or self.measures(step)


@dataclasses.dataclass(frozen=True)
class SeedRun:
    """One run: its seed, data, measurement and folder.

    batch_at(step) gives a packed batch and its used rows; measure(adapter) gives numbers to log; start: an adapter to
    begin from instead of PEFT's initial one.
    """

    seed: int
    batch_at: Callable[[int], tuple[batches.Batch, int]]
    measure: Callable[[dict], dict]
    folder: pathlib.Path
    start: lora.Adapter | None = None


class NonFiniteError(FloatingPointError):
    """A loss or gradient was NaN or infinite; the last good state was saved."""


def fit(
    model: transformer.Transformer,
    plan: LoopConfig,
    lanes: Sequence[SeedRun],
    anchor: penalty.CsrReference | None = None,
    progress: bool = True,
) -> list[steps.TrainState | NonFiniteError]:
    """Trains every lane in its folder, all in one step on one model, from the newest checkpoint that all of them have.

    Measures before training, every measure_steps steps and at the end; anchor: CSR's, or None. Lanes trained together equal
    lanes trained alone. A run killed at any moment and continued ends in the bit-identical adapter (on another mesh within
    rounding). Gives each lane's last state, or what ended it: after a NaN its last good state is saved and the others go on.
    """
    kept = [runs.saved_steps(lane.folder / "checkpoints") for lane in lanes]
    if any(kept) and not set.intersection(
        *kept
    ):  # killed after one had failed: those that stand at one step go on together
        groups = {
            max(k, default=None): [
                i
                for i, other in enumerate(kept)
                if max(other, default=None) == max(k, default=None)
            ]
            for k in kept
        }
        ended = {
            i: e
            for group in groups.values()
            for i, e in zip(
                group, fit(model, plan, [lanes[i] for i in group], anchor, progress)
            )
        }
        return [ended[i] for i in range(len(lanes))]
    begun = max(set.intersection(*kept), default=None)
    with contextlib.ExitStack() as opened:
        saves = [
            opened.enter_context(
                contextlib.closing(runs.Checkpoints(lane.folder / "checkpoints"))
            )
            for lane in lanes
        ]
        logs_ = [
            opened.enter_context(
                contextlib.closing(
                    logs.MetricsLog(lane.folder, begun, processes.is_primary())
                )
            )
            for lane in lanes
        ]
        begin = lambda lane, save: (
            initial_state(model, plan, lane.seed, lane.start)
            if begun is None
            else _restored(model, plan, save, begun)
        )
        each = [begin(lane, save) for lane, save in zip(lanes, saves)]
        state = stack_seeds(each, plan)
        del each
        if begun is None:
            for lane, save, log, one in zip(
                lanes, saves, logs_, unstack_seeds(state, plan, len(lanes))
            ):
                log.write("measure", 0, lane.measure(one.adapter))
                save.save(0, one)
        return _train(
            model,
            plan,
            lanes,
            state,
            anchor,
            saves,
            logs_,
            progress and processes.is_primary(),
        )


def initial_state(
    model: transformer.Transformer,
    plan: LoopConfig,
    seed: int,
    start: lora.Adapter | None = None,
) -> steps.TrainState:
    """The state before the first step: `start`, or PEFT's initial adapter drawn from the seed."""
    make = functools.partial(
        _fresh, lora_config=plan.lora_config, config=model.config, hyper=plan.hyper
    )
    key = jax.random.fold_in(jax.random.key(seed), 0)
    return jax.jit(make, out_shardings=_lies(jax.eval_shape(make, key, start), plan))(
        key, start
    )


def _fresh(key, start, lora_config, config, hyper):
    return steps.init_state(
        lora.init_adapter(key, lora_config, config.layers, blocks.linear_shapes(config))
        if start is None
        else start,
        hyper,
    )


def _lies(state: steps.TrainState, plan: LoopConfig, *lead: str):
    """Where a state lies: on the mesh, or on the default device (committed, as a restored one is: one compilation)."""
    if plan.compute.mesh is not None:
        return steps.state_shardings(state, plan.hyper, plan.compute.mesh, *lead)
    return jax.sharding.SingleDeviceSharding(jax.devices()[0])


def _restored(
    model: transformer.Transformer, plan: LoopConfig, save: runs.Checkpoints, step: int
) -> steps.TrainState:
    """A lane's state at a step, on this plan's mesh whatever mesh and processes saved it."""
    like = jax.eval_shape(
        functools.partial(
            _fresh, lora_config=plan.lora_config, config=model.config, hyper=plan.hyper
        ),
        jax.random.key(0),
        None,
    )
    lies = _lies(like, plan)
    lies = jax.tree.map(lambda _: lies, like) if plan.compute.mesh is None else lies
    return save.restore(
        step,
        jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), like, lies
        ),
    )


def stack_seeds(states: list[steps.TrainState], plan: LoopConfig) -> steps.TrainState:
    """Lanes' states with a leading axis, split over the mesh's "seed"; the state itself if there is one lane."""
    if len(states) == 1:
        return states[0]
    join = lambda *states: jax.tree.map(lambda *x: jnp.stack(x), *states)
    return jax.jit(join, out_shardings=_lies(states[0], plan, "seed"))(*states)


def unstack_seeds(
    state: steps.TrainState, plan: LoopConfig, lanes: int
) -> list[steps.TrainState]:
    """`stack`, undone."""
    if lanes == 1:
        return [state]
    cut = jax.jit(_lane, out_shardings=_lies(jax.eval_shape(_lane, state, 0), plan))
    return [cut(state, lane) for lane in range(lanes)]


def _lane(state: steps.TrainState, index) -> steps.TrainState:
    return jax.tree.map(lambda x: x[index], state)


def _batches(lanes: Sequence[SeedRun], plan: LoopConfig, step: int):
    """(the lanes' batches, placed and with a leading axis if there are several, and each one's used rows)."""
    drawn, rows = zip(*(lane.batch_at(step) for lane in lanes))
    several = len(lanes) > 1
    joined = batches.Batch(*map(np.stack, zip(*drawn))) if several else drawn[0]
    return steps.shard_batch(
        joined, plan.hyper.micro_batch_size, plan.compute.mesh, *["seed"] * several
    ), rows


def _train(
    model, plan: LoopConfig, lanes, state, anchor, saves, logs_, progress
) -> list[steps.TrainState | NonFiniteError]:
    several = len(lanes) > 1
    train_step = (steps.jit_train_step_seeds if several else steps.jit_train_step)(
        plan.hyper, plan.compute
    )
    keys = [
        jax.random.key_data(jax.random.fold_in(jax.random.key(lane.seed), 1))
        for lane in lanes
    ]
    data = axes.device_put_logical(
        np.stack(keys) if several else np.asarray(keys[0]),
        plan.compute.mesh,
        *["seed"] * several,
        None,
    )
    key = jax.random.wrap_key_data(jnp.asarray(data))
    begun = int(np.max(axes.to_host(state.step)))
    ended: dict[int, NonFiniteError] = {}
    bar = tqdm.tqdm(
        total=plan.hyper.steps,
        initial=begun,
        desc="train",
        unit="step",
        disable=not progress,
        mininterval=1,
    )
    clock = time.perf_counter()
    batch, rows = (
        _batches(lanes, plan, begun) if begun < plan.hyper.steps else (None, ())
    )
    for done in range(begun + 1, plan.hyper.steps + 1):
        state, metrics = train_step(
            state, model, batch, np.int32(max(rows)), key, anchor
        )
        used = rows
        if done < plan.hyper.steps:
            batch, rows = _batches(lanes, plan, done)  # packed while the device works
        found = [
            {
                f: np.atleast_1d(x)[i].item()
                for f, x in vars(axes.to_host(metrics)).items()
            }
            for i in range(len(lanes))
        ]
        seconds = time.perf_counter() - clock
        for i, values in enumerate(found):
            if i not in ended and values["failed"] >= 0:
                ended[i] = NonFiniteError(
                    f"step {done}: loss {values['loss']}, gradient norm {values['grad_norm']}; expected finite numbers. "
                    f"The state after step {done - 1} is saved"
                )
                saves[i].save(done - 1, unstack_seeds(state, plan, len(lanes))[i])
        alive = [i for i in range(len(lanes)) if i not in ended]
        for i in alive:
            logs_[i].write(
                "train",
                done,
                _record(found[i])
                | {"rows": int(used[i]), "seconds": seconds / len(lanes)},
            )
        if not alive:
            break
        mean, tokens = (
            sum(found[i][name] for i in alive) for name in ("loss", "tokens")
        )
        bar.set_postfix(
            loss=f"{mean / len(alive):.3f}",
            tok_s=f"{tokens / seconds:.0f}",
            refresh=False,
        )
        bar.update()
        if plan.saves(done):
            one = unstack_seeds(state, plan, len(lanes))
            for i in alive if plan.measures(done) else ():
                logs_[i].write("measure", done, lanes[i].measure(one[i].adapter))
            for i in alive:
                saves[i].save(done, one[i])
        clock = time.perf_counter()
    bar.close()
    return [
        ended.get(i, one)
        for i, one in enumerate(unstack_seeds(state, plan, len(lanes)))
    ]


def _record(values: dict) -> dict:
    """What metrics.jsonl keeps of a step: CSR's numbers on its steps only."""
    names = ("loss", "grad_norm", "learning_rate", "tokens") + (
        ("csr", "csr_ratio") if values["csr"] == values["csr"] else ()
    )
    return {name: values[name] for name in names}
