"""The key-value cache: only as long as what it holds, updated in place."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import layout
from jax.sharding import Mesh

from jaxent.distributed import axes
from jaxent.model import config as configs

_ROWS, _COLUMNS = -4, -2  # axes of keys and values [..., B, K, S, H]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """Keys and values of every layer.

    Column s of a row holds its s-th position. Keys and values are each one array
    [L, B, K, S, H], carried through a scan over the layers, or a tuple of L arrays
    [B, K, S, H] for layers that run one by one: no layer is then cut out of a stack.

    Attributes:
        k: keys, rotated.
        v: values.
    """

    k: jax.Array | tuple[jax.Array, ...]
    v: jax.Array | tuple[jax.Array, ...]

    @property
    def columns(self) -> int:
        """S, the number of columns that there is room for."""
        return jax.tree.leaves(self.k)[0].shape[_COLUMNS]

    def write(self, layer, column, k, v, mesh: Mesh | None = None) -> "Cache":
        """The cache with new keys and values at consecutive columns of one layer.

        Args:
            layer: index of the layer; a Python int if layers are a tuple.
            column: first column written.
            k: [B, T, K, H], written at columns column .. column + T - 1.
            v: [B, T, K, H].
            mesh: mesh over which the cache is split, or None.

        Returns:
            The new cache.
        """

        def update(stored, new):
            new = new.swapaxes(1, 2)
            if isinstance(stored, tuple):
                changed = _update_slice(stored[layer], new, (0, 0, column, 0))
                return (*stored[:layer], changed, *stored[layer + 1 :])
            changed = _update_slice(stored, new[None], (layer, 0, 0, column, 0))
            return _keep_layout(changed, mesh)

        return Cache(update(self.k, k), update(self.v, v))

    def fill(self, rows, columns, k, v) -> "Cache":
        """The cache with keys and values of packed prompts, in every layer.

        Args:
            rows: int [P, T], row of each token. Tokens of rows that the cache does not
                have are dropped.
            columns: int [P, T], column of each token.
            k: [L, P, T, K, H].
            v: [L, P, T, K, H].

        Returns:
            The new cache.
        """

        def scatter(stored, new):
            new = new.astype(stored.dtype)
            return stored.at[rows, :, columns].set(new, mode="drop")

        def update(stored, new):
            if isinstance(stored, tuple):
                return tuple(map(scatter, stored, new))
            return jax.vmap(scatter)(stored, new)

        return Cache(update(self.k, k), update(self.v, v))

    def read(self, layer) -> tuple[jax.Array, jax.Array]:
        """Keys and values [B, K, S, H] of one layer."""

        def select(stored):
            if isinstance(stored, tuple):
                return stored[layer]
            return jax.lax.dynamic_index_in_dim(stored, layer, 0, keepdims=False)

        return select(self.k), select(self.v)

    def take(self, rows) -> "Cache":
        """The cache of the given rows [B'] only, in that order."""
        return jax.tree.map(lambda x: jnp.take(x, rows, axis=_ROWS), self)

    def grow(self, columns: int) -> "Cache":
        """The cache with room for so many columns, the new ones zero."""
        more = columns - self.columns

        def pad(x):
            before = ((0, 0),) * (x.ndim + _COLUMNS)
            return jnp.pad(x, (*before, (0, more), (0, 0)))

        return jax.tree.map(pad, self)


def _keep_layout(x, mesh: Mesh | None):
    """x [L, B, K, S, H], its axes kept in that order in memory on a TPU.

    XLA:TPU would otherwise copy the whole cache to another order and back in every
    chunk. Each device constrains its own part: XLA does not split the constraint of a
    whole array, but gathers for it.
    """

    def in_order(x):
        order = layout.Layout(major_to_minor=tuple(range(x.ndim)))
        return layout.with_layout_constraint(x, order)

    constrain: Any = in_order
    if mesh is not None:
        spec = axes.partition_spec("layer", "batch", "kv_heads", None, None)
        constrain = jax.shard_map(
            in_order, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
    return jax.lax.platform_dependent(x, tpu=constrain, default=lambda x: x)


def _update_slice(stored, new, start):
    """stored with new, cast to its dtype, at the start indices."""
    return jax.lax.dynamic_update_slice(stored, new.astype(stored.dtype), start)


def row_bytes(config: configs.Config, columns: int, dtype) -> int:
    """Bytes of one row of a cache: 2 L K S H elements.

    Args:
        config: gives L, K and H.
        columns: S.
        dtype: dtype of keys and values.

    Returns:
        Bytes.
    """
    elements = 2 * config.layers * config.kv_heads * columns * config.head_dim
    return elements * jnp.dtype(dtype).itemsize


def empty(
    config: configs.Config, rows: int, columns: int, dtype, per_layer: bool = False
) -> Cache:
    """A cache of zeros, `row_bytes` for each row.

    Args:
        config: gives L, K and H.
        rows: B.
        columns: S.
        dtype: dtype of keys and values.
        per_layer: a tuple of one array for each layer instead of one array.

    Returns:
        The cache.

    Example:
        >>> from jaxent.model import known_configs
        >>> config = known_configs.require_config("Qwen/Qwen3-0.6B")
        >>> cache = jax.eval_shape(lambda: empty(config, 2, 64, jnp.bfloat16))
        >>> cache.k.shape
        (28, 2, 8, 64, 128)
        >>> row_bytes(config, 64, jnp.bfloat16)
        7340032
    """
    shape = (rows, config.kv_heads, columns, config.head_dim)

    def zeros() -> Any:
        if per_layer:
            return tuple(jnp.zeros(shape, dtype) for _ in range(config.layers))
        return jnp.zeros((config.layers, *shape), dtype)

    return Cache(zeros(), zeros())
