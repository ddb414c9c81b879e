import dataclasses

import jax
import numpy as np
import pytest
from train import test_step

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.measure import energy
from jaxent.model import convert, layers, trained


def dense_layer(weight, index):
    """One layer of a stacked weight, decoded."""
    layer = jax.tree.map(lambda leaf: leaf[index], weight)
    return layers.dense_weight(layer, np.float32)


@pytest.mark.parametrize("quantize", [True, False])
def test_equals_dense_singular_values(qwen, quantize):
    model = hf.load(qwen, quantize)
    adapter = test_step.filled(model)
    found = energy.sv_energy(model, adapter)
    moved = held = 0
    for module, path in lora.PATHS.items():
        delta = np.asarray(
            lora.delta_weight(adapter.params[path], test_step.LORA), np.float64
        )
        weight = getattr(
            getattr(model.layers, path.split(".")[0]), module
        ).weight.get_value()
        dense = np.stack([dense_layer(weight, i) for i in range(len(delta))])
        values = np.linalg.svd(delta, compute_uv=False)
        np.testing.assert_allclose(found.singular[module], values[:, :4], rtol=1e-4)
        top, bottom = (
            (values**2).sum(1),
            (np.linalg.svd(dense.astype(np.float64), compute_uv=False) ** 2).sum(1),
        )
        np.testing.assert_allclose(found.layers[module], top / bottom, rtol=1e-4)
        assert found.modules[module] == pytest.approx(
            top.sum() / bottom.sum(), rel=1e-4
        )
        moved, held = moved + top.sum(), held + bottom.sum()
    assert found.total == pytest.approx(moved / held, rel=1e-4)


def test_rank_larger_than_a_side():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(5, 9))
    np.testing.assert_allclose(
        energy.thin_singular(a, b)[:3],
        np.linalg.svd(a.T @ b, compute_uv=False),
        rtol=1e-9,
    )
    assert energy.thin_singular(a, b).shape == (5,)


def test_a_fresh_adapter_has_none(qwen):
    model = hf.load(qwen)
    fresh = jax.tree.map(np.zeros_like, test_step.filled(model))
    assert energy.sv_energy(model, fresh).total == 0


def test_doras_energy_is_its_merged_weights(qwen):
    model = hf.load(qwen)
    plain = test_step.filled(model)
    path = lora.PATHS["up_proj"]
    norms = convert.weight_norms(model, ("up_proj",))["up_proj"]
    factors = dataclasses.replace(plain.params[path], magnitude=1.5 * norms)
    config = dataclasses.replace(plain.config, modules=("up_proj",), use_dora=True)
    adapter = lora.Adapter({path: factors}, config)
    found = energy.sv_energy(model, adapter)
    merged = convert.to_dense(model, np.float32, adapter).layers.mlp.up_proj.weight
    base = convert.to_dense(model, np.float32).layers.mlp.up_proj.weight
    before = np.float64(base.get_value())
    change = np.float64(merged.get_value()) - before
    expected = (change**2).sum((1, 2)) / (before**2).sum((1, 2))
    np.testing.assert_allclose(found.layers["up_proj"], expected, rtol=1e-4)
    assert found.singular == {}


@pytest.mark.parametrize("quantize", [True, False])
def test_full_weights_energy_is_that_of_their_difference(qwen, quantize):
    """Linear modules of the layers count; embedding and norms do not."""
    model, dense = hf.load(qwen, quantize), hf.load(qwen, quantize=False)
    rng = np.random.default_rng(0)
    tuned = jax.tree.map(
        lambda x: np.asarray(x + 0.01 * rng.normal(size=x.shape), np.float32),
        trained.full_weights(dense),
    )
    found = energy.sv_energy(model, tuned)
    moved = held = 0
    for module, path in lora.PATHS.items():
        weight = convert.linear_param(model.layers, path).get_value()
        base = np.stack([dense_layer(weight, i) for i in range(3)]).astype(np.float64)
        delta = tuned.params[f"layers.{path}.weight"] - base
        top, bottom = (delta**2).sum((1, 2)), (base**2).sum((1, 2))
        np.testing.assert_allclose(found.layers[module], top / bottom, rtol=1e-4)
        moved, held = moved + top.sum(), held + bottom.sum()
    assert found.total == pytest.approx(moved / held, rel=1e-4)
    assert set(found.modules) == set(lora.MODULES) and not found.singular
