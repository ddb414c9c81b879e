"""One optimizer step: 16 examples, any number of packed rows, one compilation."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.measure import penalty
from jaxent.model import sharding, transformer
from jaxent.train import objective


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Optimizer constants: section 2.2, and the Hugging Face Trainer's defaults where it is silent."""

    steps: int = 5000
    learning_rate: float = 1e-4
    warmup_ratio: float = 0.03
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 1.0
    micro_batch_size: int = 1
    csr_every: int = 50

    def __post_init__(self):
        for name in ("steps", "learning_rate", "clip", "micro_batch_size", "csr_every"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} {getattr(self, name)}: expected a positive number"
                )
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(
                f"warmup_ratio {self.warmup_ratio}: expected 0 <= ratio < 1"
            )

    @property
    def warmup_steps(self) -> int:
        return math.ceil(self.steps * self.warmup_ratio)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What training changes: adapter, optimizer state, steps done, and the step that failed (-1: none)."""

    adapter: lora.Adapter
    optimizer: optax.OptState
    step: jax.Array
    failed: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StepMetrics:
    """Of one step: token-mean loss (nats), gradient norm before clipping, learning rate, counted tokens.

    csr: the penalty's value and csr_ratio = |grad CSR| / |grad LM|; both NaN on steps without it.
    """

    loss: jax.Array
    grad_norm: jax.Array
    learning_rate: jax.Array
    tokens: jax.Array
    csr: jax.Array
    csr_ratio: jax.Array
    failed: jax.Array


def schedule(hyper: TrainConfig):
    """transformers' get_cosine_schedule_with_warmup: linear from 0, then half a cosine to 0."""

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        rise = step / max(1, hyper.warmup_steps)
        done = (step - hyper.warmup_steps) / max(1, hyper.steps - hyper.warmup_steps)
        fall = jnp.maximum(0.0, 0.5 * (1 + jnp.cos(jnp.pi * done)))
        return hyper.learning_rate * jnp.where(step < hyper.warmup_steps, rise, fall)

    return rate


def optimizer(hyper: TrainConfig) -> optax.GradientTransformation:
    return optax.adamw(
        schedule(hyper),
        hyper.beta1,
        hyper.beta2,
        hyper.epsilon,
        weight_decay=hyper.weight_decay,
    )


def init_state(adapter, hyper: TrainConfig) -> TrainState:
    """The state before the first step."""
    return TrainState(
        adapter, optimizer(hyper).init(adapter), jnp.int32(0), jnp.int32(-1)
    )


def state_shardings(
    state: TrainState, hyper: TrainConfig, mesh: Mesh, *lead: str | None
) -> TrainState:
    """How a state lies on a mesh: moments as the adapter, numbers on every device. lead: the seeds' axis of a stacked state."""
    adapter, number = (
        sharding.adapter_shardings(state.adapter, mesh, *lead),
        axes.named_sharding(mesh, *lead),
    )
    moments = optax.tree_utils.tree_map_params(
        optimizer(hyper),
        lambda _, s: s,
        state.optimizer,
        adapter,
        transform_non_params=lambda _: number,
    )
    return TrainState(adapter, moments, number, number)


def shard_batch(
    batch: batches.Batch, micro_batch_size: int, mesh: Mesh | None, *lead: str | None
) -> batches.Batch:
    """A batch of [..., rows, T] arrays as [..., M, micro_batch_size, T], its micro-batches' rows split over the mesh if there is one."""
    shape = lambda x: x.reshape(*x.shape[:-2], -1, micro_batch_size, x.shape[-1])
    return batches.Batch(
        *(
            axes.device_put_logical(shape(x), mesh, *lead, None, "batch", None)
            for x in batch
        )
    )


