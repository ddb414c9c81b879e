"""The decode loop: prefill, then a jitted while-loop a chunk at a time over a carried cache; finished rows leave the batch."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.data import batches
from jaxent.decode import choose, plan
from jaxent.distributed import axes, processes
from jaxent.model import cache as caches
from jaxent.model import convert, transformer

_PACKED = 512  # columns of the rows that prompts are packed into, unless the longest needs more or all need fewer


@dataclasses.dataclass(frozen=True)
class Request:
    """What to generate: up to max_new_tokens tokens a row, ended by any of the ids in `eos`, checked every `chunk` tokens.

    seed: a row's draws depend on it, the row's number and the position, not on the rows beside it.
    """

    max_new_tokens: int = 256
    eos: tuple[int, ...] = ()
    sampling: choose.Sampling = choose.Sampling()
    seed: int = 0
    chunk: int = 32

    def __post_init__(self):
        if self.max_new_tokens < 1 or self.chunk < 1:
            raise ValueError(
                f"max_new_tokens {self.max_new_tokens}, chunk {self.chunk}: expected positive numbers"
            )


@dataclasses.dataclass(frozen=True)
class Runner:
    """What generates: a model, its adapter (unmerged, or None), and the arithmetic with the mesh that both lie on, if any."""

    model: transformer.Transformer
    adapter: lora.Adapter | None = None
    compute: transformer.ComputeConfig = transformer.ComputeConfig()

    @property
    def mesh(self) -> Mesh | None:
        return self.compute.mesh

    @property
    def ways(self) -> int:
        """Parts that the rows are split into: batches are multiples of it."""
        return axes.axis_size(self.mesh, "batch")


@dataclasses.dataclass(frozen=True)
class TokenChunk:
    """New ids of one row; end is None, "eos", "stop" or "length"; near_ties counts the row's choices that were close."""

    row: int
    ids: list[int]
    end: str | None
    near_ties: int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _State:
    """Rows in flight: the cache, each row's first column, newest token (not yet in the cache), key's data, end and near ties."""

    cache: caches.Cache
    start: jax.Array
    last: jax.Array
    keys: jax.Array
    done: jax.Array
    near: jax.Array


def decode(
    runner: Runner,
    prompts: list[list[int]],
    request: Request,
    stopped: Callable[[int, list[int]], bool] = lambda row, ids: False,
) -> Iterator[TokenChunk]:
    """Continues each prompt (token ids); yields a row's new ids as they come, its last piece with `end`.

    stopped(row, ids so far) is asked after every chunk: True ends the row ("stop"). Rows that have ended leave the
    batch, which is split in several where memory requires it. Ids include the eos. In float32 every row equals
    itself alone, and transformers' generate. Raises ValueError for an empty prompt or too little memory.
    """
    lengths = [len(p) for p in prompts]
    if not prompts or min(lengths) == 0:
        raise ValueError(
            f"{len(prompts)} prompts, the shortest of {min(lengths, default=0)} tokens: expected non-empty prompts"
        )
    order = sorted(range(len(prompts)), key=lambda row: -lengths[row])
    while order:
        shape = plan.plan_layout(
            lengths[order[0]], request.max_new_tokens, request.chunk
        )
        free = (
            processes.all_min(plan.free_bytes())
            * runner.ways
            * axes.axis_size(runner.mesh, "kv_heads")
        )
        size = plan.rows_that_fit(
            runner.model.config, shape.columns, runner.compute.dtype, free
        )
        rows, order = order[:size], order[size:]
        yield from _batch(runner, prompts, rows, shape, request, stopped)


def complete(
    runner: Runner,
    prompts: list[list[int]],
    request: Request,
    stopped: Callable[[int, list[int]], bool] = lambda row, ids: False,
) -> list[list[int]]:
    """`decode` to its end: every row's new ids."""
    found: list[list[int]] = [[] for _ in prompts]
    for piece in decode(runner, prompts, request, stopped):
        found[piece.row] += piece.ids
    return found


def _batch(
    runner, prompts, rows, shape: plan.Layout, request: Request, stopped
) -> Iterator[TokenChunk]:
    blocks = _blocks(runner) if request.max_new_tokens > 1 else None
    state = _prefilled(runner, prompts, rows, shape, request, blocks is not None)
    options = dict(
        compute=runner.compute,
        sampling=request.sampling,
        eos=request.eos,
        mesh=runner.mesh,
    )
    found: dict[int, list[int]] = {row: [] for row in rows}
    alive = dict(enumerate(rows))  # place in the batch -> row
    new = axes.to_host(state.last)[:, None]
    produced = 1
    while True:
        near = axes.to_host(state.near)
        for place, row in list(alive.items()):
            piece = _piece(
                row, new[place].tolist(), found[row], int(near[place]), request, stopped
            )
            yield piece
            if piece.end:
                del alive[place]
        if not alive:
            return
        state, alive = _compact(state, alive, runner)
        count = min(request.chunk, request.max_new_tokens - produced)
        column = shape.width + produced - 1
        if (length := shape.length(column + count)) > state.cache.columns:
            state = _grow(state, length, mesh=runner.mesh)
        state, out, ran = _chunk(
            runner.model,
            blocks,
            state,
            runner.adapter,
            jnp.int32(column),
            jnp.int32(count),
            size=request.chunk,
            **options,
        )
        new = axes.to_host(out)[:, : int(ran)]
        produced += count


