"""What training changes: an adapter on a frozen base, or all weights of a model.

Both are trees of arrays, so that optimizer, norm and checkpoint are the same tree
functions for either. `split` says which model and which adapter compute.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import AbstractMesh, Mesh

from jaxent.arrays import lora, nf4
from jaxent.distributed import axes
from jaxent.model import sharding, transformer


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["logical"]
)
@dataclasses.dataclass(frozen=True)
class FullWeights:
    """All weights of a model, in place of the base's.

    A tied head is the embedding: one array, whose gradient is the sum of both uses'.

    Attributes:
        params: {dotted path in `Transformer`: array}.
        logical: (path, logical axes) of every parameter; static under jit.
    """

    params: dict[str, Any]
    logical: tuple[tuple[str, tuple[str | None, ...]], ...]


Trained = lora.Adapter | FullWeights
_Tree = TypeVar("_Tree", bound=Trained)


def full_weights(model: transformer.Transformer) -> FullWeights:
    """The model's own weights, not copied.

    Args:
        model: a model without NF4; its arrays may be abstract.

    Raises:
        ValueError: a weight is NF4.

    Example:
        >>> from jaxent.model import known_configs
        >>> config = known_configs.require_config("Qwen/Qwen3-0.6B")
        >>> weights = full_weights(transformer.abstract(config))
        >>> weights.params["embed_tokens.weight"].shape
        (151936, 1024)
    """
    params, logical = {}, []
    for path, param in _sorted_params(model):
        value = param.get_value()
        if isinstance(value, nf4.NF4):
            raise ValueError(
                f"{path} is NF4: expected unquantised weights to train them all"
            )
        params[path] = value
        logical.append((path, tuple(param.logical)))
    return FullWeights(params, tuple(logical))


def _sorted_params(
    model: transformer.Transformer,
) -> Iterator[tuple[str, nnx.Param]]:
    yield from sorted(sharding.iter_params(model), key=lambda pair: pair[0])


def float32_copy(weights: FullWeights) -> FullWeights:
    """The weights in float32, in memory of their own."""
    return jax.tree.map(lambda x: jnp.array(x, jnp.float32, copy=True), weights)


def split(
    model: transformer.Transformer, trained: Trained | None
) -> tuple[transformer.Transformer, lora.Adapter | None]:
    """The model that computes, and the adapter on it.

    Args:
        model: the base.
        trained: what was trained on it; None for the base alone.

    Returns:
        The base and the adapter; for full weights a model of these, and None.
    """
    if not isinstance(trained, FullWeights):
        return model, trained
    tuned = jax.tree.map(lambda x: x, model)  # a copy that shares the arrays
    for path, param in sharding.iter_params(tuned):
        param.set_value(trained.params[path])
    return tuned, None


def dropout_rate(trained: Trained) -> float:
    """The probability that an input of an adapter is zeroed; 0 for full weights."""
    return trained.config.dropout if isinstance(trained, lora.Adapter) else 0.0


def add_gradient(
    loss: Callable[[_Tree, lora.Adapter | None], jax.Array],
    trained: _Tree,
    grad_accum: _Tree,
) -> tuple[jax.Array, _Tree]:
    """A loss, and its gradient added to a sum.

    Args:
        loss: gives a scalar from what is trained and, for an adapter, the sum that the
            model adds the gradient to layer by layer (see `transformer.Transformer`).
        trained: what is differentiated in.
        grad_accum: the sum of earlier gradients, a tree like trained.

    Returns:
        The loss, and grad_accum plus the gradient.
    """
    if isinstance(trained, lora.Adapter):
        return jax.value_and_grad(loss)(trained, grad_accum)
    value, gradient = jax.value_and_grad(loss)(trained, None)
    return value, jax.tree.map(jnp.add, grad_accum, gradient)


def shardings(trained: _Tree, mesh: Mesh | AbstractMesh, *lead: str | None) -> _Tree:
    """The shardings of what is trained: an adapter's, or those of the base's weights.

    Args:
        trained: gives the paths.
        mesh: mesh to split it over.
        *lead: logical axes before the first.

    Returns:
        A tree like trained of NamedShardings.
    """
    if isinstance(trained, lora.Adapter):
        return cast(_Tree, sharding.adapter_shardings(trained, mesh, *lead))
    params = {
        path: axes.named_sharding(mesh, *lead, *logical)
        for path, logical in trained.logical
    }
    return cast(_Tree, FullWeights(params, trained.logical))


def shard(trained: _Tree, mesh: Mesh) -> _Tree:
    """What was trained on the mesh; it is the same on every process."""
    if isinstance(trained, lora.Adapter):
        return cast(_Tree, sharding.shard_adapter(trained, mesh))
    return jax.tree.map(axes.device_put_global, trained, shardings(trained, mesh))
