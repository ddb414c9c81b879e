"""Causal attention over packed rows, one function for every kernel."""

import functools
import math
import typing

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxent.distributed import axes
from jaxent.model import block_attention

KERNELS = ("blocks", "xla", "cudnn", "splash")
_SPLASH_BLOCK = 128  # rows are padded to a multiple of it


def default_kernel(dtype) -> str:
    """The fastest kernel of the default backend that accepts dtype."""
    backend = jax.default_backend()
    if backend == "tpu":
        return "splash"
    if backend == "gpu" and dtype in (jnp.bfloat16, jnp.float16):
        return "cudnn"
    return "blocks" if backend == "cpu" else "xla"


def attention_mask(
    q_segments, kv_segments, q_index, kv_index, window: int | None
) -> jax.Array:
    """Which keys a query sees: same segment, not later, within the window.

    Segment 0 is padding: it sees only itself, so that its softmax stays finite.

    Args:
        q_segments: int [B, T], segment of each query.
        kv_segments: int [B, S], segment of each key.
        q_index: int [B, T], column of each query in its row.
        kv_index: int [B, S], column of each key in its row.
        window: tokens that a query sees, itself included; None for all.

    Returns:
        bool [B, 1, T, S].

    Example:
        >>> segments, index = jnp.array([[1, 1, 2]]), jnp.array([[0, 1, 2]])
        >>> attention_mask(segments, segments, index, index, None)[0, 0].astype(int)
        Array([[1, 0, 0],
               [1, 1, 0],
               [0, 0, 1]], dtype=int32)
    """
    distance = q_index[:, :, None] - kv_index[:, None, :]
    mask = (q_segments[:, :, None] == kv_segments[:, None, :]) & (distance >= 0)
    if window is not None:
        mask &= distance < window
    return mask[:, None]


def attend(
    q, k, v, segments, window: int | None, kernel: str, mesh: Mesh | None = None
) -> jax.Array:
    """Softmax(q k' / sqrt(H)) v within each segment of a row, softmax in float32.

    Args:
        q: [B, T, N, H].
        k: [B, T, K, H].
        v: [B, T, K, H].
        segments: int [B, T]; 0 is padding.
        window: tokens that a query sees, itself included; None for all.
        kernel: one of `KERNELS`.
        mesh: mesh over which rows and heads are split, or None.

    Returns:
        [B, T, N, H] in q's dtype.

    Example:
        >>> q = k = v = jnp.ones((1, 3, 2, 4))
        >>> segments = jnp.array([[1, 1, 2]])
        >>> attend(q, k, v, segments, None, "xla").shape
        (1, 3, 2, 4)
    """
    if kernel == "splash":
        return _sharded_splash(q, k, v, segments, window, mesh)
    if kernel == "blocks":
        run = functools.partial(block_attention.attend, window=window)
        return _on_each_device(run, q, k, v, segments, mesh)
    index = jnp.broadcast_to(jnp.arange(q.shape[1]), segments.shape)
    mask = attention_mask(segments, segments, index, index, window)
    bias = _additive_bias(mask, q.dtype)
    implementation = typing.cast(typing.Literal["xla", "cudnn"], kernel)
    with jax.default_matmul_precision("highest" if q.dtype == jnp.float32 else None):
        return jax.nn.dot_product_attention(
            q, k, v, bias, implementation=implementation
        )


def _additive_bias(mask, dtype):
    """A mask as a bias that is added to the scores.

    JAX would broadcast a mask to [B, N, T, S] and keep that for the gradient.
    """
    return (mask.astype(dtype) - 1) * jnp.finfo(dtype).max.astype(dtype) / 2


def decode_attention(q, k, v, seen) -> jax.Array:
    """Attention of one new query for each row on a cache, softmax in float32.

    Keys and values are read once for all heads of a group, in the layout of the cache.
    They are the first operand of both matmuls: as the second operand they make XLA's
    CPU matmuls of many rows take three times as long.

    Args:
        q: [B, 1, N, H].
        k: [B, K, S, H].
        v: [B, K, S, H].
        seen: bool [B, S], columns that a row's query sees.

    Returns:
        [B, 1, N, H] in q's dtype.
    """
    b, _, heads, dim = q.shape
    precision = "highest" if q.dtype == jnp.float32 else None
    grouped = q.reshape(b, k.shape[1], heads // k.shape[1], dim)
    scores = jnp.einsum(
        "bksh,bkgh->bksg",
        k,
        grouped,
        precision=precision,
        preferred_element_type=jnp.float32,
    )
    lowest = jnp.finfo(jnp.float32).min
    scores = jnp.where(seen[:, None, :, None], scores / math.sqrt(dim), lowest)
    weights = jax.nn.softmax(scores, axis=2).astype(q.dtype)
    out = jnp.einsum("bksh,bksg->bkhg", v, weights, precision=precision)
    return out.swapaxes(2, 3).reshape(b, 1, heads, dim)


def _sharded_splash(
    q, k, v, segments, window, mesh: Mesh | None = None, interpret: bool = False
):
    """`_splash` on each device's rows and heads, as XLA does not split a kernel."""
    run = functools.partial(_splash, window=window, interpret=interpret)
    return _on_each_device(run, q, k, v, segments, mesh)


def _on_each_device(run, q, k, v, segments, mesh: Mesh | None):
    """run(q, k, v, segments) on each device's rows and heads."""
    if mesh is None:
        return run(q, k, v, segments)
    queries = axes.partition_spec("batch", None, "heads", None)
    keys = axes.partition_spec("batch", None, "kv_heads", None)
    rows = axes.partition_spec("batch", None)
    sharded = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(queries, keys, keys, rows),
        out_specs=queries,
        check_vma=False,
    )
    return sharded(q, k, v, segments)


def _splash(q, k, v, segments, window, interpret: bool = False):
    """TPU flash attention; rows are padded to a multiple of 128."""
    from jax.experimental.pallas.ops.tpu import splash_attention as splash

    batch, length, heads, dim = q.shape
    kv_heads = k.shape[2]
    group = heads // kv_heads
    pad = -length % _SPLASH_BLOCK
    padded = length + pad

    def heads_first(x):
        return jnp.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0))).swapaxes(1, 2)

    q = heads_first(q / math.sqrt(dim))
    k = heads_first(k)
    v = heads_first(v)
    ids = jnp.pad(segments, ((0, 0), (0, pad)))
    mask: splash.CausalMask | splash.LocalMask
    if window is None:
        mask = splash.CausalMask((padded, padded))
    else:
        mask = splash.LocalMask((padded, padded), (window - 1, 0), 0)
    kernel = splash.make_splash_mqa_single_device(
        splash.MultiHeadMask([mask] * group), interpret=interpret
    )
    over_kv_heads = jax.vmap(kernel, in_axes=(0, 0, 0, None))

    def attend_row(q, k, v, row_ids):
        return over_kv_heads(q, k, v, splash.SegmentIds(row_ids, row_ids))

    grouped = q.reshape(batch, kv_heads, group, padded, dim)
    out = jax.vmap(attend_row)(grouped, k, v, ids)
    out = out.reshape(batch, heads, padded, dim).swapaxes(1, 2)
    return out[:, :length].astype(q.dtype)


interpreted_splash = functools.partial(_sharded_splash, interpret=True)
