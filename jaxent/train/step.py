"""One optimizer step: 16 examples, any number of packed rows, one compilation."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.measure import penalty
from jaxent.model import trained, transformer
from jaxent.train import adam, gradient


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Optimizer constants: section 2.2, else the Hugging Face Trainer's defaults.

    Example:
      >>> TrainConfig(steps=340).warmup_steps
      11
    """

    steps: int = 5000
    learning_rate: float = 1e-4  # the peak, at the end of the warm-up
    warmup_ratio: float = 0.03  # share of the steps, in [0, 1)
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 1.0  # the largest norm that a step's gradient keeps
    micro_batch_size: int = 1  # rows run at a time
    csr_every: int = 50  # steps between steps with CSR's penalty

    def __post_init__(self):
        for name in ("steps", "learning_rate", "clip", "micro_batch_size", "csr_every"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"{name} {value}: expected a positive number")
        if not 0 <= self.warmup_ratio < 1:
            ratio = self.warmup_ratio
            raise ValueError(f"warmup_ratio {ratio}: expected 0 <= ratio < 1")

    @property
    def warmup_steps(self) -> int:
        """Steps over which the learning rate rises."""
        return math.ceil(self.steps * self.warmup_ratio)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What training changes.

    adapter: the trained tree, which is all weights of the model in full fine-tuning.
    failed: the steps done when a loss or gradient was not finite; -1: none was.
    """

    adapter: trained.Trained
    optimizer: optax.OptState
    step: jax.Array
    failed: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StepMetrics:
    """What one step measured, float32 scalars but for `failed`, which is int32.

    loss: mean over the step's tokens, in nats. grad_norm: before clipping. tokens:
    those that the loss counts. csr: the penalty's value, and csr_ratio: |grad CSR| /
    |grad LM|; both NaN on steps without it. failed: `TrainState.failed` afterwards.
    """

    loss: jax.Array
    grad_norm: jax.Array
    learning_rate: jax.Array
    tokens: jax.Array
    csr: jax.Array
    csr_ratio: jax.Array
    failed: jax.Array


def schedule(config: TrainConfig) -> Callable[[Any], jax.Array]:
    """The learning rate by step: linear from 0, then half a cosine to 0.

    It is transformers' `get_cosine_schedule_with_warmup`:

        lr(t) = peak t / w                                    for t < w
        lr(t) = peak (1 + cos(pi (t - w) / (steps - w))) / 2  from step w on

    Args:
      config: peak, steps and, by its warm-up ratio, w.

    Returns:
      A function of the steps done, int32 scalar, that gives a float32 scalar.

    Example:
      >>> rate = schedule(TrainConfig(steps=10, learning_rate=1.0, warmup_ratio=0.2))
      >>> [round(float(rate(step)), 2) for step in (0, 1, 2, 6, 10)]
      [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        rise = step / max(1, config.warmup_steps)
        done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        fall = jnp.maximum(0.0, 0.5 * (1 + jnp.cos(jnp.pi * done)))
        return config.learning_rate * jnp.where(step < config.warmup_steps, rise, fall)

    return rate


def optimizer(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW with the schedule's learning rate; its state is that of `optax.adamw`."""
    return optax.chain(
        adam.scale_by_adam(config.beta1, config.beta2, config.epsilon),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(schedule(config)),
    )


def init_state(adapter: trained.Trained, config: TrainConfig) -> TrainState:
    """The state before the first step."""
    moments = optimizer(config).init(adapter)
    return TrainState(adapter, moments, jnp.int32(0), jnp.int32(-1))


def state_shardings(
    state: TrainState, config: TrainConfig, mesh: Mesh, *lead: str | None
) -> TrainState:
    """The shardings of a state on a mesh, in a tree like the state.

    Moments are split as the adapter is; lead: the logical axes of stacked seeds.
    """
    adapter = trained.shardings(state.adapter, mesh, *lead)
    number: Any = axes.named_sharding(mesh, *lead)
    moments = optax.tree_utils.tree_map_params(
        optimizer(config),
        lambda _, s: s,
        state.optimizer,
        adapter,
        transform_non_params=lambda _: number,
    )
    return TrainState(adapter, moments, number, number)


def shard_batch(
    batch: batches.Batch, micro_batch_size: int, mesh: Mesh | None, *lead: str | None
) -> batches.Batch:
    """Splits a batch into micro-batches, and their rows over the mesh if there is one.

    Args:
      batch: [..., rows, T] arrays of the host.
      micro_batch_size: B, the rows run at a time; a divisor of rows.
      mesh: the devices; None leaves the arrays on the host.
      *lead: the logical axes that precede the rows: the seeds'.

    Returns:
      [..., M, B, T] arrays, M = rows / B.

    Example:
      >>> batch, _ = batches.pad([np.arange(5)] * 4, 8, 4)
      >>> shard_batch(batch, 2, None).tokens.shape
      (2, 2, 8)
    """

    def place(x):
        split = x.reshape(*x.shape[:-2], -1, micro_batch_size, x.shape[-1])
        return axes.device_put_logical(split, mesh, *lead, None, "batch", None)

    return batches.Batch(*(place(x) for x in batch))


def addressable_rows(
    rows: int, micro_batch_size: int, mesh: Mesh | None
) -> np.ndarray | None:
    """The rows of a batch that this process's devices hold after `shard_batch`.

    Returns:
      bool [rows]; None where they hold all rows.
    """
    if mesh is None or jax.process_count() == 1:
        return None
    addressable = np.zeros((rows // micro_batch_size, micro_batch_size), bool)
    split = axes.named_sharding(mesh, None, "batch")
    indices = split.addressable_devices_indices_map(addressable.shape)
    for index in indices.values():
        addressable[index] = True
    return addressable.reshape(-1)


def dropout_keys(seeds: Sequence[int], mesh: Mesh | None) -> jax.Array:
    """The runs' dropout keys on the devices: of one a key, of several [seeds]."""
    lead = ("seed",) if len(seeds) > 1 else ()
    keys = [
        jax.random.key_data(jax.random.fold_in(jax.random.key(seed), 1))
        for seed in seeds
    ]
    joined = np.stack(keys) if lead else np.asarray(keys[0])
    data = axes.device_put_logical(joined, mesh, *lead, None)
    return jax.random.wrap_key_data(jnp.asarray(data))


def train_step(
    state: TrainState,
    model: transformer.Transformer,
    batch: batches.Batch,
    rows: jax.Array | int,
    key: jax.Array,
    reference: penalty.CsrReference | None = None,
    due: jax.Array | None = None,
    *,
    config: TrainConfig,
    compute: transformer.ComputeConfig,
) -> tuple[TrainState, StepMetrics]:
    """One AdamW step on the step's token-mean loss, its gradient clipped as torch does.

    After a NaN or infinite loss or gradient nothing changes any more but `failed`.

    Args:
      state: the state before the step.
      model: the frozen base.
      batch: [M, B, T] arrays, as `shard_batch` gives them.
      rows: of the M B rows the first so many are used; traced.
      key: the run's dropout key, which is folded with the step.
      reference: what CSR's penalty compares with; None for no penalty.
      due: bool scalar, whether the penalty is added on this step; None: on every
        `config.csr_every`-th.
      config: the optimizer's constants.
      compute: the arithmetic.

    Returns:
      The state after the step, and what the step measured.
    """
    due = is_csr_step(state, config) if due is None else due
    dropout_key = gradient.step_key(state.adapter, key, state.step)
    loss, gradients, tokens = gradient.step_gradient(
        model, state.adapter, batch, rows, dropout_key, compute=compute
    )
    return finish_step(
        state, model, (loss, gradients), tokens, reference, due, config, compute
    )


def finish_step(state, model, total, tokens, reference, due, config, compute):
    """A step from its loss and gradient on: penalty, AdamW, what was measured.

    Args:
      state: the state before the step.
      model: the frozen base.
      total: the step's loss and gradient.
      tokens: those that the loss counts.
      reference: what CSR's penalty compares with; None for no penalty.
      due: bool scalar, whether the penalty is added.
      config: the optimizer's constants.
      compute: the arithmetic.

    Returns:
      As `train_step`.
    """
    loss, gradients = total
    csr, ratio = jnp.float32(jnp.nan), jnp.float32(jnp.nan)
    if reference is not None:
        gradients, csr, ratio = _add_penalty(
            state, gradients, model, reference, due, compute
        )
    norm = optax.tree.norm(gradients)
    moved = _clip_and_update(state, gradients, norm, config)
    good = jnp.isfinite(loss) & jnp.isfinite(norm) & (state.failed < 0)
    adapter, moments, step = jax.tree.map(
        lambda new, old: jnp.where(good, new, old),
        moved,
        (state.adapter, state.optimizer, state.step),
    )
    failed = jnp.where(good | (state.failed >= 0), state.failed, state.step)
    rate = schedule(config)(state.step)
    metrics = StepMetrics(loss, norm, rate, tokens, csr, ratio, failed)
    after = TrainState(adapter, moments, step, failed)
    if compute.mesh is not None:
        shardings = state_shardings(after, config, compute.mesh)
        after = jax.lax.with_sharding_constraint(after, shardings)
    return after, metrics


def _clip_and_update(state: TrainState, gradients, norm, config: TrainConfig):
    """Adapter, optimizer state and number of steps after AdamW."""
    # The quotient of torch.nn.utils.clip_grad_norm_.
    scale = jnp.minimum(1.0, config.clip / (norm + 1e-6))
    gradients = jax.tree.map(lambda g: g * scale, gradients)
    updates, moments = optimizer(config).update(
        gradients, state.optimizer, state.adapter
    )
    return optax.apply_updates(state.adapter, updates), moments, state.step + 1


def is_csr_step(state: TrainState, config: TrainConfig) -> jax.Array:
    """Whether the next step is one of CSR's; for stacked states, their furthest's."""
    return (state.step.max() + 1) % config.csr_every == 0


def _add_penalty(state, gradients, model, reference, due, compute):
    """The gradients with the penalty's, its value and the ratio of their norms.

    On a step that is not due they are the gradients alone, NaN and NaN.
    """

    def add(gradients):
        value, extra = penalty.penalty_gradient(
            model, state.adapter, reference, compute
        )
        ratio = optax.tree.norm(extra) / optax.tree.norm(gradients)
        return jax.tree.map(jnp.add, gradients, extra), value, ratio

    def skip(gradients):
        nan = jnp.float32(jnp.nan)
        return gradients, nan, nan

    return jax.lax.cond(due, add, skip, gradients)


@functools.lru_cache(maxsize=8)
def jit_train_step(config: TrainConfig, compute: transformer.ComputeConfig):
    """`train_step` jitted, its state donated.

    Equal arguments give one function: runs of other seeds or data compile once.

    Returns:
      step(state, model, batch, rows, key, reference) -> (state, metrics).
    """
    step = functools.partial(train_step, config=config, compute=compute)
    return jax.jit(step, donate_argnums=0)


@functools.lru_cache(maxsize=8)
def jit_train_step_seeds(config: TrainConfig, compute: transformer.ComputeConfig):
    """`jit_train_step` for several seeds that share the model, as one `jax.vmap`.

    State, batch, key and metrics have a leading axis, which a mesh splits over
    "seed". The base has no such axis, nor has what it is decoded to.

    Returns:
      step(state, model, batch, rows, key, reference) -> (state, metrics); rows is
      the most that any seed uses (unused rows weigh 0).
    """
    one = functools.partial(train_step, config=config, compute=compute)
    every = jax.vmap(
        one,
        (0, None, 0, None, 0, None, None),
        spmd_axis_name=None if compute.mesh is None else "seed",
    )

    def step(state, model, batch, rows, key, reference=None):
        due = is_csr_step(state, config)
        return every(state, model, batch, rows, key, reference, due)

    return jax.jit(step, donate_argnums=0)
