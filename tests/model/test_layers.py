import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxent.model import layers


def test_dropout_keeps_the_mean_at_the_stated_rate():
    x = jnp.ones((400, 500))
    y = np.asarray(layers.dropout(x, 0.05, jax.random.key(0)))
    assert (y == 0).mean() == pytest.approx(0.05, abs=0.002)
    assert y.mean() == pytest.approx(1.0, abs=0.002)
    assert np.unique(y).size == 2


def test_dropout_rate_zero_is_the_identity():
    x = jnp.arange(6.0)
    np.testing.assert_array_equal(layers.dropout(x, 0.0, jax.random.key(0)), x)


def test_rms_norm_definition():
    x = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    w = np.arange(8, dtype=np.float32)
    expected = w * x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(layers.rms_norm(jnp.array(x), jnp.array(w), 1e-6), expected, rtol=1e-5, atol=1e-6)


def test_rotation_is_relative_and_scaled():
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 16))
    at = lambda x, p, s=1.0: layers.rotate(x, jnp.array([[p]]), 1e4, s)[0, 0, 0]
    np.testing.assert_allclose(at(q, 9) @ at(k, 5), at(q, 104) @ at(k, 100), rtol=1e-4)
    np.testing.assert_allclose(at(q, 8, 4.0), at(q, 2), rtol=1e-5)
