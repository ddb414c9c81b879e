"""Causal attention over packed rows, one function for every kernel."""

import functools
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxent.distributed import axes

KERNELS = ("xla", "cudnn", "splash")


def default_kernel(dtype) -> str:
    """The fastest kernel of the default backend that accepts dtype."""
    backend = jax.default_backend()
    if backend == "tpu":
        return "splash"
    return (
        "cudnn" if backend == "gpu" and dtype in (jnp.bfloat16, jnp.float16) else "xla"
    )


def attention_mask(
    q_segments, kv_segments, q_index, kv_index, window: int | None
) -> jax.Array:
    """Which keys a query sees: same segment, not later, within the window. [B,T],[B,S] -> bool [B,1,T,S].

    Segment 0 is padding: it sees only itself, so that its softmax stays finite.
    """
    distance = q_index[:, :, None] - kv_index[:, None, :]
    mask = (q_segments[:, :, None] == kv_segments[:, None, :]) & (distance >= 0)
    if window is not None:
        mask &= distance < window
    return mask[:, None]


def attend(
    q, k, v, segments, window: int | None, kernel: str, mesh: Mesh | None = None
) -> jax.Array:
    """Softmax(q k' / sqrt(H)) v within each segment of a row.

    q [B,T,N,H], k and v [B,T,K,H], segments int [B,T] -> [B,T,N,H]. Softmax in float32. On a mesh rows and heads are split.
    """
    if kernel == "splash":
        return _splash_on(q, k, v, segments, window, mesh)
    index = jnp.broadcast_to(jnp.arange(q.shape[1]), segments.shape)
    bias = _bias(attention_mask(segments, segments, index, index, window), q.dtype)
    with jax.default_matmul_precision("highest" if q.dtype == jnp.float32 else None):
        return jax.nn.dot_product_attention(q, k, v, bias, implementation=kernel)


def _bias(mask, dtype):
    """A mask as what is added to the scores: given as a mask, its broadcast to [B,N,T,S] would be kept for the gradient."""
    return (mask.astype(dtype) - 1) * jnp.finfo(dtype).max.astype(dtype) / 2


def decode_attention(q, k, v, seen) -> jax.Array:
    """Attention of one new query a row on a cache: q [B,1,N,H], k and v [B,K,S,H], seen bool [B,S] -> [B,1,N,H].

    Keys and values are read once for all heads of a group, in the layout the cache has, and stand first in both products:
    the other way round XLA's CPU products of many rows take three times as long. Softmax in float32.
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
    scores = jnp.where(
        seen[:, None, :, None], scores / math.sqrt(dim), jnp.finfo(jnp.float32).min
    )
    weights = jax.nn.softmax(scores, axis=2).astype(q.dtype)
    out = jnp.einsum("bksh,bksg->bkhg", v, weights, precision=precision)
    return out.swapaxes(2, 3).reshape(b, 1, heads, dim)


def _splash_on(
    q, k, v, segments, window, mesh: Mesh | None = None, interpret: bool = False
):
    """`_splash` on each device's rows and heads: a kernel is not split by itself."""
    run = functools.partial(_splash, window=window, interpret=interpret)
    if mesh is None:
        return run(q, k, v, segments)
    queries, keys, rows = (
        axes.partition_spec("batch", None, "heads", None),
        axes.partition_spec("batch", None, "kv_heads", None),
        axes.partition_spec("batch", None),
    )
    split = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(queries, keys, keys, rows),
        out_specs=queries,
        check_vma=False,
    )
    return split(q, k, v, segments)


def _splash(q, k, v, segments, window, interpret: bool = False):
    """TPU flash attention; rows whose length is no multiple of 128 are padded to one."""
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel as kernels,
    )
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_mask as masks,
    )

    batch, length, heads, dim = q.shape
    pad = -length % 128
    q, k, v = (
        jnp.pad(x, ((0, 0), (0, pad), (0, 0), (0, 0))).swapaxes(1, 2)
        for x in (q / math.sqrt(dim), k, v)
    )
    ids = jnp.pad(segments, ((0, 0), (0, pad)))
    shape = (length + pad, length + pad)
    mask = (
        masks.CausalMask(shape)
        if window is None
        else masks.LocalMask(shape, (window - 1, 0), 0)
    )
    group = heads // k.shape[1]
    run = kernels.make_splash_mqa_single_device(
        masks.MultiHeadMask([mask] * group), interpret=interpret
    )
    q = q.reshape(batch, k.shape[1], group, length + pad, dim)
    one_row = jax.vmap(run, in_axes=(0, 0, 0, None))  # over kv heads
    out = jax.vmap(lambda q, k, v, s: one_row(q, k, v, kernels.SegmentIds(s, s)))(
        q, k, v, ids
    )
    return (
        out.reshape(batch, heads, length + pad, dim)
        .swapaxes(1, 2)[:, :length]
        .astype(q.dtype)
    )


interpreted_splash = functools.partial(_splash_on, interpret=True)
