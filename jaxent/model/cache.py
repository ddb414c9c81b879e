"""The key-value cache: carried through the layers, updated in place, only as long as what it holds."""

import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import layout
from jax.sharding import Mesh

from jaxent.distributed import axes
from jaxent.model import config as configs

_ROWS, _COLUMNS = -4, -2


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values of every layer; column s holds the s-th position of the padded rows.

    Each one array [L, B, K, S, H], or, for layers run one by one, a tuple of L arrays [B, K, S, H]: no layer is cut out then.
    """

    k: jax.Array | tuple[jax.Array, ...]
    v: jax.Array | tuple[jax.Array, ...]

    @property
    def columns(self) -> int:
        return jax.tree.leaves(self.k)[0].shape[_COLUMNS]

    def write(self, layer, column, k, v, mesh: Mesh | None = None) -> "Cache":
        """The cache, which lies on the mesh if there is one, with k and v [B, T, K, H] at columns column .. column + T - 1 of one layer."""

        def one(kept, new):
            new = new.swapaxes(1, 2)
            if not isinstance(kept, tuple):
                return _as_it_lies(
                    _update(kept, new[None], (layer, 0, 0, column, 0)), mesh
                )
            return (
                *kept[:layer],
                _update(kept[layer], new, (0, 0, column, 0)),
                *kept[layer + 1 :],
            )

        return Cache(one(self.k, k), one(self.v, v))

    def fill(self, rows, columns, k, v) -> "Cache":
        """The cache with k and v [L, P, T, K, H] of every layer at rows and columns [P, T]; none where the cache has no such row."""
        put = lambda kept, new: kept.at[rows, :, columns].set(
            new.astype(kept.dtype), mode="drop"
        )
        one = lambda kept, new: (
            tuple(map(put, kept, new))
            if isinstance(kept, tuple)
            else jax.vmap(put)(kept, new)
        )
        return Cache(one(self.k, k), one(self.v, v))

    def read(self, layer) -> tuple[jax.Array, jax.Array]:
        """Keys and values [B, K, S, H] of one layer."""
        cut = lambda x: (
            x[layer]
            if isinstance(x, tuple)
            else jax.lax.dynamic_index_in_dim(x, layer, 0, keepdims=False)
        )
        return cut(self.k), cut(self.v)

    def take(self, rows) -> "Cache":
        """The cache of some rows [B'] only, in that order."""
        return jax.tree.map(lambda x: jnp.take(x, rows, axis=_ROWS), self)

    def grow(self, columns: int) -> "Cache":
        """The cache with room for so many columns."""
        more = columns - self.columns
        return jax.tree.map(
            lambda x: jnp.pad(x, ((0, 0),) * (x.ndim + _COLUMNS) + ((0, more), (0, 0))),
            self,
        )


def _as_it_lies(x, mesh: Mesh | None):
    """x [L, B, K, S, H], told on a TPU to keep its axes' order in memory: XLA:TPU would otherwise copy the whole cache to another order and
    back in every chunk. Told on each device's own part: the order of a split array is a call that XLA does not split, but gathers for.
    """
    ordered = lambda x: layout.with_layout_constraint(
        x, layout.Layout(major_to_minor=tuple(range(x.ndim)))
    )
    if mesh is not None:
        spec = axes.partition_spec("layer", "batch", "kv_heads", None, None)
        ordered = jax.shard_map(
            ordered, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
    return jax.lax.platform_dependent(x, tpu=ordered, default=lambda x: x)


def _update(kept, new, at):
    return jax.lax.dynamic_update_slice(kept, new.astype(kept.dtype), at)


def row_bytes(config: configs.Config, columns: int, dtype) -> int:
    """Bytes of one row of a cache of so many columns: 2 L K S H elements of dtype."""
    return (
        2
        * config.layers
        * config.kv_heads
        * columns
        * config.head_dim
        * jnp.dtype(dtype).itemsize
    )


def empty(
    config: configs.Config, rows: int, columns: int, dtype, apart: bool = False
) -> Cache:
    """A cache of zeros: `row_bytes` a row. apart: its layers one by one."""
    shape = (rows, config.kv_heads, columns, config.head_dim)
    make = lambda: (
        tuple(jnp.zeros(shape, dtype) for _ in range(config.layers))
        if apart
        else jnp.zeros((config.layers, *shape), dtype)
    )
    return Cache(make(), make())
