"""Prompts to a filled cache: a forward pass runs several prompts in each row.

A decoding batch has one row for each prompt, which would waste most of a forward pass
on padding. So prompts are packed into rows of at most 512 tokens (or of the longest
prompt), and their keys and values then go to the cache's rows.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.typing import DTypeLike

from jaxent.arrays import lora
from jaxent.data import batches
from jaxent.decode import batch, plan
from jaxent.distributed import axes
from jaxent.model import cache as caches
from jaxent.model import config as configs
from jaxent.model import transformer

# Columns of packed rows, unless the longest prompt needs more or all need fewer.
_PACKED_COLUMNS = 512
_PADDING = -1  # instead of a prompt's index

Packed = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Tokens, index of each token's prompt (-1: padding), positions: int32 [P, T] each."""


def run_prompts(
    model: transformer.Transformer,
    adapter: lora.Adapter | None,
    compute: transformer.ComputeConfig,
    prompts: list[list[int]],
    *,
    rows: int,
    width: int,
    columns: int,
    per_layer: bool,
) -> tuple[caches.Cache, jax.Array, jax.Array]:
    """Runs prompts and keeps their keys and values.

    Args:
        model: The base model.
        adapter: The adapter, or None.
        compute: The arithmetic, and the mesh if any.
        prompts: Token ids of each.
        rows: Rows of the batch B, at least the number of prompts; the rest is empty.
        width: Columns of the prompts, which end at the last of them.
        columns: Columns of the cache.
        per_layer: Whether the cache is one array for each layer.

    Returns:
        (cache, states of the prompts' last tokens [B, D], first columns int32 [B]).
    """
    mesh = compute.mesh
    cache, hidden = allocate(
        config=model.config,
        rows=rows,
        columns=columns,
        dtype=compute.dtype,
        per_layer=per_layer,
        mesh=mesh,
    )
    starts = np.full(rows, width, np.int32)
    starts[: len(prompts)] -= [len(prompt) for prompt in prompts]
    start = batch.device_put_rows(starts, mesh)
    for packed in pack_prompts(prompts, width, axes.axis_size(mesh, "batch")):
        tokens, owners, positions = (
            axes.device_put_logical(x, mesh, "batch", None) for x in packed
        )
        cache, hidden = prefill_packed(
            model,
            cache,
            hidden,
            adapter,
            tokens,
            owners,
            positions,
            start,
            compute=compute,
        )
    return cache, hidden, start


@functools.partial(
    jax.jit,
    static_argnames=("config", "rows", "columns", "dtype", "per_layer", "mesh"),
)
def allocate(
    *,
    config: configs.Config,
    rows: int,
    columns: int,
    dtype: DTypeLike,
    per_layer: bool,
    mesh: Mesh | None,
) -> tuple[caches.Cache, jax.Array]:
    """An empty cache, and zeros [rows, D] for the states of last tokens."""
    hidden = jnp.zeros((rows, config.embed), dtype)
    cache = caches.empty(config, rows, columns, dtype, per_layer)
    return (
        batch.constrain_cache(cache, mesh),
        axes.constrain(hidden, mesh, "batch", None),
    )


def pack_prompts(
    prompts: list[list[int]], width: int, axis_size: int = 1
) -> Iterator[Packed]:
    """Packs prompts into rows, as many rows at a time as a forward pass runs.

    Args:
        prompts: Token ids of each.
        width: T is at least this, and this at least the longest prompt.
        axis_size: P, the rows of a part, is a multiple of it.

    Yields:
        A part of the prompts. There are at most two shapes [P, T].

    Example:
        >>> [(tokens, owners, positions)] = pack_prompts([[5, 6], [7]], width=4)
        >>> tokens[0, :4].tolist(), owners[0, :4].tolist(), positions[0, :4].tolist()
        ([5, 6, 7, 0], [0, 0, 1, -1], [0, 1, 0, 0])
    """
    lengths = [len(prompt) for prompt in prompts]
    columns = max(width, min(_PACKED_COLUMNS, plan.padded_length(sum(lengths))))
    rows = batches.first_fit(lengths, columns)
    size = transformer.default_pass_tokens() // columns // axis_size
    size = max(1, size) * axis_size
    for begin in range(0, len(rows), size):
        yield _pack_rows(prompts, rows[begin : begin + size], columns, axis_size)


def _pack_rows(
    prompts: list[list[int]], rows: list[list[int]], columns: int, axis_size: int
) -> Packed:
    """Packed rows, each given by the indices of its prompts."""
    shape = (-(-len(rows) // axis_size) * axis_size, columns)
    tokens = np.full(shape, 0, np.int32)
    owners = np.full(shape, _PADDING, np.int32)
    positions = np.full(shape, 0, np.int32)
    for row, members in enumerate(rows):
        lengths = [len(prompts[i]) for i in members]
        used = sum(lengths)
        tokens[row, :used] = np.concatenate([prompts[i] for i in members])
        owners[row, :used] = np.repeat(members, lengths)
        positions[row, :used] = np.concatenate([np.arange(n) for n in lengths])
    return tokens, owners, positions


@functools.partial(jax.jit, static_argnames="compute", donate_argnums=(1, 2))
def prefill_packed(
    model: transformer.Transformer,
    cache: caches.Cache,
    hidden: jax.Array,
    adapter: lora.Adapter | None,
    tokens: jax.Array,
    owners: jax.Array,
    positions: jax.Array,
    start: jax.Array,
    *,
    compute: transformer.ComputeConfig,
) -> tuple[caches.Cache, jax.Array]:
    """Runs packed prompts and writes what they leave to the batch's rows.

    Args:
        model: The base model.
        cache: The batch's cache; donated.
        hidden: [B, D]; donated.
        adapter: The adapter, or None.
        tokens: int32 [P, T], as `owners` and `positions` from `pack_prompts`.
        owners: The batch's row of each token, or -1.
        positions: Of the tokens in their prompts.
        start: First column of each row of the batch, int32 [B].
        compute: The arithmetic.

    Returns:
        The cache with the prompts' columns from `start` on, and `hidden` with the
        states of the prompts' last tokens.
    """
    mesh = compute.mesh
    tokens, owners, positions = (
        axes.constrain(x, mesh, "batch", None) for x in (tokens, owners, positions)
    )
    states, k, v = model.prefill(tokens, owners + 1, positions, adapter, compute)
    columns = start[owners] + positions
    is_padding = owners < 0
    next_owners = jnp.pad(owners[:, 1:], ((0, 0), (0, 1)), constant_values=_PADDING)
    is_last = owners != next_owners
    no_row = len(start)  # updates of a row that the batch lacks are dropped
    cache = cache.fill(jnp.where(is_padding, no_row, owners), columns, k, v)
    last_rows = jnp.where(is_padding | ~is_last, no_row, owners)
    hidden = hidden.at[last_rows].set(states, mode="drop")
    return (
        batch.constrain_cache(cache, mesh),
        axes.constrain(hidden, mesh, "batch", None),
    )
