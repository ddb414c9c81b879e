"""The language-model loss, without [tokens, V] logits in memory."""

import functools

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.model import trained as trained_trees
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
    frozen_head: bool = True,
) -> jax.Array:
    """The weighted sum of the tokens' negative log-likelihoods.

        sum_t weights_t (logsumexp_v(h_t . w_v) - h_t . w_target(t))

    Logits exist for a chunk of columns at a time. The gradient with respect to
    hidden is formed in the same pass, so that a frozen head is multiplied twice, not
    thrice; a head that is trained is multiplied four times. On a mesh rows and
    vocabulary are split, and the budget is each device's.

    Args:
      hidden: [B, T, D], after the final norm.
      head: [V, D].
      targets: int [B, T], the next tokens.
      weights: float32 [B, T], 0 where a token does not count.
      mesh: the devices; None for one.
      frozen_head: whether the head's gradient is zero.

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

    head = jax.lax.stop_gradient(head) if frozen_head else head
    head = axes.gather_embed(head, mesh, "vocab", "embed")
    nll = _nll_chunks if frozen_head else _nll_chunks_and_head
    return nll(mesh, chunked(hidden), head, chunked(targets), chunked(weights))


def _precision(dtype):
    return "highest" if dtype == jnp.float32 else None


def _logits(h, head, mesh):
    """Logits float32 [B, t, V] of a chunk h [B, t, D]."""
    logits = jnp.einsum(
        "btd,vd->btv",
        h,
        head.astype(h.dtype),
        precision=_precision(h.dtype),
        preferred_element_type=jnp.float32,
    )
    return axes.constrain(logits, mesh, "batch", None, "vocab")


def _target_logits(h, head, targets, logits, mesh):
    """The targets' logits [B, t].

    On one device they are products of their own, which is less than another pass over
    all logits. On a mesh the head's rows are split, and looking rows up gathers them.
    """
    if mesh is None:
        rows = head[targets].astype(jnp.float32)
        return jnp.sum(h.astype(jnp.float32) * rows, axis=-1)
    return jnp.sum(jnp.where(_is_target(logits, targets), logits, 0), axis=-1)


def _is_target(logits, targets):
    columns = jnp.arange(logits.shape[-1])
    return columns[None, None, :] == targets[..., None]


def _chunk_nll(h, head, targets, weights, mesh):
    """A chunk's weighted loss, its logits and their logsumexp."""
    logits = _logits(h, head, mesh)
    log_norm = jax.nn.logsumexp(logits, axis=-1)
    target_logits = _target_logits(h, head, targets, logits, mesh)
    return jnp.sum(weights * (log_norm - target_logits)), logits, log_norm


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _nll_chunks(mesh, hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        nll, _, _ = _chunk_nll(h, head, t, w, mesh)
        return total + nll, None

    return jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))[0]


def _forward(mesh, hidden, head, targets, weights):
    def body(total, chunk):
        h, t, w = chunk
        nll, logits, log_norm = _chunk_nll(h, head, t, w, mesh)
        softmax = jnp.exp(logits - log_norm[..., None])
        slope = (softmax - _is_target(logits, t)) * w[..., None]
        dh = jnp.einsum(
            "btv,vd->btd",
            slope.astype(h.dtype),
            head.astype(h.dtype),
            precision=_precision(h.dtype),
        )
        return total + nll, axes.constrain(dh, mesh, "batch", None, None)

    total, dh = jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))
    return total, (dh, head)


def _backward(mesh, saved, cotangent):
    dh, head = saved
    return dh * cotangent.astype(dh.dtype), jnp.zeros_like(head), None, None


_nll_chunks.defvjp(_forward, _backward)


def _nll_chunks_and_head(mesh, hidden, head, targets, weights):
    """`_nll_chunks`, differentiable in the head too; logits are computed twice."""

    @jax.checkpoint
    def body(total, chunk):
        h, t, w = chunk
        nll, _, _ = _chunk_nll(h, head, t, w, mesh)
        return total + nll, None

    return jax.lax.scan(body, jnp.float32(0), (hidden, targets, weights))[0]


def batch_nll(
    model: transformer.Transformer,
    batch: batches.Batch,
    trained: trained_trees.Trained | None,
    keys: jax.Array | None,
    compute: transformer.ComputeConfig,
    grad_accum: lora.Adapter | None = None,
) -> jax.Array:
    """`nll_sum` of a batch.

    Args:
      model: the frozen base.
      batch: [B, T] arrays.
      trained: the adapter on it, or all weights in place of its own; None for the base
        alone.
      keys: uint32 [B, T], the tokens' dropout keys; None for no dropout.
      compute: the arithmetic.
      grad_accum: what the gradient with respect to the adapter is added to (see
        `transformer.Transformer`); None for nothing.

    Returns:
      A float32 scalar, in nats.
    """
    has_full_weights = isinstance(trained, trained_trees.FullWeights)
    model, adapter = trained_trees.split(model, trained)
    hidden = model(
        batch.tokens,
        batch.segments,
        batch.positions,
        adapter,
        keys,
        compute,
        grad_accum=grad_accum,
    )
    return nll_sum(
        hidden,
        model.head(),
        batch.targets,
        batch.weights,
        compute.mesh,
        frozen_head=not has_full_weights,
    )
