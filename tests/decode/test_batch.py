"""The state of a batch: compaction, growth, and what is compiled and copied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decode import helpers

from jaxent.checkpoint import hf
from jaxent.decode import batch, choose, loop, plan
from jaxent.model import cache as caches
from jaxent.model import config as configs
from jaxent.model import transformer

CONFIG = configs.from_dict(
    {
        "model_type": "llama",
        "vocab_size": 8,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
)


def numbered_state(rows, columns=4):
    """A state whose arrays hold the number of their row."""
    numbers = jnp.arange(rows, dtype=jnp.int32)
    zeros = caches.empty(CONFIG, rows, columns, jnp.float32)
    by_row = numbers[None, :, None, None, None]
    cache = jax.tree.map(lambda x: x + by_row, zeros)
    keys = jnp.stack([numbers, numbers], 1).astype(jnp.uint32)
    return batch.BatchState(cache, numbers, numbers, keys, numbers < 0, numbers)


def test_rows_stay_while_they_do_not_fit_a_smaller_batch():
    state, alive = batch.compact(numbered_state(5), {0: 10, 2: 12, 3: 13, 4: 14}, None)
    assert alive == {0: 10, 2: 12, 3: 13, 4: 14}
    assert state.last.tolist() == [0, 1, 2, 3, 4]
    assert state.done.tolist() == [False, True, False, False, False]


def test_rows_that_are_left_move_to_a_smaller_batch():
    """Buckets of 8 rows are 8, 4, 2 and 1; the fourth row repeats the first, done."""
    state, alive = batch.compact(numbered_state(8), {1: 11, 4: 14, 6: 16}, None)
    assert alive == {0: 11, 1: 14, 2: 16}
    for values in (state.start, state.last, state.near_ties, state.keys[:, 0]):
        assert values.tolist() == [1, 4, 6, 1]
    assert state.cache.k[0, :, 0, 0, 0].tolist() == [1, 4, 6, 1]
    assert state.done.tolist() == [False, False, False, True]


def test_a_grown_cache_keeps_its_columns():
    state = numbered_state(3)
    grown = batch.grow(state, 6, mesh=None)
    assert grown.cache.columns == 6
    np.testing.assert_array_equal(grown.cache.k[..., :4, :], state.cache.k)
    assert not grown.cache.v[..., 4:, :].any()


def test_a_row_s_key_depends_on_its_number_alone():
    alone = batch.row_keys(5, [7], 1, None)
    beside = batch.row_keys(5, [3, 7], 4, None)
    assert alone[0].tolist() == beside[1].tolist()
    assert beside[0].tolist() != beside[1].tolist()
    assert batch.row_keys(6, [7], 1, None)[0].tolist() != alone[0].tolist()


@pytest.fixture(scope="module")
def small(qwen):
    return loop.Runner(hf.load(qwen, quantize=False))


def test_rows_that_stop_leave_the_batch_and_change_nothing_for_the_others(
    small, monkeypatch
):
    prompts = helpers.ragged(5, 9, 30, 12, 7)
    request = loop.Request(40, chunk=8)
    whole = loop.complete(small, prompts, request)
    sizes = []
    decode_chunk = batch.decode_chunk

    def recorded(model, blocks, state, *rest, **named):
        sizes.append(len(state.last))
        return decode_chunk(model, blocks, state, *rest, **named)

    monkeypatch.setattr(batch, "decode_chunk", recorded)
    limit = {0: 8, 1: 8, 2: 40, 3: 17, 4: 2}

    def stopped(row, ids):
        return len(ids) >= limit[row]

    generated, ends = [[] for _ in prompts], {}
    for chunk in loop.decode(small, prompts, request, stopped):
        generated[chunk.row] += chunk.ids
        ends[chunk.row] = chunk.end or ends.get(chunk.row)
    assert sizes == [5, 2, 1, 1, 1]
    assert ends == dict.fromkeys(range(5), "stop")
    for ids, full in zip(generated, whole):
        assert ids == full[: len(ids)]
    assert len(generated[2]) == 40 and len(generated[4]) == 9


def test_the_number_of_compilations_is_bounded(qwen):
    """Two runs with other prompts of the same width compile nothing new.

    One run compiles at most what its plan says.
    """
    runner = loop.Runner(
        hf.load(qwen, quantize=False), compute=transformer.ComputeConfig(kernel="xla")
    )
    batch.decode_chunk.clear_cache()
    request = loop.Request(200, chunk=16)
    lengths = (9, 40, 3, 60, 8, 8, 21)
    loop.complete(runner, helpers.ragged(*lengths, seed=1), request)
    first = batch.decode_chunk._cache_size()
    layout = plan.plan_layout(60, 200, 16)
    assert first == len([n for n in layout.lengths if n > layout.width]) <= 4
    loop.complete(runner, helpers.ragged(*lengths, seed=2), request)
    assert batch.decode_chunk._cache_size() == first

    def stopped(row, ids):
        return len(ids) > 12 * row

    list(loop.decode(runner, helpers.ragged(*lengths), request, stopped))
    more = len(layout.lengths) + len(plan.batch_buckets(7)) - 1
    assert first < batch.decode_chunk._cache_size() <= more + first


def test_the_cache_is_updated_in_place(qwen):
    """A chunk's temporaries stay far below a copy of the cache."""
    model = hf.load(qwen, quantize=False)
    rows, columns = 16, 256
    cache = jax.eval_shape(
        lambda: caches.empty(model.config, rows, columns, jnp.float32)
    )
    ints = jax.ShapeDtypeStruct((rows,), jnp.int32)
    keys = jax.ShapeDtypeStruct((rows, 2), jnp.uint32)
    done = jax.ShapeDtypeStruct((rows,), bool)
    state = batch.BatchState(cache, ints, ints, keys, done, ints)
    lowered = batch.decode_chunk.lower(
        model,
        None,
        state,
        None,
        jnp.int32(0),
        jnp.int32(8),
        size=8,
        compute=transformer.ComputeConfig(),
        sampling=choose.Sampling(),
        eos=(),
    )
    memory = lowered.compile().memory_analysis()
    size = rows * caches.row_bytes(model.config, columns, jnp.float32)
    assert memory.alias_size_in_bytes >= size and memory.temp_size_in_bytes < size / 2
