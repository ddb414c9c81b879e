"""Packed prompts, and the cache that they fill."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from decode import helpers

from jaxent.checkpoint import hf
from jaxent.decode import prefill
from jaxent.distributed import axes
from jaxent.model import transformer


@pytest.mark.parametrize("axis_size", [1, 4])
def test_every_token_is_packed_once_at_its_position(axis_size):
    prompts = helpers.ragged(*np.random.default_rng(0).integers(1, 700, 40))
    unpacked = [[None] * len(prompt) for prompt in prompts]
    shapes = set()
    for tokens, owners, positions in prefill.pack_prompts(prompts, 704, axis_size):
        shapes.add(tokens.shape)
        assert tokens.shape == owners.shape == positions.shape
        assert len(tokens) % axis_size == 0
        for row, owner, position in zip(tokens, owners, positions):
            for token, prompt, at in zip(row, owner, position):
                if prompt >= 0:
                    assert unpacked[prompt][at] is None
                    unpacked[prompt][at] = token
    assert unpacked == prompts and len(shapes) <= 2


def test_a_row_of_the_cache_equals_its_prompt_alone(qwen):
    """Keys, values and the last state, which end at column `width`."""
    model = hf.load(qwen, quantize=False)
    prompts, compute = helpers.ragged(5, 9, 30), transformer.ComputeConfig()
    cache, hidden, start = prefill.run_prompts(
        model,
        None,
        compute,
        prompts,
        rows=4,
        width=64,
        columns=80,
        per_layer=False,
    )
    assert start.tolist() == [59, 55, 34, 64]
    for row, prompt in enumerate(prompts):
        tokens = jnp.array([prompt])
        positions = jnp.arange(len(prompt))[None]
        ones = jnp.ones_like(tokens)
        states, k, v = model.prefill(tokens, ones, positions, None, compute)
        begin = int(start[row])
        for kept, alone in ((cache.k, k), (cache.v, v)):
            filled = kept[:, row, :, begin:64].swapaxes(1, 2)
            np.testing.assert_allclose(filled, alone[:, 0], atol=1e-5)
            assert not kept[:, row, :, :begin].any()
            assert not kept[:, row, :, 64:].any()
        np.testing.assert_allclose(hidden[row], states[0, -1], atol=1e-5)
    assert not hidden[3].any() and not cache.k[:, 3].any()


def test_the_cache_is_split_by_rows_and_heads(qwen):
    model, mesh = hf.load(qwen, quantize=False), axes.parse_mesh("data:4,tensor:2")
    cache, _ = prefill.allocate(
        config=model.config,
        rows=8,
        columns=64,
        dtype="float32",
        per_layer=False,
        mesh=mesh,
    )
    assert cache.k.shape == (3, 8, 2, 64, 32)
    assert cache.k.addressable_shards[0].data.shape == (3, 2, 1, 64, 32)


def test_a_cache_can_be_one_array_for_each_layer(qwen):
    config = hf.load(qwen).config
    cache, _ = prefill.allocate(
        config=config, rows=2, columns=64, dtype="float32", per_layer=True, mesh=None
    )
    assert [k.shape for k in jax.tree.leaves(cache.k)] == [(2, 2, 64, 32)] * 3
