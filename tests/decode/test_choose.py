import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from jaxent.decode import choose


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 1.0])
def test_nucleus_equals_transformers_warper(top_p):
    logits = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32) * 3
    expected = transformers.TopPLogitsWarper(top_p)(None, torch.tensor(logits)).numpy()
    np.testing.assert_array_equal(choose.nucleus(jnp.asarray(logits), top_p), expected)


def test_draws_follow_the_distribution():
    logits = jnp.array([[0.0, 1.0, 2.0, -1.0]])
    sampling = choose.Sampling(temperature=0.7, top_p=0.95)
    draw = jax.vmap(lambda key: choose.choose(logits, key[None], sampling)[0])
    drawn = np.asarray(draw(jax.random.split(jax.random.key(0), 20_000)))
    kept = np.exp(np.array([0.0, 1.0, 2.0]) / 0.7)
    kept[0] = (
        0
        if kept[0] / np.exp(logits[0] / 0.7).sum()
        + np.exp(-1 / 0.7) / np.exp(logits[0] / 0.7).sum()
        <= 0.05
        else kept[0]
    )
    found = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(found[:3], kept / kept.sum(), atol=0.01)
    assert found[3] == 0


def test_greedy_is_the_best():
    logits = jnp.array([[0.0, 3.0, 2.0], [5.0, 3.0, 2.0]])
    assert choose.choose(logits, None, choose.Sampling()).tolist() == [1, 0]


def test_near_tie_is_relative_to_the_arithmetic():
    logits = jnp.array([[10.0, 9.9, 0.0], [10.0, 9.0, 0.0]])
    assert choose.near_tie(logits, jnp.bfloat16).tolist() == [True, False]
    assert choose.near_tie(logits, jnp.float32).tolist() == [False, False]


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_wrong_settings(wrong):
    with pytest.raises(ValueError, match="expected temperature >= 0, 0 < top_p <= 1"):
        choose.Sampling(**wrong)
