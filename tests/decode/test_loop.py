import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.checkpoint import peft as adapters
from jaxent.decode import choose, loop, plan
from jaxent.model import blocks, convert, transformer

SPEC = lora.LoraConfig(4, 12.0, 0.1)


def theirs(path, prompts, new, adapter=None):
    """transformers' greedy continuation of each prompt alone."""
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    if adapter:
        import peft

        model = peft.PeftModel.from_pretrained(model, adapter).eval()
    model.generation_config.eos_token_id = None
    found = []
    for p in prompts:
        ids = torch.tensor([p])
        mask = torch.ones_like(
            ids
        )  # otherwise transformers hides tokens that equal the padding token
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=new,
            pad_token_id=0,
        )
        found.append(out[0, len(p) :].tolist())
    return found


def ragged(*lengths, vocab=160, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(3, vocab, n).tolist() for n in lengths]


def filled(config, seed=0):
    """An adapter whose B is not zero."""
    key = jax.random.key(seed)
    fresh = lora.init_adapter(key, SPEC, config.layers, blocks.linear_shapes(config))
    return jax.tree.map(lambda x: x + 0.05 * jax.random.normal(key, x.shape), fresh)


def test_ragged_batch_equals_transformers_one_by_one(family):
    prompts = ragged(3, 17, 90, 9)
    assert loop.complete(
        loop.Runner(hf.load(family, quantize=False)), prompts, loop.Request(200)
    ) == theirs(family, prompts, 200)


def test_a_real_model_for_more_than_200_tokens(stories):
    prompts = [
        [1, 403, 407, 261, 378],
        [1, 403, 407],
        *ragged(40, 77, 4, vocab=512),
    ]  # "Once upon a time", and less of it
    found = loop.complete(
        loop.Runner(hf.load(stories, quantize=False)),
        prompts,
        loop.Request(230, chunk=48),
    )
    assert found == theirs(stories, prompts, 230)


def test_adapter_unmerged_equals_peft(qwen, tmp_path):
    model, prompts = hf.load(qwen, quantize=False), ragged(5, 20, 11)
    adapter = filled(model.config)
    adapters.save_adapter(adapter, SPEC, tmp_path, qwen)
    found = loop.complete(loop.Runner(model, adapter, SPEC), prompts, loop.Request(50))
    assert found == theirs(qwen, prompts, 50, tmp_path)
    assert found != loop.complete(loop.Runner(model), prompts, loop.Request(50))


def test_nf4_equals_transformers_on_the_decoded_weights(stories, tmp_path):
    """NF4, dequantised once and PyTorch on the dequantised weights: the same tokens."""
    import json
    import pathlib
    import shutil

    model, prompts = hf.load(stories), ragged(6, 30, vocab=512)
    dense = convert.to_dense(model, jnp.float32)
    raw = json.loads((pathlib.Path(stories) / "config.json").read_text())
    hf.save(dense, tmp_path / "dense", raw)
    shutil.copy(pathlib.Path(stories) / "generation_config.json", tmp_path / "dense")
    expected = theirs(tmp_path / "dense", prompts, 200)
    assert loop.complete(loop.Runner(model), prompts, loop.Request(200)) == expected
    assert loop.complete(loop.Runner(dense), prompts, loop.Request(200)) == expected


@pytest.fixture(scope="module")
def small(qwen):
    return loop.Runner(hf.load(qwen, quantize=False))


def test_every_row_of_a_batch_of_164_equals_itself_alone(small):
    prompts = ragged(*(np.random.default_rng(1).integers(1, 150, 164)))
    request = loop.Request(24, chunk=16)
    assert loop.complete(small, prompts, request) == [
        ids for prompt in prompts for ids in loop.complete(small, [prompt], request)
    ]


def test_stops_at_any_eos(small):
    [full] = loop.complete(small, [[1, 2, 3]], loop.Request(40))
    later, sooner = full[10], full[4]
    end = min(full.index(later), full.index(sooner))
    pieces = list(
        loop.decode(small, [[1, 2, 3]], loop.Request(40, eos=(later, sooner), chunk=4))
    )
    assert [i for p in pieces for i in p.ids] == full[: end + 1]
    assert [p.end for p in pieces] == [None] * (len(pieces) - 1) + ["eos"]


def test_rows_that_stop_leave_the_batch_and_change_nothing_for_the_others(
    small, monkeypatch
):
    prompts = ragged(5, 9, 30, 12, 7)
    request = loop.Request(40, chunk=8)
    whole = loop.complete(small, prompts, request)
    sizes = []
    chunk = loop._chunk
    monkeypatch.setattr(
        loop,
        "_chunk",
        lambda model, blocks, state, *a, **k: (
            sizes.append(len(state.last)) or chunk(model, blocks, state, *a, **k)
        ),
    )
    limit = {0: 8, 1: 8, 2: 40, 3: 17, 4: 2}
    found, ends = [[] for _ in prompts], {}
    for piece in loop.decode(
        small, prompts, request, lambda row, ids: len(ids) >= limit[row]
    ):
        found[piece.row] += piece.ids
        ends[piece.row] = piece.end or ends.get(piece.row)
    assert sizes == [5, 2, 1, 1, 1] and ends == {
        0: "stop",
        1: "stop",
        2: "stop",
        3: "stop",
        4: "stop",
    }
    for mine, full in zip(found, whole):
        assert mine == full[: len(mine)]
    assert len(found[2]) == 40 and len(found[4]) == 9


