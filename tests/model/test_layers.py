import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from transformers.models.llama import modeling_llama

from jaxent.model import config, known_configs, layers


def test_rms_norm_definition():
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    w = np.arange(8, dtype=np.float32)
    expected = (
        w * x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6)
    )
    np.testing.assert_allclose(
        layers.rms_norm(jnp.array(x), jnp.array(w), 1e-6),
        expected,
        rtol=1e-5,
        atol=1e-6,
    )


def test_rotation_is_relative_and_scaled():
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 16))

    def at(x, position, factor=1.0):
        frequencies = layers.rotary_frequencies(config.Rope(1e4, factor), 16)
        return layers.apply_rotary(x, jnp.array([[position]]), frequencies)[0, 0, 0]

    np.testing.assert_allclose(at(q, 9) @ at(k, 5), at(q, 104) @ at(k, 100), rtol=1e-4)
    np.testing.assert_allclose(at(q, 8, 4.0), at(q, 2), rtol=1e-5)


def test_llama3_keeps_fast_pairs_slows_the_slow_and_blends_between():
    bands = config.Bands(1.0, 4.0, 8192)
    plain = layers.rotary_frequencies(config.Rope(5e5), 128)
    turns = plain * 8192 / (2 * np.pi)
    share = layers.rotary_frequencies(config.Rope(5e5, 8.0, bands), 128) / plain
    np.testing.assert_array_equal(share[turns > 4], 1)
    np.testing.assert_array_equal(share[turns < 1], 1 / 8)
    between = (turns > 1) & (turns < 4)
    assert (
        between.sum() > 3
        and (np.diff(share[between]) < 0).all()
        and ((share > 1 / 8) & (share < 1))[between].all()
    )


@pytest.mark.parametrize(
    "name",
    [
        "codellama/CodeLlama-7b-hf",
        "deepseek-ai/deepseek-coder-6.7b-base",
        "meta-llama/Llama-3.1-8B",
        "Qwen/Qwen3-8B",
    ],
)
def test_rotation_equals_transformers_far_beyond_the_original_context(name):
    raw = dict(known_configs.CONFIGS[name])
    theirs = modeling_llama.LlamaRotaryEmbedding(transformers.LlamaConfig(**raw))
    ours = config.from_dict(raw)
    inverse = layers.rotary_frequencies(ours.rope, ours.head_dim)
    np.testing.assert_allclose(
        inverse, theirs.inv_freq.numpy(), rtol=1.2e-7
    )  # one unit in the last place
    positions = np.array([[0, 1, 8191, 8192, 20_000, 131_071]])
    x = (
        np.random.default_rng(0)
        .normal(size=(1, 6, 2, ours.head_dim))
        .astype(np.float32)
    )
    wide = torch.tensor(x).transpose(1, 2)
    expected, _ = modeling_llama.apply_rotary_pos_emb(
        wide, wide, *theirs(wide, torch.tensor(positions))
    )
    rotated = layers.apply_rotary(jnp.array(x), jnp.array(positions), inverse)
    np.testing.assert_allclose(rotated, expected.transpose(1, 2).numpy(), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize(("n", "k"), [(30, 16), (8192, 1024)])
def test_matmuls_of_transposed_weights_are_matmuls(batch, n, k):
    rng = np.random.default_rng(0)
    x, rows = (
        rng.normal(size=(batch, k)).astype(np.float32),
        rng.normal(size=(n, k)).astype(np.float32),
    )
    exact = x.astype(np.float64) @ rows.T.astype(np.float64)
    bound = (
        4
        * np.finfo(np.float32).eps
        * np.sqrt(k)
        * np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(rows, axis=1))
    )
    assert (
        abs(jax.jit(layers.weight_matmul)(x, layers.TransposedWeight(rows)) - exact)
        <= bound
    ).all()
