"""The language-model loss over a frozen head, never materialising [tokens, V] logits."""


import jax
import jax.numpy as jnp

_LOGITS_BYTES = 1 << 28  # float32 logits alive at once: 256 MiB


def chunk_size(tokens: int, vocab: int) -> int:
    """Tokens whose float32 logits fit the budget: a power of two, at most all of them rounded up."""
    size = 1
    while size < tokens and size * 2 * vocab * 4 <= _LOGITS_BYTES:
        size *= 2
    return size


def nll_sum(hidden, head, targets, weights) -> jax.Array:
    """sum_t weights_t * (logsumexp_v(h_t . w_v) - h_t . w_target), float32 scalar.

    hidden [B,T,D] after the final norm, head [V,D] (frozen: its gradient is zero), targets int
    [B,T], weights float32 [B,T]. Logits exist for a chunk of tokens at a time; the gradient with
    respect to hidden is formed in the same pass, so that the head is multiplied twice, not thrice.
    """
    d = hidden.shape[-1]
    tokens = targets.size
    size = chunk_size(tokens, head.shape[0])
    pad = -tokens % size
    flat = jnp.pad(hidden.reshape(tokens, d), ((0, pad), (0, 0))).reshape(-1, size, d)
    targets = jnp.pad(targets.reshape(-1), (0, pad)).reshape(-1, size)
    weights = jnp.pad(weights.reshape(-1), (0, pad)).reshape(-1, size)
    return _nll_chunks(flat, jax.lax.stop_gradient(head), targets, weights)


def _precision(dtype):
    return "highest" if dtype == jnp.float32 else None


def _logits(h, head):
    return jnp.einsum("td,vd->tv", h, head.astype(h.dtype), precision=_precision(h.dtype), preferred_element_type=jnp.float32)


@jax.custom_vjp
def _nll_chunks(hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        logits = _logits(h, head)
        picked = jnp.take_along_axis(logits, t[:, None], axis=1)[:, 0]
        return total + jnp.sum(w * (jax.nn.logsumexp(logits, axis=1) - picked)), None

    return jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))[0]


def _forward(hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        logits = _logits(h, head)
        log_norm = jax.nn.logsumexp(logits, axis=1)
        picked = jnp.take_along_axis(logits, t[:, None], axis=1)[:, 0]
        slope = jnp.exp(logits - log_norm[:, None]).at[jnp.arange(t.size), t].add(-1.0) * w[:, None]
        dh = jnp.einsum("tv,vd->td", slope.astype(h.dtype), head.astype(h.dtype), precision=_precision(h.dtype))
        return total + jnp.sum(w * (log_norm - picked)), dh

    total, dh = jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))
    return total, (dh, head)


def _backward(saved, cotangent):
    dh, head = saved
    return dh * cotangent.astype(dh.dtype), jnp.zeros_like(head), None, None


_nll_chunks.defvjp(_forward, _backward)


def batch_nll(model, batch, adapter, spec, key, compute) -> jax.Array:
    """`nll_sum` of a packed batch (tokens, targets, weights, segments, positions: [B,T])."""
    hidden = model(batch.tokens, batch.segments, batch.positions, adapter, spec, key, compute)
    return nll_sum(hidden, model.head(), batch.targets, batch.weights)
