import dataclasses

import benchmark_measure
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from train import test_step

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.measure import capture, penalty
from jaxent.model import blocks
from jaxent.model import config as configs
from jaxent.train import step as steps

COMPUTE, SPEC = test_step.COMPUTE, test_step.SPEC
PROBES = [
    np.random.default_rng(i).integers(0, 160, 5 + 3 * (i % 11)).tolist()
    for i in range(22)
]
DOMAINS = ["code" if i < 8 else "math" for i in range(22)]


@pytest.fixture(scope="module")
def model(qwen):
    return hf.load(qwen)


@pytest.fixture(scope="module")
def anchor(model):
    return penalty.make_reference(
        model, PROBES, DOMAINS, penalty.CsrConfig(0.3), 256, COMPUTE
    )


def test_activations_and_subspace_are_captures(model, anchor):
    expected = capture.capture(model, PROBES, compute=COMPUTE)
    assert anchor.tokens.shape == (6, 4, 64)  # 22 probes, 256 tokens at a time
    flat = np.asarray(anchor.base).reshape(-1, expected.shape[1])[: len(PROBES)]
    np.testing.assert_allclose(flat, expected, atol=2e-5 * np.abs(expected).max())
    s = np.asarray(anchor.subspace)
    np.testing.assert_allclose(s.T @ s, np.eye(s.shape[1]), atol=1e-6)
    code = expected[:8].astype(np.float64)
    kept = lambda p: ((code @ s[:, :p]) ** 2).sum() / (code**2).sum()
    assert kept(s.shape[1]) >= 0.9 > kept(s.shape[1] - 1)
    centred = penalty.target_subspace(code, 0.9, centred=True)
    assert abs(code.mean(0) @ centred).max() < abs(code.mean(0) @ s).max()


def test_equals_the_dense_projector_in_float64(model, anchor):
    adapter = test_step.filled(model)
    value, _ = penalty.penalty_gradient(model, adapter, anchor, SPEC, COMPUTE)
    moved = capture.capture(model, PROBES, adapter, SPEC, compute=COMPUTE).astype(
        np.float64
    )
    base = capture.capture(model, PROBES, compute=COMPUTE).astype(np.float64)
    s = np.asarray(anchor.subspace, np.float64)
    dense = np.eye(len(s)) - s @ s.T
    expected = 0.3 * (((moved - base) @ dense) ** 2).sum(1).mean()
    assert float(value) == pytest.approx(expected, rel=1e-4) and expected > 1e-3


def test_zero_where_nothing_moved(model, anchor):
    fresh = lora.init_adapter(
        jax.random.key(0),
        SPEC,
        model.config.layers,
        blocks.linear_shapes(model.config),
    )
    value, gradient = penalty.penalty_gradient(model, fresh, anchor, SPEC, COMPUTE)
    assert float(value) < 1e-12 and all(
        np.abs(g).max() < 1e-6 for g in jax.tree.leaves(gradient)
    )
    penalty.check_gradient(model, fresh, anchor, SPEC, COMPUTE)  # yet it would act


def test_a_penalty_that_cannot_act_is_refused(model, anchor):
    fresh = lora.init_adapter(
        jax.random.key(0),
        SPEC,
        model.config.layers,
        blocks.linear_shapes(model.config),
    )
    everything = dataclasses.replace(anchor, subspace=jnp.eye(model.config.embed))
    with pytest.raises(
        penalty.NoGradientError, match="norm 0.0, expected a positive number"
    ):
        penalty.check_gradient(model, fresh, everything, SPEC, COMPUTE)


def test_gradient_equals_finite_differences(model, anchor):
    adapter = test_step.filled(model)
    value, gradient = penalty.penalty_gradient(model, adapter, anchor, SPEC, COMPUTE)
    run = jax.jit(
        lambda a: penalty.penalty_gradient(model, a, anchor, SPEC, COMPUTE)[0]
    )
    for seed in range(3):
        keys = iter(jax.random.split(jax.random.key(seed), 99))
        along = jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape), adapter)
        shifted = lambda h: float(
            run(jax.tree.map(lambda x, d: x + h * d, adapter, along))
        )
        numeric = (shifted(5e-4) - shifted(-5e-4)) / 1e-3
        exact = sum(
            float((g * d).sum())
            for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(along))
        )
        assert numeric == pytest.approx(exact, rel=2e-2, abs=5e-3), (
            numeric,
            exact,
        )  # directions across the slope are near 0


