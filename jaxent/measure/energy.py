"""SV energy of an adapter: how far it moves the weights, relative to the weights themselves (Table 10).

The paper does not define it. Here: sum of squared singular values of (alpha / rank) A' B over sum of squared
singular values of the base weight, both over all layers.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import layers, transformer


@dataclasses.dataclass(frozen=True)
class SvEnergy:
    """total, by module and by module and layer; singular: the change's singular values by module, [L,R] descending."""

    total: float
    modules: dict[str, float]
    layers: dict[str, list[float]]
    singular: dict[str, list[list[float]]]


def sv_energy(
    model: transformer.Transformer,
    adapter: lora.Adapter,
) -> SvEnergy:
    """The SV energy of `adapter` on `model`, from its thin factors: A' B itself is never formed.

    With A' = Qa Ra and B' = Qb Rb, the singular values of A' B are those of Ra Rb' [R,R]. The base's sum of squares
    is that of its (decoded) entries, a layer at a time.
    """
    moved, held, singular = {}, {}, {}
    for module, path in lora.PATHS.items():
        if path not in adapter.params:
            continue
        factors = axes.to_host(adapter.params[path])
        values = np.stack(
            [
                adapter.config.scaling * thin_singular(a, b)
                for a, b in zip(factors.a, factors.b)
            ]
        )
        group, _ = path.split(".")
        weight = getattr(getattr(model.layers, group), module).weight.get_value()
        held[module] = np.float64(axes.to_host(jax.jit(_squares)(weight)))
        moved[module], singular[module] = (values**2).sum(1), values
    share = {m: (moved[m] / held[m]).tolist() for m in moved}
    total = sum(v.sum() for v in moved.values()) / sum(v.sum() for v in held.values())
    by_module = {m: float(moved[m].sum() / held[m].sum()) for m in moved}
    return SvEnergy(
        float(total), by_module, share, {m: v.tolist() for m, v in singular.items()}
    )


def thin_singular(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Singular values [R] of A' B, descending, from A [R,K] and B [R,N]. float64."""
    _, ra = np.linalg.qr(a.astype(np.float64).T)
    _, rb = np.linalg.qr(b.astype(np.float64).T)
    values = np.linalg.svd(ra @ rb.T, compute_uv=False)
    return np.pad(values, (0, len(a) - len(values)))


def _squares(weight) -> jax.Array:
    """Sum of squares of each layer of a stacked weight: [L]."""
    square = lambda layer: jnp.sum(jnp.square(layers.dense_weight(layer, jnp.float32)))
    return jax.lax.map(square, weight)
