"""Five optimizer steps of every tuner beside PEFT and torch."""

import jax
import numpy as np
import peft
import pytest
import torch
import torch_reference

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.checkpoint import peft as adapters
from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.model import blocks, convert, dropout, sharding, transformer
from jaxent.runs import spec as specs
from jaxent.train import loop
from jaxent.train import step as steps

HYPER = steps.TrainConfig(steps=5, learning_rate=1e-2, warmup_ratio=0.2)


def lora_config(tuner: str) -> lora.LoraConfig:
    run = specs.RunSpec(
        "m",
        tuner=tuner,
        lora_r=4,
        lora_alpha=12.0,
        lora_dropout=0.0,
        lora_target_modules=("q_proj", "down_proj"),
    )
    return run.lora_config


def draw_groups() -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        [rng.integers(0, 160, length).astype(np.int32) for length in (24, 17, 30)]
        for _ in range(HYPER.steps)
    ]


def train_ours(model, initial, groups):
    """The losses of the steps, and the adapter after them."""
    state = steps.init_state(initial, HYPER)
    train_step = steps.jit_train_step(HYPER, transformer.ComputeConfig())
    losses = []
    for group in groups:
        batch, used = batches.pack(group, 64, rows=len(group))
        batch = steps.shard_batch(batch, 1, None)
        state, metrics = train_step(state, model, batch, used, jax.random.key(0))
        losses.append(metrics.loss.item())
    return losses, state.adapter


@pytest.mark.parametrize(
    ("tuner", "load_in_4bit"),
    [
        ("rslora", False),
        ("dora", False),
        pytest.param("dora", True, marks=pytest.mark.slow),
    ],
)
def test_five_steps_equal_pefts(qwen, tmp_path, tuner, load_in_4bit):
    path = qwen
    if load_in_4bit:
        path = str(tmp_path / "base")
        base = torch_reference.load_quantized(qwen, path)
    else:
        base = torch_reference.load_dense(qwen)
    model = hf.load(path, quantize=load_in_4bit)
    plan = loop.LoopConfig(HYPER, lora_config(tuner), transformer.ComputeConfig())
    initial = loop.initial_state(model, plan, seed=3).adapter
    before = jax.tree.map(np.array, initial)  # the steps donate what they begin with
    adapters.save_adapter(initial, tmp_path / "initial", path)
    theirs = peft.PeftModel.from_pretrained(
        base, tmp_path / "initial", is_trainable=True
    )
    theirs.train()
    groups = draw_groups()
    expected = torch_reference.train(theirs, groups, HYPER)
    theirs.save_pretrained(tmp_path / "trained")
    trained = adapters.load_adapter(str(tmp_path / "trained"), model.config)
    losses, found = train_ours(model, initial, groups)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    assert found.config == trained.config
    moved = jax.tree.map(lambda x, y: float(np.abs(x - y).max()), before, trained)
    assert min(jax.tree.leaves(moved)) > 1e-3
    for ours, reference in zip(jax.tree.leaves(found), jax.tree.leaves(trained)):
        gap = np.linalg.norm(ours - reference) / np.linalg.norm(reference)
        assert gap < 1e-3


def test_doras_dropout_acts_on_what_the_gain_adds(qwen, monkeypatch):
    """As PEFT's: y + (gain - 1) h W + gain scaling h A' B with h = dropout(x)."""
    config = lora.LoraConfig(4, 12.0, 0.25, ("q_proj",), use_dora=True)
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(16, 8)), rng.normal(size=(2, 5, 16))
    factors = lora.LoraParams(
        rng.normal(size=(4, 16)),
        rng.normal(size=(4, 8)),
        magnitude=rng.uniform(1, 3, 8),
    )
    weight, x, factors = jax.tree.map(np.float32, (weight, x, factors))
    bias = np.float32(rng.normal(size=8))
    base = torch.nn.Linear(16, 8)
    base.weight.data, base.bias.data = torch.tensor(weight.T), torch.tensor(bias)
    settings = peft.LoraConfig(
        r=4, lora_alpha=12, lora_dropout=0.25, target_modules=["q"], use_dora=True
    )
    theirs = peft.inject_adapter_in_model(settings, torch.nn.ModuleDict({"q": base}))
    layer = theirs["q"].train()
    layer.lora_A["default"].weight.data = torch.tensor(factors.a)
    layer.lora_B["default"].weight.data = torch.tensor(factors.b.T)
    layer.lora_magnitude_vector["default"].weight.data = torch.tensor(factors.magnitude)
    keys = jax.random.bits(jax.random.key(0), (2, 5))
    mask = np.asarray(dropout.dropout(np.ones_like(x), 0.25, keys))
    monkeypatch.setattr(
        torch.nn.functional, "dropout", lambda x, *_, **__: x * torch.tensor(mask)
    )
    expected = layer(torch.tensor(x)).detach().numpy()
    found = blocks.layers.linear(x, weight, bias, factors, config, keys)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_dora_begins_as_the_base(qwen):
    model = hf.load(qwen)
    config = lora_config("dora")
    shapes = blocks.linear_shapes(model.config)
    with pytest.raises(ValueError, match="no norms"):
        lora.init_adapter(jax.random.key(0), config, 3, shapes)
    norms = convert.weight_norms(model, config.modules)
    adapter = lora.init_adapter(jax.random.key(0), config, 3, shapes, norms)
    gains = convert.with_gains(model, adapter)
    for factors in gains.params.values():
        np.testing.assert_allclose(factors.gain, 1, rtol=1e-6)


@pytest.mark.slow
def test_dora_on_a_mesh_equals_one_device(qwen):
    model, mesh = hf.load(qwen, quantize=False), axes.parse_mesh("fsdp:4,tensor:2")
    hyper = steps.TrainConfig(steps=5, learning_rate=1e-2, micro_batch_size=4)
    batch, used = batches.pad(draw_groups()[0] + draw_groups()[1][:1], 32, 4)
    results = []
    for where in (None, mesh):
        base = model if where is None else sharding.shard_model(model, where)
        compute = transformer.ComputeConfig(mesh=where)
        plan = loop.LoopConfig(hyper, lora_config("dora"), compute)
        state = loop.initial_state(base, plan, seed=3)
        if where is not None:
            magnitude = state.adapter.params["self_attn.q_proj"].magnitude
            assert magnitude.addressable_shards[0].data.shape == (3, 64)
        train_step = steps.jit_train_step(hyper, compute)
        placed = steps.shard_batch(batch, 4, where)
        for _ in range(2):
            state, metrics = train_step(state, base, placed, used, jax.random.key(0))
        results.append(jax.tree.map(np.array, (metrics.loss, state.adapter)))
    (expected_loss, expected), (loss, found) = results
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for ours, whole in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        assert np.linalg.norm(ours - whole) / np.linalg.norm(whole) < 1e-3