def _blocks(runner: Runner):
    """The layers one by one where that is faster and there is room for a copy: dense weights on one CPU. Otherwise None."""
    weights = jax.tree.leaves(runner.model.layers)
    dense = all(leaf.dtype != jnp.uint8 for leaf in weights)
    if jax.default_backend() != "cpu" or runner.mesh is not None or not dense:
        return None
    return (
        convert.unstack_layers(runner.model, runner.compute.dtype)
        if 2 * sum(w.nbytes for w in weights) < plan.free_bytes()
        else None
    )


def _piece(row, ids, before: list[int], near, request: Request, stopped) -> TokenChunk:
    """A row's piece of a chunk: cut at its eos, and ended where it has stopped or used up its length."""
    at = next((i for i, token in enumerate(ids) if token in request.eos), None)
    ids = ids if at is None else ids[: at + 1]
    before += ids
    if at is not None:
        return TokenChunk(row, ids, "eos", near)
    if stopped(row, before):
        return TokenChunk(row, ids, "stop", near)
    return TokenChunk(
        row, ids, "length" if len(before) >= request.max_new_tokens else None, near
    )


def _prefilled(
    runner: Runner, prompts, rows, shape: plan.Layout, request: Request, apart: bool
) -> _State:
    """The state after every row's prompt and first new token; the prompts run packed."""
    size, options = (
        plan.batch_buckets(len(rows), runner.ways)[0],
        dict(compute=runner.compute, mesh=runner.mesh),
    )
    columns = shape.length(shape.width + min(request.chunk, request.max_new_tokens - 1))
    config, dtype = runner.model.config, runner.compute.dtype
    cache, hidden = _empty(
        config=config,
        rows=size,
        columns=columns,
        dtype=dtype,
        apart=apart,
        mesh=runner.mesh,
    )
    folded = jax.vmap(
        functools.partial(jax.random.fold_in, jax.random.key(request.seed))
    )
    keys = np.asarray(
        jax.random.key_data(
            folded(jnp.arange(size).at[: len(rows)].set(jnp.array(rows)))
        )
    )
    keys = jnp.asarray(axes.device_put_logical(keys, runner.mesh, "batch", None))
    prompts = [prompts[row] for row in rows]
    start, done = (
        np.full(size, shape.width, np.int32),
        np.arange(size) >= len(rows),
    )  # rows that only fill the mesh are empty and done
    start[: len(rows)] -= [len(p) for p in prompts]
    start, done = _placed((start, done), runner.mesh)
    for packed in _packed(prompts, shape.width, runner.ways):
        packed = (
            axes.device_put_logical(x, runner.mesh, "batch", None) for x in packed
        )
        cache, hidden = _prefill(
            runner.model,
            cache,
            hidden,
            runner.adapter,
            *packed,
            start,
            **options,
        )
    last, near = _first(
        runner.model,
        hidden,
        keys,
        shape.width - start,
        sampling=request.sampling,
        **options,
    )
    done |= jnp.isin(last, jnp.array(request.eos, jnp.int32))
    return _State(cache, start, last, keys, done, near)


def _placed(arrays, mesh: Mesh | None):
    """Host arrays of one entry a row, split as rows are."""
    return [
        jnp.asarray(axes.device_put_logical(np.asarray(x), mesh, "batch"))
        for x in arrays
    ]


@functools.partial(
    jax.jit, static_argnames=("config", "rows", "columns", "dtype", "apart", "mesh")
)
def _empty(*, config, rows, columns, dtype, apart, mesh):
    """The cache, and the states [B,D] that the first new tokens follow from."""
    hidden = axes.constrain(jnp.zeros((rows, config.embed), dtype), mesh, "batch", None)
    return _split(caches.empty(config, rows, columns, dtype, apart), mesh), hidden


@functools.partial(jax.jit, static_argnames=("columns", "mesh"))
def _grow(state: _State, columns: int, *, mesh) -> _State:
    return dataclasses.replace(state, cache=_split(state.cache.grow(columns), mesh))


def _split(cache: caches.Cache, mesh: Mesh | None) -> caches.Cache:
    """The cache told to be split by rows and heads."""
    return jax.tree.map(
        lambda x: axes.constrain(x, mesh, "layer", "batch", "kv_heads", None, None),
        cache,
    )


