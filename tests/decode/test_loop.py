"""The decode loop against transformers, and against itself row by row."""

import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decode import helpers

from jaxent.checkpoint import hf
from jaxent.checkpoint import peft as adapters
from jaxent.decode import choose, loop, plan
from jaxent.model import convert, transformer


def test_ragged_batch_equals_transformers_one_by_one(family):
    prompts = helpers.ragged(3, 17, 90, 9)
    runner = loop.Runner(hf.load(family, quantize=False))
    ids = loop.complete(runner, prompts, loop.Request(200))
    assert ids == helpers.torch_greedy(family, prompts, 200)


@pytest.mark.slow
def test_a_real_model_for_more_than_200_tokens(stories):
    # "Once upon a time", less of it, and random prompts.
    prompts = [[1, 403, 407, 261, 378], [1, 403, 407]]
    prompts += helpers.ragged(40, 77, 4, vocab=512)
    runner = loop.Runner(hf.load(stories, quantize=False))
    ids = loop.complete(runner, prompts, loop.Request(230, chunk=48))
    assert ids == helpers.torch_greedy(stories, prompts, 230)


def test_adapter_unmerged_equals_peft(qwen, tmp_path):
    model, prompts = hf.load(qwen, quantize=False), helpers.ragged(5, 20, 11)
    adapter = helpers.random_adapter(model.config)
    adapters.save_adapter(adapter, tmp_path, qwen)
    ids = loop.complete(loop.Runner(model, adapter), prompts, loop.Request(50))
    assert ids == helpers.torch_greedy(qwen, prompts, 50, tmp_path)
    assert ids != loop.complete(loop.Runner(model), prompts, loop.Request(50))


def test_nf4_equals_transformers_on_the_decoded_weights(stories, tmp_path):
    """NF4, dequantised once and PyTorch on the dequantised weights: the same tokens."""
    model, prompts = hf.load(stories), helpers.ragged(6, 30, vocab=512)
    dense = convert.to_dense(model, jnp.float32)
    raw = json.loads((pathlib.Path(stories) / "config.json").read_text())
    hf.save(dense, tmp_path / "dense", raw)
    shutil.copy(pathlib.Path(stories) / "generation_config.json", tmp_path / "dense")
    expected = helpers.torch_greedy(tmp_path / "dense", prompts, 200)
    assert loop.complete(loop.Runner(model), prompts, loop.Request(200)) == expected
    assert loop.complete(loop.Runner(dense), prompts, loop.Request(200)) == expected


@pytest.fixture(scope="module")
def small(qwen):
    return loop.Runner(hf.load(qwen, quantize=False))


def test_every_row_of_a_batch_of_164_equals_itself_alone(small):
    prompts = helpers.ragged(*(np.random.default_rng(1).integers(1, 150, 164)))
    request = loop.Request(24, chunk=16)
    assert loop.complete(small, prompts, request) == [
        ids for prompt in prompts for ids in loop.complete(small, [prompt], request)
    ]


def test_stops_at_any_eos(small):
    [full] = loop.complete(small, [[1, 2, 3]], loop.Request(40))
    later, sooner = full[10], full[4]
    end = min(full.index(later), full.index(sooner))
    request = loop.Request(40, eos=(later, sooner), chunk=4)
    chunks = list(loop.decode(small, [[1, 2, 3]], request))
    assert [i for c in chunks for i in c.ids] == full[: end + 1]
    assert [c.end for c in chunks] == [None] * (len(chunks) - 1) + ["eos"]


def test_a_batch_that_does_not_fit_is_split(small, monkeypatch):
    prompts = helpers.ragged(5, 9, 30, 12, 7)
    whole = loop.complete(small, prompts, loop.Request(16))
    calls = []
    monkeypatch.setattr(plan, "rows_that_fit", lambda *a: 2)
    decode_batch = loop._decode_batch

    def recorded(runner, prompts, rows, *rest):
        calls.append(rows)
        return decode_batch(runner, prompts, rows, *rest)

    monkeypatch.setattr(loop, "_decode_batch", recorded)
    assert loop.complete(small, prompts, loop.Request(16)) == whole
    assert calls == [[2, 3], [1, 4], [0]]  # like lengths together, the longest first


def test_sampling_does_not_depend_on_the_batch(small):
    request = loop.Request(20, sampling=choose.Sampling(0.8, 0.9), seed=5, chunk=8)
    prompts = helpers.ragged(5, 9, 30)
    together = loop.complete(small, prompts, request)

    def stopped(row, ids):
        return row != 2 and len(ids) > 4

    chunks = list(loop.decode(small, prompts, request, stopped))
    assert [i for c in chunks if c.row == 2 for i in c.ids] == together[2]
    assert loop.complete(small, prompts, request) == together
    other = dataclasses.replace(request, seed=6)
    assert loop.complete(small, prompts, other) != together


def final_near_ties(runner, prompts, request):
    """The near ties of every row, in the order of the rows."""
    chunks = loop.decode(runner, prompts, request)
    near_ties = {chunk.row: chunk.near_ties for chunk in chunks if chunk.end}
    return [near_ties[row] for row in range(len(prompts))]


def test_near_ties_are_counted(small):
    """A head that is zero ties every choice; in float32 a random model has none."""
    prompts, request = helpers.ragged(4, 6), loop.Request(12)
    assert final_near_ties(small, prompts, request) == [0, 0]
    model = jax.tree.map(lambda x: x, small.model)
    table = model.embed_tokens.weight
    table.set_value(jnp.zeros_like(table.get_value()))
    assert final_near_ties(loop.Runner(model), prompts, request) == [12, 12]


def test_bfloat16_differs_from_one_by_one_only_where_a_near_tie_was_counted(qwen):
    runner = loop.Runner(
        hf.load(qwen, quantize=False), compute=transformer.ComputeConfig(jnp.bfloat16)
    )
    prompts, request = helpers.ragged(*range(3, 27, 3), seed=3), loop.Request(32)
    near_ties = final_near_ties(runner, prompts, request)
    together = loop.complete(runner, prompts, request)
    for row, prompt in enumerate(prompts):
        if loop.complete(runner, [prompt], request) != [together[row]]:
            assert near_ties[row] > 0


@pytest.mark.parametrize(
    ("prompts", "change", "message"),
    [
        ([[]], {}, "1 prompts, the shortest of 0 tokens"),
        ([], {}, "0 prompts"),
        ([[1]], {"max_new_tokens": 0}, "max_new_tokens 0"),
    ],
)
def test_bad_requests_are_refused(small, prompts, change, message):
    with pytest.raises(ValueError, match=message):
        list(loop.decode(small, prompts, dataclasses.replace(loop.Request(), **change)))
