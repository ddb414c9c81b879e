"""The decode loop: prefill, then a jitted while-loop a chunk at a time over a carried cache; finished rows leave the batch."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxent.arrays import axes, lora, processes
from jaxent.decode import choose, plan
from jaxent.model import cache as caches, transformer

_PREFILL_TOKENS = 8192  # prompt tokens run at a time


@dataclasses.dataclass(frozen=True)
class Request:
    """What to generate: up to max_new tokens a row, ended by any of the ids in `eos`, checked every `chunk` tokens.

    seed: a row's draws depend on it, the row's number and the position, not on the rows beside it.
    """

    max_new: int = 256
    eos: tuple[int, ...] = ()
    sampling: choose.Sampling = choose.Sampling()
    seed: int = 0
    chunk: int = 32

    def __post_init__(self):
        if self.max_new < 1 or self.chunk < 1:
            raise ValueError(f"max_new {self.max_new}, chunk {self.chunk}: expected positive numbers")


@dataclasses.dataclass(frozen=True)
class Runner:
    """What generates: a model, its adapter (unmerged, or None), and the arithmetic with the mesh that both lie on, if any."""

    model: transformer.Transformer
    adapter: dict[str, lora.Factors] | None = None
    spec: lora.Spec | None = None
    compute: transformer.Compute = transformer.Compute()

    @property
    def mesh(self) -> Mesh | None:
        return self.compute.mesh

    @property
    def ways(self) -> int:
        """Parts that the rows are split into: batches are multiples of it."""
        return axes.ways(self.mesh, "batch")


@dataclasses.dataclass(frozen=True)
class Piece:
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
    runner: Runner, prompts: list[list[int]], request: Request, stopped: Callable[[int, list[int]], bool] = lambda row, ids: False
) -> Iterator[Piece]:
    """Continues each prompt (token ids); yields a row's new ids as they come, its last piece with `end`.

    stopped(row, ids so far) is asked after every chunk: True ends the row ("stop"). Rows that have ended leave the
    batch, which is split in several where memory requires it. Ids include the eos. In float32 every row equals
    itself alone, and transformers' generate. Raises ValueError for an empty prompt or too little memory.
    """
    lengths = [len(p) for p in prompts]
    if not prompts or min(lengths) == 0:
        raise ValueError(f"{len(prompts)} prompts, the shortest of {min(lengths, default=0)} tokens: expected non-empty prompts")
    order = sorted(range(len(prompts)), key=lambda row: -lengths[row])
    while order:
        shape = plan.layout(lengths[order[0]], request.max_new, request.chunk)
        free = processes.least(plan.free_bytes()) * runner.ways * axes.ways(runner.mesh, "kv_heads")
        size = plan.rows_that_fit(runner.model.config, shape.columns, runner.compute.dtype, free)
        rows, order = order[:size], order[size:]
        yield from _batch(runner, prompts, rows, shape, request, stopped)


def complete(runner: Runner, prompts: list[list[int]], request: Request) -> list[list[int]]:
    """`decode` to its end: every row's new ids."""
    found: list[list[int]] = [[] for _ in prompts]
    for piece in decode(runner, prompts, request):
        found[piece.row] += piece.ids
    return found


def _batch(runner, prompts, rows, shape: plan.Layout, request: Request, stopped) -> Iterator[Piece]:
    blocks = _blocks(runner) if request.max_new > 1 else None
    state = _prefilled(runner, prompts, rows, shape, request, blocks is not None)
    options = dict(spec=runner.spec, compute=runner.compute, sampling=request.sampling, eos=request.eos, mesh=runner.mesh)
    found: dict[int, list[int]] = {row: [] for row in rows}
    alive = dict(enumerate(rows))  # place in the batch -> row
    new = axes.host(state.last)[:, None]
    produced = 1
    while True:
        near = axes.host(state.near)
        for place, row in list(alive.items()):
            piece = _piece(row, new[place].tolist(), found[row], int(near[place]), request, stopped)
            yield piece
            if piece.end:
                del alive[place]
        if not alive:
            return
        state, alive = _compact(state, alive, runner)
        count = min(request.chunk, request.max_new - produced)
        column = shape.width + produced - 1
        if (length := shape.length(column + count)) > state.cache.columns:
            state = _grow(state, length, mesh=runner.mesh)
        state, out, ran = _chunk(
            runner.model, blocks, state, runner.adapter, jnp.int32(column), jnp.int32(count), size=request.chunk, **options
        )
        new = axes.host(out)[:, : int(ran)]
        produced += count


