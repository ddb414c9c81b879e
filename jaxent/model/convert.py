"""A model with other forms of its linear weights: dense, merged, layer by layer."""

import functools

import jax
import jax.numpy as jnp
from flax import nnx

from jaxent.arrays import lora
from jaxent.model import blocks, layers, transformer


def linear_param(stack: blocks.Block, path: str) -> nnx.Param:
    """The weight of a linear module, named by its path inside a layer."""
    group, module = path.split(".")
    return getattr(getattr(stack, group), module).weight


def unstack_layers(model: transformer.Transformer, dtype) -> tuple[blocks.Block, ...]:
    """The layers one by one, their linear weights dense and transposed: a copy of all.

    It is for decoding on a CPU, where a scan copies every layer's weights out of their
    stack at every step.

    Args:
        model: a model, dense or NF4; it is not changed.
        dtype: dtype of the linear weights.

    Returns:
        For each layer a block without a layer axis, its linear weights
        `layers.TransposedWeight`.
    """
    count = model.config.layers
    return tuple(_unstack_layer(model.layers, index, dtype) for index in range(count))


@functools.partial(jax.jit, static_argnames="dtype")
def _unstack_layer(stack: blocks.Block, index, dtype) -> blocks.Block:
    def select(x):
        return jax.lax.dynamic_index_in_dim(x, index, 0, keepdims=False)

    block = jax.tree.map(select, stack)
    for path in lora.PATHS.values():
        param = linear_param(block, path)
        weight = layers.dense_weight(param.get_value(), dtype)
        param.set_value(layers.TransposedWeight(weight.T))
    return block


def to_dense(
    model: transformer.Transformer, dtype, adapter: lora.Adapter | None = None
) -> transformer.Transformer:
    """The model with every linear weight dense.

    NF4 weights are decoded one layer at a time. With an adapter the weights are
    W + (alpha / rank) A' B, added in float32 and cast once, as PEFT's merge_and_unload.

    Args:
        model: a model, dense or NF4; it is not changed.
        dtype: dtype of the linear weights.
        adapter: adapter to merge, or None.

    Returns:
        The dense model.

    Example:
        >>> from jaxent.model import config
        >>> tiny = config.from_dict(
        ...     {
        ...         "model_type": "llama",
        ...         "vocab_size": 8,
        ...         "hidden_size": 4,
        ...         "intermediate_size": 8,
        ...         "num_hidden_layers": 1,
        ...         "num_attention_heads": 2,
        ...     }
        ... )
        >>> model = transformer.Transformer(tiny, nnx.Rngs(0))
        >>> to_dense(model, jnp.bfloat16).layers.mlp.up_proj.weight.get_value().dtype
        dtype(bfloat16)
    """
    result = jax.tree.map(lambda x: x, model)
    for path in lora.PATHS.values():
        param = linear_param(result.layers, path)
        factors = None if adapter is None else adapter.params.get(path)
        config = None if adapter is None else adapter.config
        param.set_value(_merge_layers(param.get_value(), factors, dtype, config))
    return result


@functools.partial(jax.jit, static_argnames=("dtype", "config"))
def _merge_layers(weight, factors, dtype, config):
    """Weights [L, K, N] of one module, dense in dtype, its factors added if any."""

    def merge_layer(inputs):
        weight, factors = inputs
        dense = layers.dense_weight(weight, jnp.float32)
        if factors is not None:
            dense = lora.merge_weight(dense, factors, config)
        return dense.astype(dtype)

    return jax.lax.map(merge_layer, (weight, factors))
