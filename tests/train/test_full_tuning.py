"""Five optimizer steps of full fine-tuning beside torch, and on a mesh."""

import dataclasses

import families
import jax
import numpy as np
import pytest
import torch
import torch_reference
from train import test_loop, test_tuners

from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.distributed import axes
from jaxent.measure import penalty
from jaxent.model import sharding, trained, transformer
from jaxent.train import gradient, loop
from jaxent.train import step as steps

# Torch's matmuls sum in another order: Adam makes signs of gradients near zero.
HYPER = steps.TrainConfig(steps=5, learning_rate=1e-3, warmup_ratio=0.2, epsilon=1e-6)


def initial_state(model, hyper=HYPER, mesh=None):
    plan = loop.LoopConfig(hyper, None, transformer.ComputeConfig(mesh=mesh))
    return loop.initial_state(model, plan, seed=3)


def values(weights) -> dict[str, np.ndarray]:
    """The weights by path, on the host."""
    return {path: np.array(value) for path, value in weights.params.items()}


def their_values(model, config) -> dict[str, np.ndarray]:
    """The weights of a transformers model by path."""
    named = {n: p.detach().numpy() for n, p in model.named_parameters()}
    found = {}
    for row in hf.tensor_table(config):
        layers = [named[name] for name in hf.tensor_names(row, config)]
        layers = [value.T if row.linear else value for value in layers]
        found[row.path] = np.stack(layers) if row.stacked else layers[0]
    return found


@pytest.mark.parametrize("name", ["qwen2_tied", "qwen2_untied", "qwen3"])
def test_five_steps_equal_torchs(tmp_path, name):
    path = families.write(name, tmp_path)
    model, theirs = hf.load(path, quantize=False), torch_reference.load_dense(path)
    theirs.train()
    before = their_values(theirs, model.config)
    before = {key: value.copy() for key, value in before.items()}
    groups = test_tuners.draw_groups()
    expected_losses = torch_reference.train(theirs, groups, HYPER)
    expected = their_values(theirs, model.config)
    state = initial_state(model)
    train_step = steps.jit_train_step(HYPER, transformer.ComputeConfig())
    losses = []
    for group in groups:
        batch, used = batches.pack(group, 64, rows=len(group))
        batch = steps.shard_batch(batch, 1, None)
        state, metrics = train_step(state, model, batch, used, jax.random.key(0))
        losses.append(metrics.loss.item())
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    found = values(state.adapter)
    assert found.keys() == expected.keys()
    for key, reference in expected.items():
        moved = np.abs(reference - before[key]).max()
        assert moved > 1e-3, key
        gap = np.linalg.norm(found[key] - reference)
        assert gap < 1e-3 * np.linalg.norm(reference - before[key]), key
    # The base is as it was: the state had memory of its own.
    for path, param in sharding.iter_params(model):
        np.testing.assert_array_equal(param.get_value(), before[path])


def test_tied_heads_gradient_is_the_sum_of_both_uses(qwen):
    """The embedding's gradient is torch's, which ties the two parameters."""
    model, theirs = hf.load(qwen, quantize=False), torch_reference.load_dense(qwen)
    assert model.config.tied
    group = test_tuners.draw_groups()[0]
    torch_reference.step_loss(theirs, group)
    batch, used = batches.pack(group, 64, rows=len(group))
    batch = steps.shard_batch(batch, 1, None)
    weights = initial_state(model).adapter
    _, summed, _ = gradient.step_gradient(
        model, weights, batch, used, None, compute=transformer.ComputeConfig()
    )
    expected = theirs.model.embed_tokens.weight.grad.numpy()
    found = np.asarray(summed.params["embed_tokens.weight"])
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)


