import jax
import jax.numpy as jnp
import numpy as np
import peft
import torch

from jaxent.arrays import dora, lora

CONFIG = lora.LoraConfig(3, 6.0, use_dora=True)


def random_layer():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(8, 5)).astype(np.float32)
    a, b = (rng.normal(size=(3, n)).astype(np.float32) for n in (8, 5))
    magnitude = rng.uniform(1, 4, 5).astype(np.float32)
    return weight, lora.LoraParams(a, b, magnitude=magnitude)


def test_merge_and_gradient_equal_pefts():
    weight, factors = random_layer()
    base = torch.nn.Linear(8, 5, bias=False)
    base.weight.data = torch.tensor(weight.T)
    settings = peft.LoraConfig(
        r=3, lora_alpha=6, target_modules=["q"], use_dora=True, lora_dropout=0.0
    )
    model = peft.inject_adapter_in_model(settings, torch.nn.ModuleDict({"q": base}))
    layer = model["q"]
    layer.lora_A["default"].weight.data = torch.tensor(factors.a)
    layer.lora_B["default"].weight.data = torch.tensor(factors.b.T)
    layer.lora_magnitude_vector["default"].weight.data = torch.tensor(factors.magnitude)
    x = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
    y = layer(torch.tensor(x))
    y.square().sum().backward()

    def loss(factors):
        gain = dora.gain(weight, factors, CONFIG)
        delta = lora.delta_weight(factors, CONFIG)
        return jnp.sum(jnp.square((x @ (weight + delta)) * gain[None, :]))

    found = jax.grad(loss)(factors)
    expected = (
        layer.lora_A["default"].weight.grad.numpy(),
        layer.lora_B["default"].weight.grad.numpy().T,
        layer.lora_magnitude_vector["default"].weight.grad.numpy(),
    )
    for ours, theirs in zip((found.a, found.b, found.magnitude), expected):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    layer.merge()
    merged = dora.merge_weight(weight, factors, CONFIG)
    np.testing.assert_allclose(
        merged, layer.base_layer.weight.detach().numpy().T, rtol=1e-5
    )
    np.testing.assert_allclose(x @ merged, y.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_magnitudes_of_the_base_change_nothing():
    weight, factors = random_layer()
    begin = lora.LoraParams(
        factors.a, jnp.zeros((3, 5)), magnitude=dora.column_norms(weight)
    )
    np.testing.assert_array_equal(dora.gain(weight, begin, CONFIG), np.ones(5))
    np.testing.assert_array_equal(dora.merge_weight(weight, begin, CONFIG), weight)
