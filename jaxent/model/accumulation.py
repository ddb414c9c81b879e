"""All layers under a scan, the adapter's gradient added to a sum layer by layer.

Autodiff would hold the gradient of one micro-batch beside the sum of earlier ones.
Here each layer's gradient is added to the sum in the sum's own memory.
"""

import functools

import jax
import jax.numpy as jnp

from jaxent.arrays import lora
from jaxent.model import blocks, dropout


def apply_layer(x, adapter: lora.Adapter | None, block, index, rows, compute):
    """The residual stream after one layer.

    Args:
        x: residual stream [B, T, D].
        adapter: the layer's factors, or None.
        block: the layer's `blocks.Block`.
        index: the layer's index, folded into the dropout keys.
        rows: positions and segments, int [B, T], and each token's dropout key, uint32
            [B, T], or None.
        compute: `transformer.ComputeConfig`.

    Returns:
        [B, T, D].
    """
    positions, segments, keys = rows
    layer_keys = None if keys is None else dropout.fold_in(keys, index)
    ctx = blocks.LayerContext(
        positions, adapter, compute.mesh, layer_keys, segments, compute.kernel
    )
    x, _ = block(x, ctx)
    return x


@jax.custom_vjp
def add_to_gradient(adapter: lora.Adapter, grad_accum: lora.Adapter) -> lora.Adapter:
    """The adapter; its gradient is grad_accum plus what autodiff gives.

    Args:
        adapter: the factors.
        grad_accum: the sum of earlier gradients, a tree like adapter.

    Returns:
        The adapter.

    Example:
        >>> gradient = jax.grad(lambda x: 3.0 * add_to_gradient(x, jnp.float32(4.0)))
        >>> float(gradient(1.0))
        7.0
    """
    del grad_accum
    return adapter


def _keep_sum(adapter, grad_accum):
    return adapter, grad_accum


def _add_to_sum(grad_accum, cotangent):
    return jax.tree.map(jnp.add, grad_accum, cotangent), None


add_to_gradient.defvjp(_keep_sum, _add_to_sum)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def apply_layers(compute, grad_accum: lora.Adapter, adapter, x, stack, rows):
    """The residual stream after all layers.

    What autodiff returns as the gradient with respect to adapter is grad_accum plus
    that gradient. x has a gradient too; the frozen base has none.

    Args:
        compute: `transformer.ComputeConfig`.
        grad_accum: the sum of earlier gradients, a tree like adapter.
        adapter: the factors of all layers.
        x: residual stream [B, T, D].
        stack: `blocks.Block` of all layers.
        rows: as of `apply_layer`.

    Returns:
        [B, T, D].
    """
    return _forward(compute, grad_accum, adapter, x, stack, rows)[0]


def _forward(compute, grad_accum, adapter, x, stack, rows):
    def body(x, inputs):
        factors, block, index = inputs
        return apply_layer(x, factors, block, index, rows, compute), x

    out, before = jax.lax.scan(body, x, (adapter, stack, _layer_indices(adapter)))
    return out, (before, grad_accum, adapter, stack, rows)


def _backward(compute, saved, cotangent):
    before, grad_accum, adapter, stack, rows = saved

    def body(carry, inputs):
        cotangent, total = carry
        x, factors, block, index = inputs

        def layer(x, factors):
            return apply_layer(x, factors, block, index, rows, compute)

        _, pull = jax.vjp(layer, x, factors)
        cotangent, gradient = pull(cotangent)
        total = jax.tree.map(lambda t, g: t.at[index].add(g), total, gradient)
        return (cotangent, total), None

    inputs = (before, adapter, stack, _layer_indices(adapter))
    carry = (cotangent, grad_accum)
    (cotangent, total), _ = jax.lax.scan(body, carry, inputs, reverse=True)
    return None, total, cotangent, None, None


apply_layers.defvjp(_forward, _backward)


def _layer_indices(adapter) -> jax.Array:
    return jnp.arange(len(jax.tree.leaves(adapter)[0]))
