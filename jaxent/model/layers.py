"""Pure functions of arrays: what a decoder layer is made of."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import ad_checkpoint

from jaxent.arrays import dora, lora, nf4
from jaxent.model import config as configs
from jaxent.model import dropout

KEPT = "kept"
"""Name of the activations that a step without recomputation keeps."""

# Rows of x up to which a CPU's matmul is faster transposed: 1.4 times at 8 rows.
_FEW_ROWS = 32


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TransposedWeight:
    """A dense weight kept as rows [N, K].

    XLA's CPU matmuls of few rows read it up to twice as fast as [K, N].
    """

    rows: Any


def dense_weight(weight, dtype) -> jax.Array:
    """A weight of any form as a dense [K, N] array of dtype.

    No other function looks inside an NF4 weight.
    """
    if isinstance(weight, nf4.NF4):
        return nf4.decode(weight, dtype)
    if isinstance(weight, TransposedWeight):
        return weight.rows.T.astype(dtype)
    return weight.astype(dtype)


def weight_matmul(x, weight) -> jax.Array:
    """x [..., K] times a weight of any form: [..., N] in x's dtype."""
    if not isinstance(weight, TransposedWeight):
        return matmul(x, dense_weight(weight, x.dtype))
    flat = x.reshape(-1, x.shape[-1])
    out = transposed_matmul(weight.rows.astype(x.dtype), flat)
    return out.reshape(*x.shape[:-1], -1)


def transposed_matmul(rows, x) -> jax.Array:
    """x times the transpose of rows.

    For few rows of x it is the transpose of rows times x'. XLA's CPU matmuls copy their
    second operand and read the first without a copy; a barrier keeps XLA from swapping
    them back.

    Args:
        rows: [N, K].
        x: [B, K].

    Returns:
        [B, N].

    Example:
        >>> rows = jnp.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> transposed_matmul(rows, jnp.array([[3.0, 4.0]])).tolist()
        [[3.0, 8.0, 7.0]]
    """
    if len(x) > _FEW_ROWS:
        return matmul(x, rows.T)
    return jax.lax.optimization_barrier(matmul(rows, x.T)).T


def matmul(x, weight) -> jax.Array:
    """x [..., K] times weight [K, N].

    Full float32 precision when x is float32, that is, no TF32.
    """
    precision = "highest" if x.dtype == jnp.float32 else None
    return jnp.matmul(x, weight, precision=precision)


def linear(
    x,
    weight,
    bias,
    factors: lora.LoraParams | None,
    config: lora.LoraConfig | None,
    keys,
) -> jax.Array:
    """x W + bias + scaling dropout(x) A' B, as PEFT's lora.Linear.

    With DoRA's magnitudes it is gain * dropout(x) (W + scaling A' B) instead of the
    same without gain; see `dora.gain`.

    Args:
        x: [B, T, K].
        weight: dense [K, N], `TransposedWeight` or NF4.
        bias: [N] or None.
        factors: one layer's A [R, K] and B [R, N], or None for the bare layer.
        config: scaling and dropout of the factors.
        keys: uint32 [B, T], each token's dropout key; None for evaluation.

    Returns:
        [B, T, N] in x's dtype.
    """
    base = weight_matmul(x, weight)
    y = base if bias is None else base + align_last(bias.astype(x.dtype), base)
    if factors is None or config is None:
        return y
    rate = 0.0 if keys is None else config.dropout
    change = low_rank(rate, config.scaling, x, factors.a, factors.b, keys)
    if factors.bias is not None:
        bias_change = factors.bias.astype(x.dtype) * config.scaling
        change = change + align_last(bias_change, change)
    if factors.magnitude is None:
        return y + change
    gain = factors.gain
    if gain is None:
        gain = dora.gain(dense_weight(weight, jnp.float32), factors, config)
    gain = align_last(gain, base)
    # As in PEFT dropout acts on what the gain adds of the base, not on the base.
    if rate:
        base = weight_matmul(dropout.dropout(x, rate, keys), weight)
    return y + (gain - 1).astype(x.dtype) * base + gain.astype(x.dtype) * change


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def low_rank(rate: float, scaling: float, x, a, b, keys) -> jax.Array:
    """scaling dropout(x) A' B, with a gradient that moves only thin arrays.

    Autodiff would form the gradients of A and B transposed, with a transposed copy of
    the layer's widest activations for each, which is 17% of a small model's step on a
    CPU. Here the thin operand is the one that is transposed.

    Args:
        rate: dropout's probability; 0 for none.
        scaling: a constant.
        x: [B, T, K].
        a: float32 [R, K].
        b: float32 [R, N].
        keys: uint32 [B, T], each token's dropout key; None with rate 0.

    Returns:
        [B, T, N] in x's dtype.

    Example:
        >>> x = jnp.array([[[1.0, 2.0]]])
        >>> a, b = jnp.array([[1.0, 1.0]]), jnp.array([[1.0, 0.0, 2.0]])
        >>> low_rank(0.0, 2.0, x, a, b, None).tolist()
        [[[6.0, 0.0, 12.0]]]
    """
    return _low_rank_forward(rate, scaling, x, a, b, keys)[0]