def test_on_a_mesh_equals_one_device(qwen):
    model, mesh = hf.load(qwen, quantize=False), axes.parse_mesh("fsdp:4,tensor:2")
    hyper = dataclasses.replace(HYPER, micro_batch_size=4)
    drawn = test_tuners.draw_groups()
    batch, used = batches.pad(drawn[0] + drawn[1][:1], 32, 4)
    results = []
    for where in (None, mesh):
        base = model if where is None else sharding.shard_model(model, where)
        state = initial_state(base, hyper, where)
        if where is not None:
            table = state.adapter.params["embed_tokens.weight"]
            assert table.addressable_shards[0].data.size == table.size // 8
        compute = transformer.ComputeConfig(mesh=where)
        train_step = steps.jit_train_step(hyper, compute)
        placed = steps.shard_batch(batch, 4, where)
        for _ in range(2):
            state, metrics = train_step(state, base, placed, used, jax.random.key(0))
        results.append((metrics.loss.item(), values(state.adapter)))
    (expected_loss, expected), (loss, found) = results
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    initial = values(initial_state(model).adapter)
    for path, whole in expected.items():
        moved = np.linalg.norm(whole - initial[path])
        assert np.linalg.norm(found[path] - whole) < 1e-3 * moved, path


def test_trains_in_float32_whatever_the_base_is(qwen, tmp_path):
    half = transformers_copy(qwen, tmp_path)
    model = hf.load(half, quantize=False)
    assert model.head().dtype == jax.numpy.bfloat16
    weights = initial_state(model).adapter
    assert {x.dtype.name for x in jax.tree.leaves(weights)} == {"float32"}


def transformers_copy(path: str, out) -> str:
    """The checkpoint in bfloat16, as transformers saves it."""
    torch_reference.load_dense(path).to(torch.bfloat16).save_pretrained(out)
    return str(out)


@pytest.mark.parametrize("step", [1, 10])
def test_an_interrupted_run_ends_in_the_same_bits(qwen, tmp_path, step):
    model = hf.load(qwen, quantize=False)
    plan = dataclasses.replace(test_loop.PLAN, lora_config=None)

    def fit(name, draw=test_loop.batch_at):
        run = test_loop.seed_run(3, draw, tmp_path / name)
        [ended] = loop.fit(model, plan, [run], progress=False)
        return ended

    whole = fit("whole")
    with pytest.raises(test_loop.KilledError):
        fit("cut", test_loop.killed_at(step))
    same = jax.tree.map(lambda a, b: bool((a == b).all()), whole, fit("cut"))
    assert jax.tree.all(same)
    moved = np.abs(whole.adapter.params["norm.weight"] - model.norm.weight.get_value())
    assert moved.max() > 1e-5


def test_csrs_gradient_is_that_of_autodiff(qwen):
    """The penalty in all weights, beside a penalty spelled out in one batch."""
    model = hf.load(qwen, quantize=False)
    examples = [[5, 7, 9, 4], [3, 1, 8], [2, 6, 6, 1, 9], [11, 12]]
    domains = ["code", "math", "code", "math"]
    config = penalty.CsrConfig(weight=0.3)
    reference = penalty.make_reference(model, examples, domains, config, 64)
    compute = transformer.ComputeConfig()
    weights = initial_state(model).adapter
    penalty.check_gradient(model, weights, reference, compute)
    moved = jax.tree.map(lambda x: x + 0.01 * jax.numpy.cos(x * 100), weights)
    value, gradient = penalty.penalty_gradient(model, moved, reference, compute)

    def spelled_out(weights):
        own, _ = trained.split(model, weights)
        total = 0.0
        for ids in examples:
            tokens = np.array([ids])
            places = np.arange(len(ids))[None]
            h = own(tokens, np.ones_like(tokens), places)[0].mean(0)
            base = model(tokens, np.ones_like(tokens), places)[0].mean(0)
            away = h - base
            away = away - reference.subspace @ (reference.subspace.T @ away)
            total += 0.3 * (away**2).sum() / len(examples)
        return total

    expected, slopes = jax.value_and_grad(spelled_out)(moved)
    np.testing.assert_allclose(value, expected, rtol=1e-4)
    for found, slope in zip(jax.tree.leaves(gradient), jax.tree.leaves(slopes)):
        assert np.linalg.norm(found - slope) <= 1e-3 * np.linalg.norm(slope) + 1e-7


def test_nf4_weights_are_refused(qwen):
    with pytest.raises(ValueError, match=r"q_proj.weight is NF4|down_proj.weight is"):
        initial_state(hf.load(qwen))
