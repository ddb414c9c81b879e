"""A model with other forms of its linear weights: dense, merged, layer by layer."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jaxent.arrays import dora, lora
from jaxent.model import blocks, layers, transformer


def linear_module(stack: blocks.Block, path: str) -> blocks.Linear:
    """A linear module, named by its path inside a layer."""
    group, module = path.split(".")
    return getattr(getattr(stack, group), module)


def linear_param(stack: blocks.Block, path: str) -> nnx.Param:
    """The weight of a linear module, named by its path inside a layer."""
    return linear_module(stack, path).weight


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
    W + scaling A' B, or DoRA's, computed in float32 and cast once, as PEFT's
    merge_and_unload; biases of the adapter are added to the model's.

    Args:
        model: a model, dense or NF4; it is not changed.
        dtype: dtype of the linear weights.
        adapter: adapter to merge, or None.

    Returns:
        The dense model.

    Raises:
        ValueError: the adapter has a bias where the model has none.

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
        if factors is not None and factors.bias is not None:
            _merge_bias(linear_module(result.layers, path), factors, config)
    return result


def decode_once(model: transformer.Transformer, dtype) -> transformer.Transformer:
    """The model with every parameter dense and of the arithmetic's dtype.

    It computes what the model computes: NF4 is decoded and tables are cast at every
    use, to the same values.

    Args:
        model: a model, dense or NF4; it is not changed.
        dtype: dtype of the arithmetic.

    Returns:
        The dense model.
    """
    dense = to_dense(model, dtype)
    return jax.tree.map(lambda x: x.astype(dtype), dense)


def _merge_bias(module: blocks.Linear, factors: lora.LoraParams, config) -> None:
    if module.bias is None:
        raise ValueError(
            f"{module.module}: the adapter has a bias (lora_bias) and the model has"
            " none to merge it into; expected an adapter without, or no merge"
        )
    bias = module.bias.get_value()
    merged = bias.astype(jnp.float32) + config.scaling * factors.bias
    module.bias.set_value(merged.astype(bias.dtype))


@functools.partial(jax.jit, static_argnames=("dtype", "config"))
def _merge_layers(weight, factors, dtype, config):
    """Weights [L, K, N] of one module, dense in dtype, its factors added if any."""

    def merge_layer(inputs):
        weight, factors = inputs
        dense = layers.dense_weight(weight, jnp.float32)
        if factors is not None:
            dense = dora.merge_weight(dense, factors, config)
        return dense.astype(dtype)

    return jax.lax.map(merge_layer, (weight, factors))


def weight_norms(
    model: transformer.Transformer, modules: Sequence[str] = lora.MODULES
) -> dict[str, jax.Array]:
    """The length of every output's weights, with which DoRA's magnitudes begin.

    NF4 weights are decoded one layer at a time.

    Args:
        model: a model, dense or NF4.
        modules: names out of `lora.MODULES`.

    Returns:
        By module float32 [L, N].
    """

    def norms(weight):
        return dora.column_norms(layers.dense_weight(weight, jnp.float32))

    return {
        module: jax.lax.map(
            norms, linear_param(model.layers, lora.PATHS[module]).get_value()
        )
        for module in modules
    }


def with_gains(
    model: transformer.Transformer, adapter: lora.Adapter | None
) -> lora.Adapter | None:
    """The adapter for a model that does not change: DoRA's gains computed once.

    Without it every pass computes the lengths of all changed weights, which costs a
    step of decoding more than the step itself.

    Args:
        model: the base model.
        adapter: its adapter, or None.

    Returns:
        The adapter; one without magnitudes is returned as it came.
    """
    if adapter is None or not adapter.config.use_dora:
        return adapter
    params = {
        path: dataclasses.replace(
            factors,
            gain=_layer_gains(
                linear_param(model.layers, path).get_value(), factors, adapter.config
            ),
        )
        for path, factors in adapter.params.items()
    }
    return lora.Adapter(params, adapter.config)


@functools.partial(jax.jit, static_argnames="config")
def _layer_gains(weight, factors, config):
    """Gains [L, N] of one module."""

    def layer_gain(inputs):
        weight, factors = inputs
        return dora.gain(layers.dense_weight(weight, jnp.float32), factors, config)

    return jax.lax.map(layer_gain, (weight, factors))