def _low_rank_forward(rate, scaling, x, a, b, keys):
    thin = matmul(_dropped(rate, x, keys), a.astype(x.dtype).T)
    thin = ad_checkpoint.checkpoint_name(thin, KEPT)
    return matmul(thin, b.astype(x.dtype)) * scaling, (x, thin, a, b, keys)


def _low_rank_backward(rate, scaling, saved, cotangent):
    x, thin, a, b, keys = saved
    scaled = cotangent * scaling
    d_thin = matmul(scaled, b.astype(x.dtype).T)
    d_b = _sum_over_tokens(thin, scaled)
    d_a = _sum_over_tokens(d_thin, _dropped(rate, x, keys))
    d_x = _dropped(rate, matmul(d_thin, a.astype(x.dtype)), keys)
    return d_x, d_a, d_b, None


low_rank.defvjp(_low_rank_forward, _low_rank_backward)


def _dropped(rate: float, x, keys):
    return dropout.dropout(x, rate, keys) if rate else x


def _sum_over_tokens(thin, wide) -> jax.Array:
    """The sum over tokens of thin [B, T, R] times wide [B, T, N]: float32 [R, N]."""
    return jnp.einsum(
        "btr,btn->rn",
        thin,
        wide,
        precision="highest" if wide.dtype == jnp.float32 else None,
        preferred_element_type=jnp.float32,
    )


def rms_norm(x, weight, eps: float) -> jax.Array:
    """weight * x / sqrt(mean(x^2) + eps), as Hugging Face's RMSNorm.

    Args:
        x: [..., D].
        weight: [D].
        eps: added to the mean square.

    Returns:
        [..., D] in x's dtype; statistics are in float32.

    Example:
        >>> rms_norm(jnp.array([2.0, 2.0]), jnp.array([1.0, 3.0]), 0.0).tolist()
        [1.0, 3.0]
    """
    wide = x.astype(jnp.float32)
    wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + eps)
    return align_last(weight.astype(x.dtype), x) * wide.astype(x.dtype)


def rotary_frequencies(rope: configs.Rope, head_dim: int) -> np.ndarray:
    """Radians per token of each pair of a head, as transformers' ROPE_INIT_FUNCTIONS.

    theta^(-2i / H) / factor for pair i. With bands,

        blend * theta^(-2i / H) + (1 - blend) * theta^(-2i / H) / factor,
        blend = (turns in bands.context tokens - low) / (high - low) clipped to [0, 1].

    It is computed on the host and rounded as transformers rounds it: angles a hundred
    thousand tokens away show the last bit.

    Args:
        rope: base and scaling.
        head_dim: H.

    Returns:
        float32 [H/2].

    Example:
        >>> rotary_frequencies(configs.Rope(theta=100.0), 4).round(4).tolist()
        [1.0, 0.10000000149011612]
    """
    exponent = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    power = (rope.theta ** exponent.astype(np.float64)).astype(np.float32)
    plain = np.float32(1) / power
    slowed = plain / np.float32(rope.factor)
    if rope.bands is None:
        return slowed
    turns = rope.bands.context / (2 * math.pi / plain)
    blend = np.clip((turns - rope.bands.low) / (rope.bands.high - rope.bands.low), 0, 1)
    return (1 - blend) * slowed + blend * plain


def apply_rotary(x, positions, frequencies) -> jax.Array:
    """Rotary embedding, halves convention (Hugging Face's rotate_half).

    The angle of pair i is position * frequencies[i].

    Args:
        x: [B, T, N, H].
        positions: int [B, T].
        frequencies: [H/2] from `rotary_frequencies`.

    Returns:
        [B, T, N, H] in x's dtype.
    """
    angle = positions[:, :, None, None].astype(jnp.float32) * align_last(frequencies, x)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    rotated = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(rotated, axis=-1).astype(x.dtype)


def align_last(vector, x):
    """A vector [N] with leading axes of length 1, as many as x [..., N] has.

    Example:
        >>> align_last(jnp.ones(3), jnp.ones((2, 5, 3))).shape
        (1, 1, 3)
    """
    return vector.reshape((1,) * (x.ndim - 1) + vector.shape)
