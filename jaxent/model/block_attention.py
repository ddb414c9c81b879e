"""Causal attention in blocks, each visiting only blocks of its own examples.

Softmax is accumulated over blocks of keys (Milakov and Gimelshein 2018; Dao et al.
2022), so memory is linear in the row's length, and a packed row costs the sum of its
examples' squares, not its own square. Everything is plain JAX: loops with bounds that
depend on the data.

Axes here: I query block, J key block, Q positions of a block, K kv heads, G query heads
of a kv head times Q.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import ad_checkpoint

from jaxent.model import layers

_BLOCK = 128  # positions; of 64, 128 and 256 never far from the fastest
_HIDDEN = -1e30  # a score that softmax turns into 0


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Schedule:
    """Which keys each query sees.

    Attributes:
        first_key: int [I, B, Q], the first column that each query sees.
        first_block: int [I], the first block with such a column.
    """

    first_key: Any
    first_block: Any


def attend(q, k, v, segments, window: int | None = None) -> jax.Array:
    """Softmax(q k' / sqrt(H)) v within each segment of a row, softmax in float32.

    Args:
        q: [B, T, N, H].
        k: [B, T, K, H].
        v: [B, T, K, H].
        segments: int [B, T], equal numbers side by side.
        window: tokens that a query sees, itself included; None for all.

    Returns:
        [B, T, N, H] in q's dtype.

    Example:
        >>> q = k = jnp.ones((1, 3, 2, 4))
        >>> v = jnp.broadcast_to(jnp.arange(3.0)[None, :, None, None], k.shape)
        >>> attend(q, k, v, jnp.array([[1, 1, 2]]))[0, :, 0, 0].tolist()
        [0.0, 0.5, 2.0]
    """
    length = q.shape[1]
    padding = -length % min(_BLOCK, length)
    if padding:
        last = ((0, 0), (0, padding), (0, 0), (0, 0))
        q, k, v = (jnp.pad(x, last) for x in (q, k, v))
        segments = jnp.pad(segments, ((0, 0), (0, padding)), constant_values=-1)
    schedule = _schedule(segments, window, min(_BLOCK, length))
    return _attend(q, k, v, schedule)[:, :length]


def _schedule(segments, window: int | None, size: int) -> _Schedule:
    batch, length = segments.shape
    columns = jnp.broadcast_to(jnp.arange(length)[None], segments.shape)
    is_first = segments != jnp.roll(segments, 1, axis=1)
    first = jax.lax.cummax(jnp.where(is_first, columns, 0), axis=1)
    if window is not None:
        first = jnp.maximum(first, columns - (window - 1))
    first_key = first.reshape(batch, -1, size).swapaxes(0, 1)
    return _Schedule(first_key, jnp.min(first_key[:, :, 0], axis=1) // size)


def _to_blocks(x, kv_heads: int, size: int):
    """[B, T, N, H] -> [I, B, K, G, H]."""
    batch, length, heads, dim = x.shape
    group = heads // kv_heads
    x = x.reshape(batch, length // size, size, kv_heads, group, dim)
    x = x.transpose(1, 0, 3, 4, 2, 5)
    return x.reshape(length // size, batch, kv_heads, group * size, dim)


def _from_blocks(x, size: int):
    """[I, B, K, G, H] -> [B, T, N, H]."""
    blocks, batch, kv_heads, rows, dim = x.shape
    x = x.reshape(blocks, batch, kv_heads, rows // size, size, dim)
    x = x.transpose(1, 0, 4, 2, 3, 5)
    return x.reshape(batch, blocks * size, -1, dim)


def _seen(schedule: _Schedule, i, j, group: int):
    """Which keys of block j the queries of block i see: bool [B, 1, G, Q]."""
    first = schedule.first_key[i][:, :, None]
    columns = jnp.arange(first.shape[1])
    query = (i * len(columns) + columns)[None, :, None]
    key = (j * len(columns) + columns)[None, None, :]
    seen = (key <= query) & (key >= first)
    return jnp.tile(seen, (1, group, 1))[:, None]


def _einsum(spec: str, x, y):
    return jnp.einsum(
        spec,
        x,
        y,
        precision="highest" if x.dtype == jnp.float32 else None,
        preferred_element_type=jnp.float32,
    )


def _scores(schedule, q, k, i, j):
    """Scores [B, K, G, Q] of a block's scaled queries, hidden keys included."""
    scores = _einsum("bkgh,bkqh->bkgq", q, k)
    seen = _seen(schedule, i, j, q.shape[2] // k.shape[2])
    return jnp.where(seen, scores, _HIDDEN)


@jax.custom_vjp
def _attend(q, k, v, schedule: _Schedule):
    return _forward(q, k, v, schedule)[0]


def _blocked(q, k, v, schedule: _Schedule):
    """Scaled queries, keys and values by block."""
    size, kv_heads = schedule.first_key.shape[2], k.shape[2]
    scale = 1 / math.sqrt(q.shape[-1])
    return tuple(_to_blocks(x, kv_heads, size) for x in (q * scale, k, v))


def _forward(q, k, v, schedule: _Schedule):
    queries, keys, values = _blocked(q, k, v, schedule)

    def block(i):
        def visit(j, carry):
            highest, total, out = carry
            scores = _scores(schedule, queries[i], keys[j], i, j)
            new_highest = jnp.maximum(highest, scores.max(-1))
            weights = jnp.exp(scores - new_highest[..., None])
            shrink = jnp.exp(highest - new_highest)
            total = total * shrink + weights.sum(-1)
            add = _einsum("bkgq,bkqh->bkgh", weights.astype(v.dtype), values[j])
            return new_highest, total, out * shrink[..., None] + add

        zeros = jnp.zeros(queries.shape[1:], jnp.float32)
        start = (zeros[..., 0] + _HIDDEN, zeros[..., 0], zeros)
        first = schedule.first_block[i]
        highest, total, out = jax.lax.fori_loop(first, i + 1, visit, start)
        return (out / total[..., None]).astype(q.dtype), highest + jnp.log(total)

    out, log_norm = jax.lax.map(block, jnp.arange(len(queries)))
    out = _from_blocks(out, schedule.first_key.shape[2])
    out = ad_checkpoint.checkpoint_name(out, layers.KEPT)
    log_norm = ad_checkpoint.checkpoint_name(log_norm, layers.KEPT)
    return out, (q, k, v, schedule, out, log_norm)


def _backward(saved, cotangent):
    q, k, v, schedule, out, log_norm = saved
    size, kv_heads = schedule.first_key.shape[2], k.shape[2]
    queries, keys, values = _blocked(q, k, v, schedule)
    d_outs = _to_blocks(cotangent, kv_heads, size)
    # The softmax's share of each query, sum of weights times their gradients.
    shares = jnp.sum(
        d_outs.astype(jnp.float32) * _to_blocks(out, kv_heads, size), axis=-1
    )

    def block(carry, i):
        def visit(j, carry):
            d_query, d_keys, d_values = carry
            scores = _scores(schedule, queries[i], keys[j], i, j)
            weights = jnp.exp(scores - log_norm[i][..., None])
            d_weights = _einsum("bkgh,bkqh->bkgq", d_outs[i], values[j])
            d_scores = (weights * (d_weights - shares[i][..., None])).astype(q.dtype)
            d_value = _einsum("bkgq,bkgh->bkqh", weights.astype(q.dtype), d_outs[i])
            d_key = _einsum("bkgq,bkgh->bkqh", d_scores, queries[i])
            d_query = d_query + _einsum("bkgq,bkqh->bkgh", d_scores, keys[j])
            return d_query, d_keys.at[j].add(d_key), d_values.at[j].add(d_value)

        start = (jnp.zeros(queries.shape[1:], jnp.float32), *carry)
        first = schedule.first_block[i]
        d_query, *carry = jax.lax.fori_loop(first, i + 1, visit, start)
        return tuple(carry), d_query

    zeros = jnp.zeros(keys.shape, jnp.float32)
    indices = jnp.arange(len(queries))
    (d_keys, d_values), d_queries = jax.lax.scan(block, (zeros, zeros), indices)
    d_q = _from_blocks(d_queries, size) / math.sqrt(q.shape[-1])
    d_k, d_v = (_from_blocks(x, size) for x in (d_keys, d_values))
    return d_q.astype(q.dtype), d_k.astype(k.dtype), d_v.astype(v.dtype), None


_attend.defvjp(_forward, _backward)