def _blocks(runner: Runner):
    """The layers one by one where that is faster and there is room for a copy: dense weights on one CPU. Otherwise None."""
    weights = jax.tree.leaves(runner.model.layers)
    dense = all(leaf.dtype != jnp.uint8 for leaf in weights)
    if jax.default_backend() != "cpu" or runner.mesh is not None or not dense:
        return None
    return transformer.unstacked(runner.model, runner.compute.dtype) if 2 * sum(w.nbytes for w in weights) < plan.free_bytes() else None


def _piece(row, ids, before: list[int], near, request: Request, stopped) -> Piece:
    """A row's piece of a chunk: cut at its eos, and ended where it has stopped or used up its length."""
    at = next((i for i, token in enumerate(ids) if token in request.eos), None)
    ids = ids if at is None else ids[: at + 1]
    before += ids
    if at is not None:
        return Piece(row, ids, "eos", near)
    if stopped(row, before):
        return Piece(row, ids, "stop", near)
    return Piece(row, ids, "length" if len(before) >= request.max_new else None, near)


def _prefilled(runner: Runner, prompts, rows, shape: plan.Layout, request: Request, apart: bool) -> _State:
    """The state after every row's prompt and first new token; prompts of like length run together, at their own width."""
    size = plan.ladder(len(rows), runner.ways)[0]
    prompts = [prompts[row] for row in rows]
    prompts += prompts[-1:] * (size - len(rows))  # rows that only fill the mesh
    columns = shape.length(shape.width + min(request.chunk, request.max_new - 1))
    cache = _empty(config=runner.model.config, rows=size, columns=columns, dtype=runner.compute.dtype, apart=apart, mesh=runner.mesh)
    folded = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(request.seed)))
    keys = np.asarray(jax.random.key_data(folded(jnp.arange(size).at[: len(rows)].set(jnp.array(rows)))))
    last, near = (np.zeros(size, np.int32) for _ in range(2))
    for begin, width, number in _prefill_groups([len(p) for p in prompts], shape.width):
        group = slice(begin, begin + number)
        tokens, start = _left_padded(prompts[group], width, runner.ways)
        drawn = keys[(begin + np.arange(len(tokens))) % size]
        tokens, start, drawn = (axes.put(x, runner.mesh, *("batch", None)[: x.ndim]) for x in (tokens, start, drawn))
        cache, first, tie = _prefill(
            runner.model, cache, runner.adapter, tokens, start, drawn, jnp.int32(begin), jnp.int32(shape.width - width),
            number=number, spec=runner.spec, compute=runner.compute, sampling=request.sampling, mesh=runner.mesh,
        )  # fmt: skip
        last[group], near[group] = axes.host((first, tie))
    start = np.array([shape.width - len(p) for p in prompts], np.int32)
    done = np.isin(last, request.eos)
    done[len(rows) :] = True
    start, last, done, near = _placed((start, last, done, near), runner.mesh)
    return _State(cache, start, last, jnp.asarray(axes.put(keys, runner.mesh, "batch", None)), done, near)


def _placed(arrays, mesh: Mesh | None):
    """Host arrays of one entry a row, split as rows are."""
    return [jnp.asarray(axes.put(np.asarray(x), mesh, "batch")) for x in arrays]


@functools.partial(jax.jit, static_argnames=("config", "rows", "columns", "dtype", "apart", "mesh"))
def _empty(*, config, rows, columns, dtype, apart, mesh):
    return _split(caches.empty(config, rows, columns, dtype, apart), mesh)


@functools.partial(jax.jit, static_argnames=("columns", "mesh"))
def _grow(state: _State, columns: int, *, mesh) -> _State:
    return dataclasses.replace(state, cache=_split(state.cache.grow(columns), mesh))


def _split(cache: caches.Cache, mesh: Mesh | None) -> caches.Cache:
    """The cache told to be split by rows and heads."""
    return jax.tree.map(lambda x: axes.constrain(x, mesh, "layer", "batch", "kv_heads", None, None), cache)