def test_the_number_of_compilations_is_bounded(qwen):
    """Two runs with other prompts of the same width compile nothing new; one run at most what its plan says."""
    runner = loop.Runner(
        hf.load(qwen, quantize=False), compute=transformer.ComputeConfig(kernel="xla")
    )
    loop._chunk.clear_cache()
    request = loop.Request(200, chunk=16)
    run = lambda seed: loop.complete(
        runner, ragged(9, 40, 3, 60, 8, 8, 21, seed=seed), request
    )
    run(1)
    first = loop._chunk._cache_size()
    shape = plan.plan_layout(60, 200, 16)
    assert first == len([n for n in shape.lengths if n > shape.width]) <= 4
    run(2)
    assert loop._chunk._cache_size() == first
    stop_by_row = lambda row, ids: len(ids) > 12 * row
    list(loop.decode(runner, ragged(9, 40, 3, 60, 8, 8, 21), request, stop_by_row))
    assert (
        first
        < loop._chunk._cache_size()
        <= len(shape.lengths) + len(plan.batch_buckets(7)) - 1 + first
    )


def test_a_batch_that_does_not_fit_is_split(small, monkeypatch):
    prompts = ragged(5, 9, 30, 12, 7)
    whole = loop.complete(small, prompts, loop.Request(16))
    calls = []
    monkeypatch.setattr(plan, "rows_that_fit", lambda *a: 2)
    batch = loop._batch
    monkeypatch.setattr(
        loop,
        "_batch",
        lambda runner, p, rows, *a: calls.append(rows) or batch(runner, p, rows, *a),
    )
    assert loop.complete(small, prompts, loop.Request(16)) == whole
    assert calls == [[2, 3], [1, 4], [0]]  # like lengths together, the longest first


def test_the_cache_is_updated_in_place(qwen):
    """A chunk's temporaries stay far below a copy of the cache."""
    model = hf.load(qwen, quantize=False)
    from jaxent.model import cache as caches

    rows, columns = 16, 256
    cache = jax.eval_shape(
        lambda: caches.empty(model.config, rows, columns, jnp.float32)
    )
    ints = jax.ShapeDtypeStruct((rows,), jnp.int32)
    keys = jax.ShapeDtypeStruct((rows, 2), jnp.uint32)
    state = loop._State(
        cache, ints, ints, keys, jax.ShapeDtypeStruct((rows,), bool), ints
    )
    options = dict(
        size=8,
        spec=None,
        compute=transformer.ComputeConfig(),
        sampling=choose.Sampling(),
        eos=(),
        mesh=None,
    )
    memory = (
        loop._chunk.lower(
            model, None, state, None, jnp.int32(0), jnp.int32(8), **options
        )
        .compile()
        .memory_analysis()
    )
    size = rows * caches.row_bytes(model.config, columns, jnp.float32)
    assert memory.alias_size_in_bytes >= size and memory.temp_size_in_bytes < size / 2


def test_sampling_does_not_depend_on_the_batch(small):
    request = loop.Request(20, sampling=choose.Sampling(0.8, 0.9), seed=5, chunk=8)
    prompts = ragged(5, 9, 30)
    together = loop.complete(small, prompts, request)
    monkey = list(
        loop.decode(small, prompts, request, lambda row, ids: row != 2 and len(ids) > 4)
    )
    assert [i for p in monkey if p.row == 2 for i in p.ids] == together[2]
    assert loop.complete(small, prompts, request) == together
    assert (
        loop.complete(small, prompts, dataclasses.replace(request, seed=6)) != together
    )


def test_near_ties_are_counted(small):
    """A head that is zero ties every choice; in float32 a random model has none."""
    assert [
        p.near_ties for p in loop.decode(small, ragged(4, 6), loop.Request(12)) if p.end
    ] == [0, 0]
    model = jax.tree.map(lambda x: x, small.model)
    model.embed_tokens.weight.set_value(
        jnp.zeros_like(model.embed_tokens.weight.get_value())
    )
    assert [
        p.near_ties
        for p in loop.decode(loop.Runner(model), ragged(4, 6), loop.Request(12))
        if p.end
    ] == [12, 12]


def test_bfloat16_differs_from_one_by_one_only_where_a_near_tie_was_counted(qwen):
    runner = loop.Runner(
        hf.load(qwen, quantize=False), compute=transformer.ComputeConfig(jnp.bfloat16)
    )
    prompts = ragged(*range(3, 27, 3), seed=3)
    ties = {
        p.row: p.near_ties
        for p in loop.decode(runner, prompts, loop.Request(32))
        if p.end
    }
    together = loop.complete(runner, prompts, loop.Request(32))
    differing = [
        row
        for row, p in enumerate(prompts)
        if loop.complete(runner, [p], loop.Request(32)) != [together[row]]
    ]
    assert all(ties[row] > 0 for row in differing)


@pytest.mark.parametrize(
    "prompts, change, message",
    [
        ([[]], {}, "1 prompts, the shortest of 0 tokens"),
        ([], {}, "0 prompts"),
        ([[1]], {"max_new_tokens": 0}, "max_new_tokens 0"),
    ],
)
def test_bad_requests_are_refused(small, prompts, change, message):
    with pytest.raises(ValueError, match=message):
        list(loop.decode(small, prompts, dataclasses.replace(loop.Request(), **change)))
