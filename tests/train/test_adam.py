"""Adam beside optax, its bias corrections beside float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxent.train import adam
from jaxent.train import step as steps


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.95, 0.999, 0.99999])
def test_bias_correction_keeps_its_digits(beta):
    counts = np.array([1, 2, 10, 1000, 10**6])
    expected = 1 - np.float64(beta) ** counts
    actual = jax.jit(adam.bias_correction, static_argnums=0)(beta, counts)
    np.testing.assert_allclose(actual, expected, rtol=3e-7)


def test_the_optimizer_is_optax_adamw_with_its_state():
    config = steps.TrainConfig(steps=10, weight_decay=0.1, warmup_ratio=0.0)
    reference = optax.adamw(steps.schedule(config), weight_decay=0.1)
    params = {"a": jnp.arange(1.0, 5.0), "b": jnp.full((2, 2), 0.3)}
    gradients = jax.tree.map(lambda x: 0.1 * x - 0.2, params)
    optimizer = steps.optimizer(config)
    state, expected_state = optimizer.init(params), reference.init(params)
    for _ in range(3):
        updates, state = optimizer.update(gradients, state, params)
        expected, expected_state = reference.update(gradients, expected_state, params)
        assert jax.tree.structure(state) == jax.tree.structure(expected_state)
        for x, y in zip(jax.tree.leaves(updates), jax.tree.leaves(expected)):
            np.testing.assert_allclose(x, y, rtol=2e-5)
