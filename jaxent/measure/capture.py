"""Activations of texts: one vector a text, pooled over its real tokens."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import transformer

POOLINGS = ("mean", "last")
_BUCKET = 32  # rows are padded to multiples of this many tokens: few compilations


@dataclasses.dataclass(frozen=True)
class CaptureConfig:
    """Which activations are captured.

    Attributes:
      layer: numbered as Hugging Face's hidden_states: 0 is the embedding, i after layer
        i, -1 after the final norm; None captures all.
      pooling: "mean" over a text's tokens, or its "last" token.
      norm: False leaves the final norm out of the last layer's activations.
    """

    layer: int | None = -1
    pooling: str = "mean"
    norm: bool = True

    def __post_init__(self):
        if self.pooling not in POOLINGS:
            raise ValueError(
                f"pooling {self.pooling!r}: expected one of {', '.join(POOLINGS)}"
            )


def pool(hidden, segments, pooling: str) -> jax.Array:
    """Pools hidden states over real tokens.

    Args:
      hidden: [B, T, D].
      segments: int [B, T], positive for a real token.
      pooling: "mean" over the real tokens, or the "last" of them.

    Returns:
      float32 [B, D].

    Example:
      >>> hidden = jnp.array([[[1.0], [3.0], [9.0]]])
      >>> segments = jnp.array([[1, 1, 0]])
      >>> float(pool(hidden, segments, "mean")[0, 0])
      2.0
      >>> float(pool(hidden, segments, "last")[0, 0])
      3.0
    """
    real = (segments > 0).astype(jnp.float32)
    if pooling == "last":
        real = real * (jnp.cumsum(real, axis=1) == real.sum(1, keepdims=True))
    total = jnp.einsum(
        "btd,bt->bd", hidden.astype(jnp.float32), real, precision="highest"
    )
    return total / real.sum(1, keepdims=True)


class _Identity(nnx.Module):
    """Replaces the final norm."""

    def __call__(self, x):
        return x


def activations(
    model,
    tokens,
    segments,
    positions,
    adapter: lora.Adapter | None,
    where: CaptureConfig,
    compute: transformer.ComputeConfig,
    grad_accum=None,
) -> jax.Array:
    """Pooled activations in evaluation mode, differentiable in the adapter.

    Args:
      model: the model.
      tokens: int32 [B, T].
      segments: int32 [B, T], positive for a real token.
      positions: int32 [B, T].
      adapter: the adapter, or None.
      where: which activations.
      compute: how the model computes.
      grad_accum: of the last layer only, what the adapter's gradient is added to (see
        `Transformer`).

    Returns:
      float32 [B, D], or [L + 1, B, D] where all layers are captured.
    """
    if not where.norm:
        model = jax.tree.map(lambda leaf: leaf, model)  # a copy
        model.norm = _Identity()
    inputs = tokens, segments, positions, adapter, None, compute
    tap = functools.partial(pool, segments=segments, pooling=where.pooling)
    if where.layer in (-1, model.config.layers):
        return tap(model(*inputs, grad_accum=grad_accum))
    last, earlier = model(*inputs, tap)
    if where.layer is not None:
        return earlier[where.layer]
    return jnp.concatenate([earlier, tap(last)[None]])


def bucket_length(length: int) -> int:
    """The length rounded up to a multiple of 32 tokens.

    Example:
      >>> bucket_length(33)
      64
    """
    return -(-length // _BUCKET) * _BUCKET


def batch_size(
    number: int, length: int, tokens: int, compute: transformer.ComputeConfig
) -> int:
    """Rows that run at a time.

    Args:
      number: rows in all, the most that run at a time.
      length: tokens of a row.
      tokens: tokens that run at a time on each part of the mesh's batch axis.
      compute: holds the mesh.

    Returns:
      A multiple of the size of the batch axis.
    """
    axis_size = axes.axis_size(compute.mesh, "batch")
    return min(-(-number // axis_size), max(1, tokens // length)) * axis_size


def right_pad(
    examples: list[list[int]], length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right-padded token ids.

    Args:
      examples: B lists of token ids.
      length: T, the length to pad to.

    Returns:
      int32 [B, T] each: tokens, segments (1 for a token, 0 for padding), positions.

    Example:
      >>> tokens, segments, positions = right_pad([[7, 8], [9]], 3)
      >>> tokens.tolist(), segments.tolist()
      ([[7, 8, 0], [9, 0, 0]], [[1, 1, 0], [1, 0, 0]])
    """
    tokens, segments = np.zeros((2, len(examples), length), np.int32)
    for index, ids in enumerate(examples):
        tokens[index, : len(ids)] = ids
        segments[index, : len(ids)] = 1
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape)
    return tokens, segments, positions


@functools.partial(jax.jit, static_argnames=("where", "compute"))
def jit_activations(
    model, tokens, segments, positions, adapter, where: CaptureConfig, compute
) -> jax.Array:
    """`activations`, jitted; its result is the same on every device of a mesh."""
    return axes.constrain(
        activations(model, tokens, segments, positions, adapter, where, compute),
        compute.mesh,
    )


def check_lengths(examples: list[list[int]], context: int) -> None:
    """Raises ValueError for the first text that is empty or longer than the context."""
    for number, ids in enumerate(examples):
        if not 0 < len(ids) <= context:
            raise ValueError(
                f"probe {number} has {len(ids)} tokens: expected 1 to the model's "
                f"context {context}"
            )


def capture(
    model: transformer.Transformer,
    examples: list[list[int]],
    adapter: lora.Adapter | None = None,
    where: CaptureConfig = CaptureConfig(),
    compute: transformer.ComputeConfig = transformer.ComputeConfig(),
    batch_tokens: int | None = None,
) -> np.ndarray:
    """Activations of texts; rows of similar length run together.

    Args:
      model: the model.
      examples: token ids of P texts.
      adapter: the adapter, or None.
      where: which activations.
      compute: how the model computes.
      batch_tokens: tokens that run at a time on each part that rows are split into, by
        default 8192, on a CPU 2048.

    Returns:
      float32 [P, D] in the texts' order, or [L + 1, P, D] where all layers are
      captured.

    Raises:
      ValueError: for an empty text or one longer than the model's context.
    """
    check_lengths(examples, model.config.context)
    batch_tokens = batch_tokens or transformer.default_pass_tokens()
    layers = () if where.layer is not None else (model.config.layers + 1,)
    captured = np.zeros((*layers, len(examples), model.config.embed), np.float32)
    buckets: dict[int, list[int]] = {}
    for index, ids in enumerate(examples):
        buckets.setdefault(bucket_length(len(ids)), []).append(index)
    for length, members in sorted(buckets.items()):
        size = batch_size(len(members), length, batch_tokens, compute)
        for begin in range(0, len(members), size):
            batch = members[begin : begin + size]
            filling = [[0]] * (size - len(batch))
            rows = right_pad([examples[i] for i in batch] + filling, length)
            on_devices = (
                axes.device_put_logical(array, compute.mesh, "batch", None)
                for array in rows
            )
            pooled = jit_activations(model, *on_devices, adapter, where, compute)
            captured[..., batch, :] = np.asarray(pooled)[..., : len(batch), :]
    return captured