def _prefill_groups(lengths: list[int], width: int) -> Iterator[tuple[int, int, int]]:
    """(first row, width, rows) of each prefill of rows sorted by falling length: at most two sizes a width."""
    for w, members in itertools.groupby(range(len(lengths)), key=lambda row: plan.prefill_width(lengths[row], width)):
        members = list(members)
        size = max(1, _PREFILL_TOKENS // w)
        for at in range(0, len(members), size):
            yield members[at], w, len(members[at : at + size])


def _left_padded(prompts: list[list[int]], width: int, ways: int) -> tuple[np.ndarray, np.ndarray]:
    """(tokens [B,width], first real columns [B]), B the number of prompts rounded up to a multiple of ways."""
    prompts = prompts + prompts[:1] * (-len(prompts) % ways)
    padded = np.zeros((len(prompts), width), np.int32)
    for row, prompt in zip(padded, prompts):
        row[width - len(prompt) :] = prompt
    return padded, np.array([width - len(p) for p in prompts], np.int32)


@functools.partial(jax.jit, static_argnames=("number", "spec", "compute", "sampling", "mesh"), donate_argnums=1)
def _prefill(model, cache, adapter, tokens, start, keys, row, column, *, number, spec, compute, sampling, mesh):
    """The cache with the first `number` prompts' columns from (row, column) on, their first new tokens, and near ties."""
    tokens = axes.constrain(tokens, mesh, "batch", None)
    hidden, k, v = model.prefill(tokens, start, adapter, spec, compute)
    first, near = _next(model, hidden, keys, tokens.shape[1] - start, sampling, compute)
    return _split(cache.fill(row, column, k[:, :number], v[:, :number]), mesh), first[:number], near[:number]


@functools.partial(
    jax.jit, static_argnames=("size", "spec", "compute", "sampling", "eos", "mesh"), donate_argnames="state"
)
def _chunk(model, blocks, state: _State, adapter, column, count, *, size, spec, compute, sampling, eos, mesh):
    """Up to `count` (traced, at most `size`) more tokens of every row: (state, tokens [B,size], columns run).

    Ends early when every row is done. state.last goes to `column` first.
    """

    def more(carry):
        done, _, state = carry
        return (done < count) & ~state.done.all()

    def body(carry):
        i, out, state = carry
        hidden, cache = model.extend(state.last, state.start, column + i, state.cache, adapter, spec, compute, blocks)
        token, near = _next(model, hidden, state.keys, column + i + 1 - state.start, sampling, compute)
        ended = state.done | jnp.isin(token, jnp.array(eos, jnp.int32)) if eos else state.done
        near = state.near + jnp.where(state.done, 0, near)
        out = jax.lax.dynamic_update_slice(out, token[:, None], (0, i))
        return i + 1, out, dataclasses.replace(state, cache=_split(cache, mesh), last=token, done=ended, near=near)

    out = jnp.zeros((len(state.last), size), jnp.int32)
    ran, out, state = jax.lax.while_loop(more, body, (jnp.int32(0), out, state))
    return state, out, ran


def _next(model, hidden, keys, position, sampling, compute):
    """(token, near tie) int32 [B] each, of the token at `position` [B]."""
    logits = model.logits(hidden)
    drawn = jax.vmap(jax.random.fold_in)(jax.random.wrap_key_data(keys), position)
    return choose.choose(logits, drawn, sampling), choose.near_tie(logits, compute.dtype).astype(jnp.int32)


def _compact(state: _State, alive: dict[int, int], runner: Runner) -> tuple[_State, dict[int, int]]:
    """The state of the living rows, once they fit a smaller size of the ladder; spare places repeat a row that is done."""
    sizes = plan.ladder(len(state.last), runner.ways)
    size = min(n for n in sizes if n >= len(alive))
    places = list(alive)
    if size == sizes[0]:
        ended = np.ones(size, bool)
        ended[places] = False
        return dataclasses.replace(state, done=_placed([ended], runner.mesh)[0]), alive
    kept = np.array(places + places[:1] * (size - len(places)))
    state = _take(state, kept, mesh=runner.mesh)
    return dataclasses.replace(state, done=_placed([np.arange(size) >= len(places)], runner.mesh)[0]), dict(enumerate(alive.values()))


@functools.partial(jax.jit, static_argnames="mesh")
def _take(state: _State, rows, *, mesh) -> _State:
    rest = {f.name: axes.constrain(getattr(state, f.name)[rows], mesh, "batch") for f in dataclasses.fields(state) if f.name != "cache"}
    return _State(cache=_split(state.cache.take(rows), mesh), **rest)
