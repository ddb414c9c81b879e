"""The language-model loss over a frozen head, without [tokens, V] logits in memory."""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.model import transformer

_LOGITS_BYTES = 1 << 28  # float32 logits alive at once: 256 MiB


def chunk_size(columns: int, width: int) -> int:
    """The columns of logits that fit the budget: a power of two.

    Args:
      columns: T, the columns of a batch.
      width: float32 logits of one column, rows times vocabulary.

    Returns:
      The number of columns, at most `columns` rounded up to a power of two.

    Example:
      >>> chunk_size(2048, 152064), chunk_size(100, 512)
      (256, 128)
    """
    size = 1
    while size < columns and size * 2 * width * 4 <= _LOGITS_BYTES:
        size *= 2
    return size


def nll_sum(
    hidden: jax.Array,
    head: jax.Array,
    targets: jax.typing.ArrayLike,
    weights: jax.typing.ArrayLike,
    mesh: Mesh | None = None,
) -> jax.Array:
    """The weighted sum of the tokens' negative log-likelihoods.

        sum_t weights_t (logsumexp_v(h_t . w_v) - h_t . w_target(t))

    Logits exist for a chunk of columns at a time. The gradient with respect to
    hidden is formed in the same pass, so that the head is multiplied twice, not
    thrice. On a mesh rows and vocabulary are split, and the budget is each device's.

    Args:
      hidden: [B, T, D], after the final norm.
      head: [V, D], frozen: its gradient is zero.
      targets: int [B, T], the next tokens.
      weights: float32 [B, T], 0 where a token does not count.
      mesh: the devices; None for one.

    Returns:
      A float32 scalar, in nats.

    Example:
      >>> hidden, head = jnp.zeros((1, 3, 2)), jnp.zeros((8, 2))
      >>> targets, weights = jnp.array([[1, 2, 3]]), jnp.array([[1.0, 1.0, 0.0]])
      >>> round(float(nll_sum(hidden, head, targets, weights)), 3)  # 2 log 8
      4.159
    """
    rows, columns, _ = hidden.shape
    local_rows = -(-rows // axes.axis_size(mesh, "batch"))
    local_vocab = -(-head.shape[0] // axes.axis_size(mesh, "vocab"))
    size = chunk_size(columns, local_rows * local_vocab)
    padding = -columns % size

    def chunked(x):
        """[B, T, ...] as [chunks, B, size, ...]."""
        x = jnp.pad(x, ((0, 0), (0, padding)) + ((0, 0),) * (x.ndim - 2))
        return x.reshape(rows, -1, size, *x.shape[2:]).swapaxes(0, 1)

    head = axes.gather_embed(jax.lax.stop_gradient(head), mesh, "vocab", "embed")
    return _nll_chunks(mesh, chunked(hidden), head, chunked(targets), chunked(weights))


def _precision(dtype):
    return "highest" if dtype == jnp.float32 else None


def _logits(h, head, targets, mesh):
    """What a chunk's loss is made of.

    h is [B, t, D]. Gives the logits float32 [B, t, V], their logsumexp and the
    targets' logits [B, t], and where the targets are, bool [B, t, V].
    """
    logits = jnp.einsum(
        "btd,vd->btv",
        h,
        head.astype(h.dtype),
        precision=_precision(h.dtype),
        preferred_element_type=jnp.float32,
    )
    logits = axes.constrain(logits, mesh, "batch", None, "vocab")
    is_target = jnp.arange(logits.shape[-1])[None, None] == targets[..., None]
    log_norm = jax.nn.logsumexp(logits, axis=-1)
    target_logits = jnp.sum(jnp.where(is_target, logits, 0), axis=-1)
    return logits, log_norm, target_logits, is_target


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _nll_chunks(mesh, hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        _, log_norm, target_logits, _ = _logits(h, head, t, mesh)
        return total + jnp.sum(w * (log_norm - target_logits)), None

    return jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))[0]


def _forward(mesh, hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        logits, log_norm, target_logits, is_target = _logits(h, head, t, mesh)
        slope = (jnp.exp(logits - log_norm[..., None]) - is_target) * w[..., None]
        dh = jnp.einsum(
            "btv,vd->btd",
            slope.astype(h.dtype),
            head.astype(h.dtype),
            precision=_precision(h.dtype),
        )
        total = total + jnp.sum(w * (log_norm - target_logits))
        return total, axes.constrain(dh, mesh, "batch", None, None)

    total, dh = jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))
    return total, (dh, head)


def _backward(mesh, saved, cotangent):
    dh, head = saved
    return dh * cotangent.astype(dh.dtype), jnp.zeros_like(head), None, None


_nll_chunks.defvjp(_forward, _backward)


def batch_nll(
    model: transformer.Transformer,
    batch: batches.Batch,
    adapter: lora.Adapter | None,
    keys: jax.Array | None,
    compute: transformer.ComputeConfig,
    grad_accum: lora.Adapter | None = None,
) -> jax.Array:
    """`nll_sum` of a batch.

    Args:
      model: the frozen base.
      batch: [B, T] arrays.
      adapter: the adapter on it; None for the base alone.
      keys: [B], the rows' dropout keys; None for no dropout.
      compute: the arithmetic.
      grad_accum: what the gradient with respect to the adapter is added to (see
        `transformer.Transformer`); None for nothing.

    Returns:
      A float32 scalar, in nats.
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