def test_micro_batches_do_not_matter(model, anchor):
    adapter = test_step.filled(model)
    whole = penalty.make_reference(
        model, PROBES, DOMAINS, penalty.CsrConfig(0.3), 10**6, COMPUTE
    )
    assert whole.tokens.shape[0] == 1 < anchor.tokens.shape[0]
    first, second = (
        penalty.penalty_gradient(model, adapter, a, SPEC, COMPUTE)
        for a in (anchor, whole)
    )
    assert float(first[0]) == pytest.approx(float(second[0]), rel=1e-4)
    for a, b in zip(jax.tree.leaves(first[1]), jax.tree.leaves(second[1])):
        np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(b).max())


def test_two_lambdas_part_at_the_first_csr_step_and_not_before(model, anchor):
    hyper = steps.TrainConfig(steps=20, csr_every=2, warmup_ratio=0.0)
    batch, rows = batches.pack(test_step.examples(6), 64, 16)
    batch = steps.shard_batch(batch, hyper.micro_batch_size, None)
    run = steps.jit_train_step(SPEC, hyper, COMPUTE)
    found = {}
    for weight in (0.0, 0.03, 0.3):
        tied = dataclasses.replace(anchor, weight=jnp.float32(weight))
        state, history = steps.init_state(test_step.filled(model), hyper), []
        for _ in range(2):
            state, metrics = run(state, model, batch, rows, jax.random.key(0), tied)
            history.append((jax.tree.map(np.asarray, state.adapter), metrics))
        found[weight] = history
    same = lambda a, b: jax.tree.all(
        jax.tree.map(lambda x, y: bool((x == y).all()), a, b)
    )
    first, second = ([found[w][i][0] for w in (0.0, 0.03, 0.3)] for i in (0, 1))
    assert same(first[0], first[1]) and same(first[0], first[2])
    assert not same(second[0], second[1]) and not same(second[1], second[2])
    assert np.isnan(found[0.3][0][1].csr) and np.isnan(found[0.3][0][1].csr_ratio)
    weak, strong = (found[w][1][1] for w in (0.03, 0.3))
    assert float(strong.csr) == pytest.approx(10 * float(weak.csr), rel=1e-5)
    assert (
        float(strong.csr_ratio) == pytest.approx(10 * float(weak.csr_ratio), rel=1e-5)
        and weak.csr_ratio > 0
    )


def test_movement_splits_into_inside_and_outside():
    rng = np.random.default_rng(0)
    base, h = rng.normal(size=(2, 30, 9))
    s = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    found = penalty.measure_movement(h.astype(np.float32), base, s)
    size = (base**2).sum(1).mean()
    assert (
        found.total == pytest.approx(((h - base) ** 2).sum(1).mean() / size, rel=1e-5)
        and found.dimensions == 3
    )
    assert found.inside == pytest.approx(
        (((h - base) @ s @ s.T) ** 2).sum(1).mean() / size, rel=1e-5
    )
    assert found.total == pytest.approx(found.inside + found.outside)
    assert found.outside == pytest.approx(
        float(penalty.squared_drift(h, base, s).mean()) / size, rel=1e-4
    )
    assert (
        penalty.measure_movement(base, base, s).total == 0
        and penalty.measure_movement(base + 2 * s[:, 0], base, s).outside < 1e-20
    )


def test_a_csr_step_needs_hardly_more_memory_than_one_without():
    """Its 480 probes run a micro-batch at a time, after the language model's gradient and in the space that used."""
    raw = {
        "model_type": "qwen2",
        "vocab_size": 256,
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    needed = benchmark_measure.step_memory(configs.from_dict(raw), 480, 512, 8, COMPUTE)
    assert needed[True] < 1.1 * needed[False], needed


def test_bad_settings_are_refused(model):
    with pytest.raises(
        ValueError,
        match="CSR target 'law': expected a domain of the probes .code, math.",
    ):
        penalty.make_reference(model, PROBES, DOMAINS, penalty.CsrConfig(target="law"))
    with pytest.raises(ValueError, match="CSR lambda 0.1, variance 1.5"):
        penalty.CsrConfig(variance=1.5)
