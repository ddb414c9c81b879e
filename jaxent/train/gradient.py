"""The gradient of one optimizer step, a micro-batch at a time."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.model import dropout, trained, transformer
from jaxent.train import objective


def step_gradient(
    model: transformer.Transformer,
    adapter: trained.Trained,
    batch: batches.Batch,
    rows: jax.Array | int,
    key: jax.Array | None,
    *,
    compute: transformer.ComputeConfig,
) -> tuple[jax.Array, trained.Trained, jax.Array]:
    """The token-mean loss of a step and its gradient, one micro-batch at a time.

    The divisor is the weight of the whole step, so that packing into fewer rows
    changes nothing, nor does it change dropout: see `jaxent.model.dropout`.

    Args:
      model: the frozen base.
      adapter: the parameters to differentiate in, an adapter's or all weights.
      batch: [M, B, T] arrays, as `shard_batch` gives them.
      rows: of the M B rows the first so many are used; traced.
      key: the step's dropout key; None for no dropout.
      compute: the arithmetic.

    Returns:
      The loss in nats, the gradient (a tree like the adapter), the counted tokens.
    """
    if batch.tokens.ndim != 3:
        raise ValueError(
            f"batch of shape {batch.tokens.shape}: expected [M, B, T], see shard_batch"
        )
    micro_batch_size = batch.tokens.shape[1]
    tokens = batch.weights.sum()

    def body(index, carry):
        def select(x):
            x = jax.lax.dynamic_index_in_dim(x, index, 0, keepdims=False)
            return axes.constrain(x, compute.mesh, "batch", None)

        micro = jax.tree.map(select, batch)
        return add_gradient(carry, model, adapter, micro, tokens, key, compute)

    zeros = constrain_adapter(jax.tree.map(jnp.zeros_like, adapter), compute.mesh)
    start = (jnp.float32(0), zeros)
    micro_batches = -(-rows // micro_batch_size)
    total, gradients = jax.lax.fori_loop(0, micro_batches, body, start)
    return total, gradients, tokens


def add_gradient(total, model, adapter, micro, tokens, key, compute):
    """Adds one micro-batch's share of a step's loss and gradient.

    Args:
      total: loss and gradient of the micro-batches before.
      model: the frozen base.
      adapter: the parameters to differentiate in.
      micro: [B, T] arrays.
      tokens: the weight of the whole step.
      key: the step's dropout key; None for no dropout.
      compute: the arithmetic.

    Returns:
      The same as total, this micro-batch's included.
    """
    keys = None
    if key is not None:
        keys = dropout.token_keys(key, micro.segments, micro.positions)

    def loss(adapter, grad_accum):
        nll = objective.batch_nll(model, micro, adapter, keys, compute, grad_accum)
        return nll / tokens

    value, gradients = trained.add_gradient(loss, adapter, total[1])
    return total[0] + value, constrain_adapter(gradients, compute.mesh)


def constrain_adapter(adapter: trained.Trained, mesh: Mesh | None) -> trained.Trained:
    """The trained tree, or its gradient, split over the mesh; unchanged without one."""
    if mesh is None:
        return adapter
    shardings = trained.shardings(adapter, mesh)
    return jax.lax.with_sharding_constraint(adapter, shardings)


def step_key(adapter: trained.Trained, key: jax.Array, step) -> jax.Array | None:
    """A step's dropout key; None where what is trained has no dropout."""
    return jax.random.fold_in(key, step) if trained.dropout_rate(adapter) > 0 else None