def addressable_rows(
    rows: int, micro_batch_size: int, mesh: Mesh | None
) -> np.ndarray | None:
    """Which of a batch's rows this process's devices hold once it is placed, bool [rows]; None where they hold all."""
    if mesh is None or jax.process_count() == 1:
        return None
    held = np.zeros((rows // micro_batch_size, micro_batch_size), bool)
    for index in (
        axes.named_sharding(mesh, None, "batch")
        .addressable_devices_indices_map(held.shape)
        .values()
    ):
        held[index] = True
    return held.reshape(-1)


def step_gradient(model, adapter, batch, rows, key, *, micro_batch_size, compute):
    """Token-mean loss of a step and its gradient: (loss, gradient tree, counted tokens).

    batch: `data.batches.Batch` of [16, T] arrays, or `place`d ones, of which the first `rows` (traced) are used,
    `micro_batch_size` at a time. The divisor is the weight of the whole step, so packing into fewer rows
    changes nothing, and a row's dropout is drawn from (key, its index in the step), whatever runs beside it. key: None for none.
    """
    tokens = batch.weights.sum()
    split = jax.tree.map(lambda x: x.reshape(-1, micro_batch_size, x.shape[-1]), batch)

    def loss(adapter, grad_accum, index):
        micro = jax.tree.map(
            lambda x: jax.lax.dynamic_index_in_dim(x, index, 0, keepdims=False), split
        )
        micro = jax.tree.map(
            lambda x: axes.constrain(x, compute.mesh, "batch", None), micro
        )
        keys = (
            None
            if key is None
            else jax.vmap(jax.random.fold_in, (None, 0))(
                key, index * micro_batch_size + jnp.arange(micro_batch_size)
            )
        )
        return (
            objective.batch_nll(model, micro, adapter, keys, compute, grad_accum)
            / tokens
        )

    def body(index, carry):
        total, gradients = carry
        value, gradients = jax.value_and_grad(loss)(adapter, gradients, index)
        return total + value, constrain_adapter(gradients, compute.mesh)

    zeros = constrain_adapter(jax.tree.map(jnp.zeros_like, adapter), compute.mesh)
    start = (jnp.float32(0), zeros)
    total, gradients = jax.lax.fori_loop(0, -(-rows // micro_batch_size), body, start)
    return total, gradients, tokens


def constrain_adapter(adapter: lora.Adapter, mesh: Mesh | None) -> lora.Adapter:
    """The adapter, or its gradient, laid out on the mesh; unchanged without one."""
    if mesh is None:
        return adapter
    return jax.lax.with_sharding_constraint(
        adapter, sharding.adapter_shardings(adapter, mesh)
    )


def train_step(
    state: TrainState,
    model,
    batch,
    rows,
    key,
    anchor=None,
    due=None,
    *,
    hyper: TrainConfig,
    compute,
):
    """(State, Metrics) after one AdamW step on the step's token-mean loss, gradient clipped as torch does.

    anchor: `penalty.CsrReference`; its penalty is added to the loss of steps that are `due` (default: every `hyper.csr_every`-th).
    A NaN or infinite loss or gradient changes nothing but `failed`, and once failed nothing moves
    any more: the state stays the last good one. key: the run's dropout key (folded with the step).
    """
    due = is_csr_step(state, hyper) if due is None else due
    step_key = jax.random.fold_in(key, state.step)
    dropout_key = step_key if state.adapter.config.dropout > 0 else None
    loss, gradients, tokens = step_gradient(
        model,
        state.adapter,
        batch,
        rows,
        dropout_key,
        micro_batch_size=hyper.micro_batch_size,
        compute=compute,
    )
    csr, ratio = jnp.float32(jnp.nan), jnp.float32(jnp.nan)
    if anchor is not None:
        gradients, csr, ratio = _penalised(
            state, gradients, model, anchor, due, compute
        )
    norm = optax.tree.norm(gradients)
    scale = jnp.minimum(
        1.0, hyper.clip / (norm + 1e-6)
    )  # torch.nn.utils.clip_grad_norm_
    gradients = jax.tree.map(lambda g: g * scale, gradients)
    updates, moments = optimizer(hyper).update(
        gradients, state.optimizer, state.adapter
    )
    moved = (optax.apply_updates(state.adapter, updates), moments, state.step + 1)
    good = jnp.isfinite(loss) & jnp.isfinite(norm) & (state.failed < 0)
    kept = jax.tree.map(
        lambda new, old: jnp.where(good, new, old),
        moved,
        (state.adapter, state.optimizer, state.step),
    )
    failed = jnp.where(good | (state.failed >= 0), state.failed, state.step)
    metrics = StepMetrics(
        loss, norm, schedule(hyper)(state.step), tokens, csr, ratio, failed
    )
    after = TrainState(*kept, failed)
    if compute.mesh is not None:
        after = jax.lax.with_sharding_constraint(
            after, state_shardings(after, hyper, compute.mesh)
        )
    return after, metrics


def is_csr_step(state: TrainState, hyper: TrainConfig) -> jax.Array:
    """Whether the next step is one of CSR's; of a stack of states, its furthest one's."""
    return (state.step.max() + 1) % hyper.csr_every == 0


def _penalised(state, gradients, model, anchor, due, compute):
    """(gradients + the penalty's, its value, the ratio of norms) on a step that is due; unchanged, NaN, NaN on others."""

    def add(gradients):
        value, extra = penalty.penalty_gradient(model, state.adapter, anchor, compute)
        ratio = optax.tree.norm(extra) / optax.tree.norm(gradients)
        return jax.tree.map(jnp.add, gradients, extra), value, ratio

    nan = jnp.float32(jnp.nan)
    return jax.lax.cond(due, add, lambda g: (g, nan, nan), gradients)


@functools.lru_cache(maxsize=8)
def jit_train_step(hyper: TrainConfig, compute: transformer.ComputeConfig):
    """`train_step` jitted, its state donated: step(state, model, batch, rows, key, anchor).

    The same function for equal arguments: runs that differ in seed, data or CSR's weight alone compile once.
    """
    return jax.jit(
        functools.partial(train_step, hyper=hyper, compute=compute),
        donate_argnums=0,
    )


@functools.lru_cache(maxsize=8)
def jit_train_step_seeds(hyper: TrainConfig, compute: transformer.ComputeConfig):
    """`compiled` for several seeds that share the model, as a `jax.vmap`: state, batch, key and metrics have a leading axis.

    rows is the most that any of them uses (unused rows weigh 0). The base has no such axis, nor has what it is decoded to; on
    a mesh the axis is split over "seed".
    """
    one = functools.partial(train_step, hyper=hyper, compute=compute)
    every = jax.vmap(
        one,
        (0, None, 0, None, 0, None, None),
        spmd_axis_name=None if compute.mesh is None else "seed",
    )

    def step(state, model, batch, rows, key, anchor=None):
        return every(state, model, batch, rows, key, anchor, is_csr_step(state, hyper))

    return jax.jit(step, donate_argnums=0)
