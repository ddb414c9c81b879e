import jax
import numpy as np
import pytest
from train import test_step

from jaxent.checkpoint import hf
from jaxent.distributed import axes
from jaxent.model import sharding, trained


def test_split_says_which_model_and_adapter_compute(qwen):
    model = hf.load(qwen, quantize=False)
    adapter = test_step.filled(model)
    assert trained.split(model, None) == (model, None)
    assert trained.split(model, adapter) == (model, adapter)
    weights = trained.full_weights(model)
    doubled = jax.tree.map(lambda x: 2 * x, weights)
    tuned, nothing = trained.split(model, doubled)
    assert nothing is None
    pairs = zip(sharding.iter_params(tuned), sharding.iter_params(model))
    for (path, new), (_, old) in pairs:
        np.testing.assert_array_equal(new.get_value(), 2 * old.get_value(), path)


def test_a_float32_copy_has_memory_of_its_own(qwen):
    weights = trained.full_weights(hf.load(qwen, quantize=False))
    copied = jax.jit(trained.float32_copy)(weights)
    for own, other in zip(jax.tree.leaves(copied), jax.tree.leaves(weights)):
        assert own.unsafe_buffer_pointer() != other.unsafe_buffer_pointer()
        np.testing.assert_array_equal(own, other)


def test_gradients_are_added_to_the_sum(qwen):
    """Both ways give the sum plus the gradient, here of half the squares."""
    weights = trained.full_weights(hf.load(qwen, quantize=False))
    before = jax.tree.map(np.ones_like, weights)

    def loss(tree, grad_accum):
        assert grad_accum is None
        return sum((x**2).sum() for x in jax.tree.leaves(tree)) / 2

    value, total = trained.add_gradient(loss, weights, before)
    assert float(value) == pytest.approx(float(loss(weights, None)))
    for found, x in zip(jax.tree.leaves(total), jax.tree.leaves(weights)):
        np.testing.assert_allclose(found, 1 + x, rtol=1e-6)


def test_weights_are_split_as_the_bases(qwen):
    model = hf.load(qwen, quantize=False)
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    split = trained.shard(trained.full_weights(model), mesh)
    for path, param in sharding.iter_params(sharding.shard_model(model, mesh)):
        assert split.params[path].sharding == param.get_value().sharding, path
    adapter = trained.shard(test_step.filled(model), mesh)
    expected = sharding.adapter_shardings(adapter, mesh)
    assert jax.tree.map(lambda x: x.sharding, adapter) == expected


def test_only_adapters_have_dropout(qwen):
    model = hf.load(qwen, quantize=False)
    rate = test_step.LORA.dropout
    assert trained.dropout_rate(test_step.filled(model)) == rate
    assert trained.dropout_rate(trained.full_weights(model)) == 0
