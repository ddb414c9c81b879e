"""Pure functions of arrays: what a decoder layer is made of."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora, nf4
from jaxent.model import config as configs

_DROPOUT_STEPS = 1 << 16
_FEW = (
    32  # rows of x up to which a CPU's products are faster turned round: 1.4 times at 8
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TransposedWeight:
    """A dense weight kept as rows [N, K]: XLA's CPU products of few rows read it up to twice as fast as [K, N]."""

    rows: jax.Array


def dense_weight(weight, dtype) -> jax.Array:
    """A weight as a dense [K, N] array of dtype. The only place that looks inside an NF4 weight."""
    return (
        nf4.decode(weight, dtype)
        if isinstance(weight, nf4.NF4)
        else weight.astype(dtype)
    )


def weight_matmul(x, weight) -> jax.Array:
    """x [..., K] times a weight of any form: [..., N] in x's dtype."""
    if not isinstance(weight, TransposedWeight):
        return matmul(x, dense_weight(weight, x.dtype))
    return transposed_matmul(
        weight.rows.astype(x.dtype), x.reshape(-1, x.shape[-1])
    ).reshape(*x.shape[:-1], -1)


def transposed_matmul(rows, x) -> jax.Array:
    """x [B, K] times the transpose of rows [N, K]: [B, N].

    For few rows of x as the transpose of rows times x', and a barrier keeps XLA from turning that round again: its CPU products
    copy their second factor, and read the first where it lies.
    """
    if len(x) > _FEW:
        return matmul(x, rows.T)
    return jax.lax.optimization_barrier(matmul(rows, x.T)).T


def matmul(x, weight) -> jax.Array:
    """x [..., K] times weight [K, N], full float32 precision when x is float32 (no TF32)."""
    return jnp.matmul(
        x, weight, precision="highest" if x.dtype == jnp.float32 else None
    )


def linear(
    x,
    weight,
    bias,
    factors: lora.LoraParams | None,
    config: lora.LoraConfig | None,
    keys,
) -> jax.Array:
    """x W + bias + (alpha / rank) dropout(x) A' B: [B,T,K] -> [B,T,N] in x's dtype.

    weight is dense [K, N], `OutputsFirst` or NF4; factors hold one layer's A [R, K] and B [R, N], or None;
    keys [B]: each row's dropout key, None for evaluation. Semantics of PEFT's lora.Linear.
    """
    y = weight_matmul(x, weight)
    if bias is not None:
        y = y + bias.astype(x.dtype)
    if factors is not None:
        h = x if keys is None else dropout(x, config.dropout, keys)
        y = (
            y
            + matmul(matmul(h, factors.a.astype(x.dtype).T), factors.b.astype(x.dtype))
            * config.scaling
        )
    return y


def fold_in_rows(keys, data) -> jax.Array:
    """`jax.random.fold_in` of the same number into every row's key: [B] -> [B]."""
    return jax.vmap(jax.random.fold_in, (0, None))(keys, data)


def dropout(x, rate: float, keys) -> jax.Array:
    """Zeroes elements of x [B, ...] with probability rate and scales the rest to keep the mean.

    keys [B]: a row's mask depends on its own key alone, not on the rows beside it nor on how they are split over devices.
    The rate is rounded to 1/65536 (16 random bits an element), and the scale uses the rounded rate.
    """
    threshold = round(rate * _DROPOUT_STEPS)
    if threshold == 0:
        return x
    keep = (
        jax.vmap(lambda key: jax.random.bits(key, x.shape[1:], jnp.uint16))(keys)
        >= threshold
    )
    return x * (keep.astype(x.dtype) * (_DROPOUT_STEPS / (_DROPOUT_STEPS - threshold)))


def rms_norm(x, weight, eps: float) -> jax.Array:
    """weight * x / sqrt(mean(x^2) + eps), statistics in float32, as Hugging Face's RMSNorm. [..., D]."""
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + eps)
    return weight.astype(x.dtype) * wide.astype(x.dtype)


def rotary_frequencies(rope: configs.Rope, head_dim: int) -> np.ndarray:
    """Radians a token of each pair of a head, float32 [H/2]; transformers' ROPE_INIT_FUNCTIONS.

    theta^(-2i / H) / factor; with bands, blend * theta^(-2i / H) + (1 - blend) * theta^(-2i / H) / factor,
    blend = (turns in bands.context tokens - low) / (high - low) clipped to [0, 1]. Computed on the host and
    rounded as transformers does: angles a hundred thousand tokens away show the last bit.
    """
    exponent = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    plain = np.float32(1) / (rope.theta ** exponent.astype(np.float64)).astype(
        np.float32
    )
    slowed = plain / np.float32(rope.factor)
    if rope.bands is None:
        return slowed
    turns = rope.bands.context / (2 * math.pi / plain)
    blend = np.clip((turns - rope.bands.low) / (rope.bands.high - rope.bands.low), 0, 1)
    return (1 - blend) * slowed + blend * plain


def apply_rotary(x, positions, inverse) -> jax.Array:
    """Rotary embedding, halves convention (Hugging Face's rotate_half): x [B,T,N,H], positions [B,T].

    Angle of pair i: position * inverse[i], inverse [H/2] from `frequencies`.
    """
    angle = positions[:, :, None, None].astype(jnp.float32) * inverse
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate(
        [first * cos - second * sin, second * cos + first * sin], axis=-1
    ).astype(x.dtype)
