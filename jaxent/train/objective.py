"""The language-model loss over a frozen head, never materialising [tokens, V] logits."""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxent.distributed import axes

_LOGITS_BYTES = 1 << 28  # float32 logits alive at once: 256 MiB


def chunk_size(columns: int, width: int) -> int:
    """Columns of `width` float32 logits each that fit the budget: a power of two, at most all of them rounded up."""
    size = 1
    while size < columns and size * 2 * width * 4 <= _LOGITS_BYTES:
        size *= 2
    return size


def nll_sum(hidden, head, targets, weights, mesh: Mesh | None = None) -> jax.Array:
    """sum_t weights_t * (logsumexp_v(h_t . w_v) - h_t . w_target), float32 scalar.

    hidden [B,T,D] after the final norm, head [V,D] (frozen: its gradient is zero), targets int
    [B,T], weights float32 [B,T]. Logits exist for a chunk of columns at a time; the gradient with
    respect to hidden is formed in the same pass, so that the head is multiplied twice, not thrice.
    On a mesh rows and vocabulary are split, and the budget is each device's.
    """
    rows, columns, d = hidden.shape
    local = -(-rows // axes.axis_size(mesh, "batch")) * -(
        -head.shape[0] // axes.axis_size(mesh, "vocab")
    )
    size = chunk_size(columns, local)
    pad = -columns % size
    chunked = lambda x: (
        jnp.pad(x, ((0, 0), (0, pad)) + ((0, 0),) * (x.ndim - 2))
        .reshape(rows, -1, size, *x.shape[2:])
        .swapaxes(0, 1)
    )
    head = axes.gather_embed(jax.lax.stop_gradient(head), mesh, "vocab", "embed")
    return _nll_chunks(mesh, chunked(hidden), head, chunked(targets), chunked(weights))


def _precision(dtype):
    return "highest" if dtype == jnp.float32 else None


def _scores(h, head, targets, mesh):
    """Logits float32 [B,t,V] of h [B,t,D], their logsumexp and the targets' [B,t], and where the targets are [B,t,V]."""
    logits = jnp.einsum(
        "btd,vd->btv",
        h,
        head.astype(h.dtype),
        precision=_precision(h.dtype),
        preferred_element_type=jnp.float32,
    )
    logits = axes.constrain(logits, mesh, "batch", None, "vocab")
    hit = jnp.arange(logits.shape[-1]) == targets[..., None]
    return (
        logits,
        jax.nn.logsumexp(logits, axis=-1),
        jnp.sum(jnp.where(hit, logits, 0), axis=-1),
        hit,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _nll_chunks(mesh, hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        _, log_norm, picked, _ = _scores(h, head, t, mesh)
        return total + jnp.sum(w * (log_norm - picked)), None

    return jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))[0]


def _forward(mesh, hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        logits, log_norm, picked, hit = _scores(h, head, t, mesh)
        slope = (jnp.exp(logits - log_norm[..., None]) - hit) * w[..., None]
        dh = jnp.einsum(
            "btv,vd->btd",
            slope.astype(h.dtype),
            head.astype(h.dtype),
            precision=_precision(h.dtype),
        )
        return total + jnp.sum(w * (log_norm - picked)), axes.constrain(
            dh, mesh, "batch", None, None
        )

    total, dh = jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))
    return total, (dh, head)


def _backward(mesh, saved, cotangent):
    dh, head = saved
    return dh * cotangent.astype(dh.dtype), jnp.zeros_like(head), None, None


_nll_chunks.defvjp(_forward, _backward)


def batch_nll(model, batch, adapter, keys, compute, grad_accum=None) -> jax.Array:
    """`nll_sum` of a packed batch (tokens, targets, weights, segments, positions: [B,T]); keys [B]: dropout's, or None.

    grad_accum: None, or what the gradient with respect to adapter is added to (see `Transformer`).
    """
    hidden = model(
        batch.tokens,
        batch.segments,
        batch.positions,
        adapter,
        keys,
        compute,
        grad_accum=grad_accum,
    )
    return nll_sum(hidden, model.head(), batch.targets, batch.weights, compute.mesh)
