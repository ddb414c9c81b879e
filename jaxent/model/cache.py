"""The key-value cache: stacked by layer, carried through the layer scan, updated in place."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxent.model import config as configs


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values [L, B, S, K, H] of every layer; column s holds the s-th position of the padded rows."""

    k: jax.Array
    v: jax.Array

    def write(self, layer, column, k, v) -> "Cache":
        """The cache with k and v [B, T, K, H] at columns column .. column + T - 1 of one layer."""
        at = (layer, 0, column, 0, 0)
        return Cache(
            jax.lax.dynamic_update_slice(self.k, k[None].astype(self.k.dtype), at),
            jax.lax.dynamic_update_slice(self.v, v[None].astype(self.v.dtype), at),
        )

    def read(self, layer) -> tuple[jax.Array, jax.Array]:
        """Keys and values [B, S, K, H] of one layer."""
        return tuple(jax.lax.dynamic_index_in_dim(x, layer, 0, keepdims=False) for x in (self.k, self.v))


def empty(config: configs.Config, batch: int, columns: int, dtype) -> Cache:
    """A cache of zeros: 2 L B S K H elements of dtype."""
    shape = (config.layers, batch, columns, config.kv_heads, config.head_dim)
    return Cache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))
