"""The key-value cache: stacked by layer, carried through the layer scan, updated in place."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxent.model import config as configs


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values [L, B, K, S, H] of every layer; column s holds the s-th position of the padded rows."""

    k: jax.Array
    v: jax.Array

    @property
    def columns(self) -> int:
        return self.k.shape[3]

    def write(self, layer, column, k, v) -> "Cache":
        """The cache with k and v [B, T, K, H] at columns column .. column + T - 1 of one layer."""
        return jax.tree.map(lambda kept, new: _update(kept, new.swapaxes(1, 2)[None], (layer, 0, 0, column, 0)), self, Cache(k, v))

    def fill(self, row, column, k, v) -> "Cache":
        """The cache with k and v [L, B', T, K, H] of every layer at rows row .., columns column .. ."""
        return jax.tree.map(lambda kept, new: _update(kept, new.swapaxes(2, 3), (0, row, 0, column, 0)), self, Cache(k, v))

    def read(self, layer, columns: int) -> tuple[jax.Array, jax.Array]:
        """Keys and values [B, K, columns, H] of one layer's first columns."""
        _, b, heads, _, dim = self.k.shape
        cut = lambda x: jax.lax.dynamic_slice(x, (layer, 0, 0, 0, 0), (1, b, heads, columns, dim))[0]
        return cut(self.k), cut(self.v)

    def take(self, rows) -> "Cache":
        """The cache of some rows [B'] only, in that order."""
        return jax.tree.map(lambda x: jnp.take(x, rows, axis=1), self)


def _update(kept, new, at):
    return jax.lax.dynamic_update_slice(kept, new.astype(kept.dtype), at)


def row_bytes(config: configs.Config, columns: int, dtype) -> int:
    """Bytes of one row of a cache of so many columns: 2 L K S H elements of dtype."""
    return 2 * config.layers * config.kv_heads * columns * config.head_dim * jnp.dtype(dtype).itemsize


def empty(config: configs.Config, rows: int, columns: int, dtype) -> Cache:
    """A cache of zeros: `row_bytes` a row."""
    shape = (config.layers, rows, config.kv_heads, columns, config.head_dim)
    return Cache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))
