"""SV energy of an adapter: how far it moves the weights, relative to them (Table 10).

The paper does not define it. Here: sum of squared singular values of scaling A' B over
sum of squared singular values of the base weight, both over all layers. DoRA's change
is that of its merged weight.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import dora, lora
from jaxent.distributed import axes
from jaxent.model import layers, trained, transformer


@dataclasses.dataclass(frozen=True)
class SvEnergy:
    """SV energy of an adapter with L layers and rank R.

    Attributes:
      total: over all modules and layers.
      modules: by module.
      layers: by module, [L].
      singular: the change's singular values by module, [L, R] descending; none of
        DoRA's modules and of full weights, whose change has no low rank.
    """

    total: float
    modules: dict[str, float]
    layers: dict[str, list[float]]
    singular: dict[str, list[list[float]]]


def sv_energy(
    model: transformer.Transformer,
    adapter: trained.Trained,
) -> SvEnergy:
    """The SV energy of an adapter or of full weights, LoRA's from its thin factors.

    With A' = Qa Ra and B' = Qb Rb, the singular values of A' B are those of Ra Rb'
    [R, R]: A' B itself is never formed. The base's sum of squares, and that of another
    change, is that of its (decoded) entries, a layer at a time. Of full weights the
    linear modules of the layers count, as of an adapter.

    Args:
      model: the base model.
      adapter: its adapter, or all weights in place of its own.

    Returns:
      The energy by module and layer, and in total.
    """
    singular: dict[str, np.ndarray] = {}
    change: dict[str, np.ndarray] = {}
    base: dict[str, np.ndarray] = {}
    for module, path in lora.PATHS.items():
        is_full = isinstance(adapter, trained.FullWeights)
        if not is_full and path not in adapter.params:
            continue
        group, _ = path.split(".")
        weight = getattr(getattr(model.layers, group), module).weight.get_value()
        squares = axes.to_host(jax.jit(_layer_squares)(weight))
        base[module] = squares.astype(np.float64)
        if isinstance(adapter, trained.FullWeights):
            tuned = adapter.params[f"layers.{path}.weight"]
            squares = axes.to_host(_difference_squares(weight, tuned))
            change[module] = squares.astype(np.float64)
            continue
        factors = adapter.params[path]
        if factors.magnitude is not None:
            squares = _change_squares(weight, factors, adapter.config)
            change[module] = axes.to_host(squares).astype(np.float64)
            continue
        factors = axes.to_host(factors)
        singular[module] = np.stack(
            [
                adapter.config.scaling * thin_singular(a, b)
                for a, b in zip(factors.a, factors.b)
            ]
        )
        change[module] = (singular[module] ** 2).sum(1)
    total = sum(v.sum() for v in change.values()) / sum(v.sum() for v in base.values())
    return SvEnergy(
        total=float(total),
        modules={m: float(change[m].sum() / base[m].sum()) for m in change},
        layers={m: (change[m] / base[m]).tolist() for m in change},
        singular={m: values.tolist() for m, values in singular.items()},
    )


def thin_singular(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Singular values of A' B from its factors, in float64.

    Args:
      a: A [R, K].
      b: B [R, N].

    Returns:
      [R], descending.

    Example:
      >>> thin_singular(np.array([[3.0, 0.0]]), np.array([[0.0, 2.0]])).round(9)
      array([6.])
    """
    _, ra = np.linalg.qr(a.astype(np.float64).T)
    _, rb = np.linalg.qr(b.astype(np.float64).T)
    values = np.linalg.svd(ra @ rb.T, compute_uv=False)
    return np.pad(values, (0, len(a) - len(values)))


def _layer_squares(weight) -> jax.Array:
    """Sum of squares of each layer of a stacked weight: [L]."""

    def squares(layer):
        return jnp.sum(jnp.square(layers.dense_weight(layer, jnp.float32)))

    return jax.lax.map(squares, weight)


@jax.jit
def _difference_squares(weight, tuned) -> jax.Array:
    """Sum of squares of each layer of tuned - weight: [L]."""

    def squares(inputs):
        layer, new = inputs
        return jnp.sum(jnp.square(new - layers.dense_weight(layer, jnp.float32)))

    return jax.lax.map(squares, (weight, tuned))


@functools.partial(jax.jit, static_argnames="config")
def _change_squares(weight, factors, config) -> jax.Array:
    """Sum of squares of what DoRA changes each layer of a stacked weight by: [L]."""

    def squares(inputs):
        layer, own = inputs
        dense = layers.dense_weight(layer, jnp.float32)
        return jnp.sum(jnp.square(dora.merge_weight(dense, own, config) - dense))

    return jax.lax.map(squares, (weight, factors))
