"""The rows that are decoded together: their state on the device and how it changes.

A chunk of new tokens for every row is one jitted while-loop over a carried cache. Rows
that have ended leave the batch once the others fit a smaller size.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.decode import choose, plan
from jaxent.distributed import axes
from jaxent.model import blocks, transformer
from jaxent.model import cache as caches


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class BatchState:
    """Rows in flight.

    Attributes:
        cache: Keys and values of the columns so far, but for the newest tokens.
        start: First column of each row, int32 [B]; the columns before are padding.
        last: Newest token of each row, int32 [B].
        keys: Data of each row's PRNG key, uint32 [B, 2].
        done: Whether a row has ended, bool [B].
        near_ties: How many choices of a row were near ties, int32 [B].
    """

    cache: caches.Cache
    start: jax.Array
    last: jax.Array
    keys: jax.Array
    done: jax.Array
    near_ties: jax.Array


def device_put_rows(values: np.ndarray, mesh: Mesh | None) -> jax.Array:
    """A host array with one entry for each row, split as the rows are."""
    return jnp.asarray(axes.device_put_logical(values, mesh, "batch"))


def constrain_cache(cache: caches.Cache, mesh: Mesh | None) -> caches.Cache:
    """The cache, split by rows and heads."""
    return jax.tree.map(
        lambda x: axes.constrain(x, mesh, "layer", "batch", "kv_heads", None, None),
        cache,
    )


def row_keys(seed: int, rows: list[int], size: int, mesh: Mesh | None) -> jax.Array:
    """The data of each row's PRNG key, uint32 [size, 2].

    A key depends on the seed and on the number of the row among all prompts. Rows that
    only fill the mesh have keys too, which are never used.
    """
    numbers = jnp.arange(size).at[: len(rows)].set(jnp.array(rows))
    fold_in = functools.partial(jax.random.fold_in, jax.random.key(seed))
    data = np.asarray(jax.random.key_data(jax.vmap(fold_in)(numbers)))
    return jnp.asarray(axes.device_put_logical(data, mesh, "batch", None))


@functools.partial(jax.jit, static_argnames=("sampling", "compute"))
def first_tokens(
    model: transformer.Transformer,
    hidden: jax.Array,
    keys: jax.Array,
    position: jax.Array,
    *,
    sampling: choose.Sampling,
    compute: transformer.ComputeConfig,
) -> tuple[jax.Array, jax.Array]:
    """The first new token of every row, and whether it was a near tie.

    Args:
        model: The base model.
        hidden: States of the prompts' last tokens, [B, D].
        keys: Data of PRNG keys, uint32 [B, 2].
        position: Of the new tokens, int32 [B].
        sampling: How to choose.
        compute: The arithmetic.

    Returns:
        (tokens, near ties), int32 [B] each.
    """
    token, near = _next_tokens(model, hidden, keys, position, sampling, compute)
    mesh = compute.mesh
    return axes.constrain(token, mesh, "batch"), axes.constrain(near, mesh, "batch")


@functools.partial(
    jax.jit,
    static_argnames=("size", "compute", "sampling", "eos"),
    donate_argnames="state",
)
def decode_chunk(
    model: transformer.Transformer,
    blocks: tuple[blocks.Block, ...] | None,
    state: BatchState,
    adapter: lora.Adapter | None,
    column: jax.Array,
    count: jax.Array,
    *,
    size: int,
    compute: transformer.ComputeConfig,
    sampling: choose.Sampling,
    eos: tuple[int, ...],
) -> tuple[BatchState, jax.Array, jax.Array]:
    """Up to `count` more tokens of every row; fewer when all rows are done.

    Args:
        model: The base model.
        blocks: Its layers one by one, or None to scan over the stacked ones.
        state: The rows; donated.
        adapter: The adapter, or None.
        column: Where `state.last` goes, int32.
        count: Columns to run, int32, at most `size`.
        size: Columns of the result.
        compute: The arithmetic.
        sampling: How to choose.
        eos: Ids that end a row.

    Returns:
        (state, tokens int32 [B, size], columns run).
    """

    def goes_on(carry):
        done, _, state = carry
        return (done < count) & ~state.done.all()

    def run_column(carry):
        i, tokens, state = carry
        hidden, cache = model.decode_step(
            state.last, state.start, column + i, state.cache, adapter, compute, blocks
        )
        position = column + i + 1 - state.start
        token, near = _next_tokens(
            model, hidden, state.keys, position, sampling, compute
        )
        state = _with_token(state, cache, token, near, eos, compute.mesh)
        tokens = jax.lax.dynamic_update_slice(tokens, token[:, None], (0, i))
        return i + 1, tokens, state

    tokens = jnp.zeros((len(state.last), size), jnp.int32)
    begin = (jnp.int32(0), tokens, state)
    ran, tokens, state = jax.lax.while_loop(goes_on, run_column, begin)
    return state, tokens, ran


def _with_token(
    state: BatchState,
    cache: caches.Cache,
    token: jax.Array,
    near: jax.Array,
    eos: tuple[int, ...],
    mesh: Mesh | None,
) -> BatchState:
    """The state after one more column; tokens of rows that were done do not count."""
    done = state.done
    if eos:
        done = done | jnp.isin(token, jnp.array(eos, jnp.int32))
    return dataclasses.replace(
        state,
        cache=constrain_cache(cache, mesh),
        last=token,
        done=done,
        near_ties=state.near_ties + jnp.where(state.done, 0, near),
    )


def _next_tokens(
    model: transformer.Transformer,
    hidden: jax.Array,
    keys: jax.Array,
    position: jax.Array,
    sampling: choose.Sampling,
    compute: transformer.ComputeConfig,
) -> tuple[jax.Array, jax.Array]:
    """(tokens, near ties), int32 [B] each, at `position` [B]; hidden [B, D]."""
    logits = model.logits(hidden)
    drawn = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(keys), position)
    token = choose.choose(logits, drawn, sampling)
    near = choose.near_tie(logits, compute.dtype)
    return token, near.astype(jnp.int32)


@functools.partial(jax.jit, static_argnames=("columns", "mesh"))
def grow(state: BatchState, columns: int, *, mesh: Mesh | None) -> BatchState:
    """The state with a cache of so many columns."""
    cache = constrain_cache(state.cache.grow(columns), mesh)
    return dataclasses.replace(state, cache=cache)


def compact(
    state: BatchState, alive: dict[int, int], mesh: Mesh | None
) -> tuple[BatchState, dict[int, int]]:
    """Removes ended rows once the others fit a smaller batch.

    Args:
        state: The rows of the batch.
        alive: Index in the batch -> number of the prompt, of rows that have not ended.
        mesh: The mesh that rows are split over, if any.

    Returns:
        The state, in which all rows but those alive are done, and `alive` for it.
    """
    sizes = plan.batch_buckets(len(state.last), axes.axis_size(mesh, "batch"))
    size = min(s for s in sizes if s >= len(alive))
    kept = list(alive)
    if size == sizes[0]:
        done = np.ones(size, bool)
        done[kept] = False
        return dataclasses.replace(state, done=device_put_rows(done, mesh)), alive
    # Spare rows of the smaller batch repeat one of the others, and are done.
    spare = kept[:1] * (size - len(kept))
    state = _take(state, np.array(kept + spare), mesh=mesh)
    done = np.arange(size) >= len(kept)
    state = dataclasses.replace(state, done=device_put_rows(done, mesh))
    return state, dict(enumerate(alive.values()))


@functools.partial(jax.jit, static_argnames="mesh")
def _take(state: BatchState, rows: jax.Array, *, mesh: Mesh | None) -> BatchState:
    """The state of some rows, int [B'], in that order."""
    arrays = {
        field.name: axes.constrain(getattr(state, field.name)[rows], mesh, "batch")
        for field in dataclasses.fields(state)
        if field.name != "cache"
    }
    cache = constrain_cache(state.cache.take(rows), mesh)
    return BatchState(cache=cache, **arrays)
