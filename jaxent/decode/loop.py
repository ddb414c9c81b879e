"""The decode loop: prefill, then a chunk of tokens at a time for all rows together."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.decode import batch, choose, plan, prefill
from jaxent.distributed import axes, processes
from jaxent.model import blocks, convert, transformer

Stopped = Callable[[int, list[int]], bool]
"""(row, its new ids so far) -> whether the row ends here."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What to generate.

    Attributes:
        max_new_tokens: New tokens of a row, at most.
        eos: Ids that end a row.
        sampling: How to choose tokens.
        seed: A row's draws depend on it, on the row's number and on the position, not
            on the rows beside it.
        chunk: Tokens between two looks at which rows have ended.

    Raises:
        ValueError: If a number is not positive.
    """

    max_new_tokens: int = 256
    eos: tuple[int, ...] = ()
    sampling: choose.Sampling = choose.Sampling()
    seed: int = 0
    chunk: int = 32

    def __post_init__(self):
        if self.max_new_tokens < 1 or self.chunk < 1:
            raise ValueError(
                f"max_new_tokens {self.max_new_tokens}, chunk {self.chunk}: expected "
                "positive numbers"
            )


@dataclasses.dataclass(frozen=True)
class Runner:
    """What generates.

    Attributes:
        model: The base model.
        adapter: Its adapter, which is not merged, or None.
        compute: The arithmetic, and the mesh that model and adapter are on, if any.
    """

    model: transformer.Transformer
    adapter: lora.Adapter | None = None
    compute: transformer.ComputeConfig = transformer.ComputeConfig()

    @property
    def mesh(self) -> Mesh | None:
        """The mesh of `compute`."""
        return self.compute.mesh


@dataclasses.dataclass(frozen=True)
class TokenChunk:
    """New tokens of one row.

    Attributes:
        row: The number of the prompt.
        ids: The new ids.
        end: None while the row goes on; else "eos", "stop" or "length".
        near_ties: Choices of this row so far that were near ties.
    """

    row: int
    ids: list[int]
    end: str | None
    near_ties: int


def never(row: int, ids: list[int]) -> bool:
    """A `Stopped` that ends no row."""
    return False


def decode(
    runner: Runner,
    prompts: list[list[int]],
    request: Request,
    stopped: Stopped = never,
) -> Iterator[TokenChunk]:
    """Continues every prompt; yields new ids as they come.

    Rows that have ended leave the batch. Where memory requires it, the prompts run in
    several batches, the longest first. In float32 every row equals the same row alone,
    and transformers' generate.

    Args:
        runner: The model.
        prompts: Token ids of each.
        request: What to generate.
        stopped: Asked about a row after each of its chunks.

    Yields:
        Chunks of a row in order, its last one with `end`; ids include the eos.

    Raises:
        ValueError: If a prompt is empty, or memory does not suffice for one row.
    """
    lengths = [len(prompt) for prompt in prompts]
    if not prompts or min(lengths) == 0:
        raise ValueError(
            f"{len(prompts)} prompts, the shortest of {min(lengths, default=0)} "
            "tokens: expected non-empty prompts"
        )
    adapter = convert.with_gains(runner.model, runner.adapter)
    runner = dataclasses.replace(runner, adapter=adapter)
    order = sorted(range(len(prompts)), key=lambda row: -lengths[row])
    while order:
        longest = lengths[order[0]]
        layout = plan.plan_layout(longest, request.max_new_tokens, request.chunk)
        size = _rows_that_fit(runner, layout)
        rows, order = order[:size], order[size:]
        yield from _decode_batch(runner, prompts, rows, layout, request, stopped)


def complete(
    runner: Runner,
    prompts: list[list[int]],
    request: Request,
    stopped: Stopped = never,
) -> list[list[int]]:
    """Continues every prompt to its end.

    Args:
        runner: The model.
        prompts: Token ids of each.
        request: What to generate.
        stopped: Asked about a row after each of its chunks.

    Returns:
        The new ids of every prompt.

    Raises:
        ValueError: If a prompt is empty, or memory does not suffice for one row.
    """
    generated: list[list[int]] = [[] for _ in prompts]
    for chunk in decode(runner, prompts, request, stopped):
        generated[chunk.row] += chunk.ids
    return generated


def _rows_that_fit(runner: Runner, layout: plan.Layout) -> int:
    """How many rows fit the memory of all devices; the same on every process."""
    free = processes.all_min(plan.free_bytes())
    free *= axes.axis_size(runner.mesh, "batch")
    free *= axes.axis_size(runner.mesh, "kv_heads")
    config, dtype = runner.model.config, runner.compute.dtype
    return plan.rows_that_fit(config, layout.columns, dtype, free)


def _decode_batch(
    runner: Runner,
    prompts: list[list[int]],
    rows: list[int],
    layout: plan.Layout,
    request: Request,
    stopped: Stopped,
) -> Iterator[TokenChunk]:
    """`decode` of the prompts numbered `rows`, together."""
    blocks = _separate_blocks(runner) if request.max_new_tokens > 1 else None
    state = _start_batch(runner, prompts, rows, layout, request, blocks is not None)
    generated: dict[int, list[int]] = {row: [] for row in rows}
    alive = dict(enumerate(rows))  # index in the batch -> number of the prompt
    new = axes.to_host(state.last)[:, None]
    produced = 1
    while True:
        near_ties = axes.to_host(state.near_ties)
        for index, row in list(alive.items()):
            ids = _cut_at_eos(new[index].tolist(), request.eos)
            generated[row] += ids
            end = _find_end(row, generated[row], request, stopped)
            yield TokenChunk(row, ids, end, int(near_ties[index]))
            if end:
                del alive[index]
        if not alive:
            return
        state, alive = batch.compact(state, alive, runner.mesh)
        count = min(request.chunk, request.max_new_tokens - produced)
        column = layout.width + produced - 1
        columns = layout.length(column + count)
        if columns > state.cache.columns:
            state = batch.grow(state, columns, mesh=runner.mesh)
        state, tokens, ran = batch.decode_chunk(
            runner.model,
            blocks,
            state,
            runner.adapter,
            jnp.int32(column),
            jnp.int32(count),
            size=request.chunk,
            compute=runner.compute,
            sampling=request.sampling,
            eos=request.eos,
        )
        new = axes.to_host(tokens)[:, : int(ran)]
        produced += count


def _separate_blocks(runner: Runner) -> tuple[blocks.Block, ...] | None:
    """A copy of the layers, one by one, where that is faster and there is room.

    That is for dense weights on one CPU; elsewhere None.
    """
    weights = jax.tree.leaves(runner.model.layers)
    is_dense = all(leaf.dtype != jnp.uint8 for leaf in weights)
    is_one_cpu = jax.default_backend() == "cpu" and runner.mesh is None
    if not is_dense or not is_one_cpu:
        return None
    if 2 * sum(leaf.nbytes for leaf in weights) >= plan.free_bytes():
        return None
    return convert.unstack_layers(runner.model, runner.compute.dtype)


def _cut_at_eos(ids: list[int], eos: tuple[int, ...]) -> list[int]:
    """The ids up to the first eos, which is included."""
    for index, token in enumerate(ids):
        if token in eos:
            return ids[: index + 1]
    return ids


def _find_end(
    row: int, generated: list[int], request: Request, stopped: Stopped
) -> str | None:
    """Why a row ends with the ids that it has, or None if it goes on."""
    if generated[-1] in request.eos:
        return "eos"
    if stopped(row, generated):
        return "stop"
    return "length" if len(generated) >= request.max_new_tokens else None


def _start_batch(
    runner: Runner,
    prompts: list[list[int]],
    rows: list[int],
    layout: plan.Layout,
    request: Request,
    per_layer: bool,
) -> batch.BatchState:
    """The state after every row's prompt and first new token.

    Rows that only fill the mesh are empty and done.
    """
    mesh = runner.mesh
    size = plan.batch_buckets(len(rows), axes.axis_size(mesh, "batch"))[0]
    count = min(request.chunk, request.max_new_tokens - 1)
    cache, hidden, start = prefill.run_prompts(
        runner.model,
        runner.adapter,
        runner.compute,
        [prompts[row] for row in rows],
        rows=size,
        width=layout.width,
        columns=layout.length(layout.width + count),
        per_layer=per_layer,
    )
    keys = batch.row_keys(request.seed, rows, size, mesh)
    last, near_ties = batch.first_tokens(
        runner.model,
        hidden,
        keys,
        layout.width - start,
        sampling=request.sampling,
        compute=runner.compute,
    )
    done = batch.device_put_rows(np.arange(size) >= len(rows), mesh)
    done |= jnp.isin(last, jnp.array(request.eos, jnp.int32))
    return batch.BatchState(cache, start, last, keys, done, near_ties)