def _packed(
    prompts: list[list[int]], width: int, ways: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The prompts' tokens a part at a time, in at most two shapes: (tokens, their prompts or -1 for padding, positions), int [P,T] each.

    T is at least width, the longest prompt's; P, the packed rows that run together, is a multiple of ways.
    """
    lengths = [len(p) for p in prompts]
    columns = max(width, min(_PACKED, plan.padded_length(sum(lengths))))
    bins = batches.first_fit(lengths, columns)
    size = max(1, transformer.default_pass_tokens() // columns // ways) * ways
    for begin in range(0, len(bins), size):
        part = bins[begin : begin + size]
        tokens, owners, positions = (
            np.full((-(-len(part) // ways) * ways, columns), fill, np.int32)
            for fill in (0, -1, 0)
        )
        for row, members in enumerate(part):
            used = sum(lengths[i] for i in members)
            tokens[row, :used] = np.concatenate([prompts[i] for i in members])
            owners[row, :used] = np.repeat(members, [lengths[i] for i in members])
            positions[row, :used] = np.concatenate(
                [np.arange(lengths[i]) for i in members]
            )
        yield tokens, owners, positions


@functools.partial(jax.jit, static_argnames=("compute", "mesh"), donate_argnums=(1, 2))
def _prefill(
    model,
    cache,
    hidden,
    adapter,
    tokens,
    owners,
    positions,
    start,
    *,
    compute,
    mesh,
):
    """The cache with the columns of `_packed`'s prompts from their start [B] on, and hidden [B,D] with the states of their last tokens."""
    tokens, owners, positions = (
        axes.constrain(x, mesh, "batch", None) for x in (tokens, owners, positions)
    )
    states, k, v = model.prefill(tokens, owners + 1, positions, adapter, compute)
    columns = start[owners] + positions
    last = owners != jnp.pad(owners[:, 1:], ((0, 0), (0, 1)), constant_values=-1)
    nowhere = len(start)
    cache = cache.fill(jnp.where(owners < 0, nowhere, owners), columns, k, v)
    hidden = hidden.at[jnp.where((owners < 0) | ~last, nowhere, owners)].set(
        states, mode="drop"
    )
    return _split(cache, mesh), axes.constrain(hidden, mesh, "batch", None)


@functools.partial(jax.jit, static_argnames=("sampling", "compute", "mesh"))
def _first(model, hidden, keys, position, *, sampling, compute, mesh):
    """The first new token of every row, and whether it was a near tie."""
    return tuple(
        axes.constrain(x, mesh, "batch")
        for x in _next(model, hidden, keys, position, sampling, compute)
    )


@functools.partial(
    jax.jit,
    static_argnames=("size", "compute", "sampling", "eos", "mesh"),
    donate_argnames="state",
)
def _chunk(
    model,
    blocks,
    state: _State,
    adapter,
    column,
    count,
    *,
    size,
    compute,
    sampling,
    eos,
    mesh,
):
    """Up to `count` (traced, at most `size`) more tokens of every row: (state, tokens [B,size], columns run).

    Ends early when every row is done. state.last goes to `column` first.
    """

    def more(carry):
        done, _, state = carry
        return (done < count) & ~state.done.all()

    def body(carry):
        i, out, state = carry
        hidden, cache = model.decode_step(
            state.last,
            state.start,
            column + i,
            state.cache,
            adapter,
            compute,
            blocks,
        )
        token, near = _next(
            model, hidden, state.keys, column + i + 1 - state.start, sampling, compute
        )
        ended = (
            state.done | jnp.isin(token, jnp.array(eos, jnp.int32))
            if eos
            else state.done
        )
        near = state.near + jnp.where(state.done, 0, near)
        out = jax.lax.dynamic_update_slice(out, token[:, None], (0, i))
        return (
            i + 1,
            out,
            dataclasses.replace(
                state, cache=_split(cache, mesh), last=token, done=ended, near=near
            ),
        )

    out = jnp.zeros((len(state.last), size), jnp.int32)
    ran, out, state = jax.lax.while_loop(more, body, (jnp.int32(0), out, state))
    return state, out, ran


def _next(model, hidden, keys, position, sampling, compute):
    """(token, near tie) int32 [B] each, of the token at `position` [B]."""
    logits = model.logits(hidden)
    drawn = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(keys), position)
    return choose.choose(logits, drawn, sampling), choose.near_tie(
        logits, compute.dtype
    ).astype(jnp.int32)


def _compact(
    state: _State, alive: dict[int, int], runner: Runner
) -> tuple[_State, dict[int, int]]:
    """The state of the living rows, once they fit a smaller size of the ladder; spare places repeat a row that is done."""
    sizes = plan.batch_buckets(len(state.last), runner.ways)
    size = min(n for n in sizes if n >= len(alive))
    places = list(alive)
    if size == sizes[0]:
        ended = np.ones(size, bool)
        ended[places] = False
        return dataclasses.replace(state, done=_placed([ended], runner.mesh)[0]), alive
    kept = np.array(places + places[:1] * (size - len(places)))
    state = _take(state, kept, mesh=runner.mesh)
    return dataclasses.replace(
        state, done=_placed([np.arange(size) >= len(places)], runner.mesh)[0]
    ), dict(enumerate(alive.values()))


@functools.partial(jax.jit, static_argnames="mesh")
def _take(state: _State, rows, *, mesh) -> _State:
    rest = {
        f.name: axes.constrain(getattr(state, f.name)[rows], mesh, "batch")
        for f in dataclasses.fields(state)
        if f.name != "cache"
    }
    return _State(cache=_split(state.cache.take(rows), mesh), **rest)
