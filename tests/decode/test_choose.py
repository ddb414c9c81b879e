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
    # The two least likely tokens are dropped where they hold 5% or less.
    total = np.exp(logits[0] / 0.7).sum()
    if (kept[0] + np.exp(-1 / 0.7)) / total <= 0.05:
        kept[0] = 0
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(shares[:3], kept / kept.sum(), atol=0.01)
    assert shares[3] == 0


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


def test_sampling_without_keys_is_refused():
    with pytest.raises(ValueError, match="temperature 0.5 without keys"):
        choose.choose(jnp.zeros((1, 4)), None, choose.Sampling(0.5))
