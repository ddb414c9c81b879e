import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import step_programs
from train import test_step

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.measure import capture, penalty
from jaxent.model import blocks
from jaxent.model import config as configs
from jaxent.train import step as steps

COMPUTE, LORA = test_step.COMPUTE, test_step.LORA
PROBES = [
    np.random.default_rng(i).integers(0, 160, 5 + 3 * (i % 11)).tolist()
    for i in range(22)
]
DOMAINS = ["code" if i < 8 else "math" for i in range(22)]


@pytest.fixture(scope="module")
def model(qwen):
    return hf.load(qwen)


@pytest.fixture(scope="module")
def reference(model):
    return penalty.make_reference(
        model, PROBES, DOMAINS, penalty.CsrConfig(0.3), 256, COMPUTE
    )


def test_activations_and_subspace_are_captures(model, reference):
    expected = capture.capture(model, PROBES, compute=COMPUTE)
    assert reference.tokens.shape == (6, 4, 64)  # 22 probes, 256 tokens at a time
    flat = np.asarray(reference.base).reshape(-1, expected.shape[1])[: len(PROBES)]
    np.testing.assert_allclose(flat, expected, atol=2e-5 * np.abs(expected).max())
    s = np.asarray(reference.subspace)
    np.testing.assert_allclose(s.T @ s, np.eye(s.shape[1]), atol=1e-6)
    code = expected[:8].astype(np.float64)

    def kept(p):
        return ((code @ s[:, :p]) ** 2).sum() / (code**2).sum()

    assert kept(s.shape[1]) >= 0.9 > kept(s.shape[1] - 1)
    centred = penalty.target_subspace(code, 0.9, centred=True)
    assert abs(code.mean(0) @ centred).max() < abs(code.mean(0) @ s).max()


def test_equals_the_dense_projector_in_float64(model, reference):
    adapter = test_step.filled(model)
    value, _ = penalty.penalty_gradient(model, adapter, reference, COMPUTE)
    moved = capture.capture(model, PROBES, adapter, compute=COMPUTE).astype(np.float64)
    base = capture.capture(model, PROBES, compute=COMPUTE).astype(np.float64)
    s = np.asarray(reference.subspace, np.float64)
    dense = np.eye(len(s)) - s @ s.T
    expected = 0.3 * (((moved - base) @ dense) ** 2).sum(1).mean()
    assert float(value) == pytest.approx(expected, rel=1e-4) and expected > 1e-3


def test_zero_where_nothing_moved(model, reference):
    fresh = lora.init_adapter(
        jax.random.key(0),
        LORA,
        model.config.layers,
        blocks.linear_shapes(model.config),
    )
    value, gradient = penalty.penalty_gradient(model, fresh, reference, COMPUTE)
    assert float(value) < 1e-12 and all(
        np.abs(g).max() < 1e-6 for g in jax.tree.leaves(gradient)
    )
    penalty.check_gradient(model, fresh, reference, COMPUTE)  # yet it would act


def test_a_penalty_that_cannot_act_is_refused(model, reference):
    fresh = lora.init_adapter(
        jax.random.key(0),
        LORA,
        model.config.layers,
        blocks.linear_shapes(model.config),
    )
    everything = dataclasses.replace(reference, subspace=jnp.eye(model.config.embed))
    with pytest.raises(
        penalty.NoGradientError, match="norm 0.0, expected a positive number"
    ):
        penalty.check_gradient(model, fresh, everything, COMPUTE)


def random_direction(tree, seed):
    """A tree of normal numbers of the same shapes."""
    keys = iter(jax.random.split(jax.random.key(seed), 99))
    return jax.tree.map(lambda x: jax.random.normal(next(keys), x.shape), tree)


def shifted(tree, along, step):
    return jax.tree.map(lambda x, d: x + step * d, tree, along)


def are_equal(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))


def test_gradient_equals_finite_differences(model, reference):
    adapter = test_step.filled(model)
    value, gradient = penalty.penalty_gradient(model, adapter, reference, COMPUTE)
    run = jax.jit(lambda a: penalty.penalty_gradient(model, a, reference, COMPUTE)[0])
    for seed in range(3):
        along = random_direction(adapter, seed)
        values = [float(run(shifted(adapter, along, h))) for h in (5e-4, -5e-4)]
        numeric = (values[0] - values[1]) / 1e-3
        exact = sum(
            float((g * d).sum())
            for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(along))
        )
        assert numeric == pytest.approx(exact, rel=2e-2, abs=5e-3), (
            numeric,
            exact,
        )  # directions across the slope are near 0


def test_micro_batches_do_not_matter(model, reference):
    adapter = test_step.filled(model)
    whole = penalty.make_reference(
        model, PROBES, DOMAINS, penalty.CsrConfig(0.3), 10**6, COMPUTE
    )
    assert whole.tokens.shape[0] == 1 < reference.tokens.shape[0]
    first, second = (
        penalty.penalty_gradient(model, adapter, a, COMPUTE) for a in (reference, whole)
    )
    assert float(first[0]) == pytest.approx(float(second[0]), rel=1e-4)
    for a, b in zip(jax.tree.leaves(first[1]), jax.tree.leaves(second[1])):
        np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(b).max())


def test_two_lambdas_part_at_the_first_csr_step_and_not_before(model, reference):
    hyper = steps.TrainConfig(steps=20, csr_every=2, warmup_ratio=0.0)
    batch, rows = test_step.split(batches.pack(test_step.examples(6), 64, 16))
    run = steps.jit_train_step(hyper, COMPUTE)
    found = {}
    for weight in (0.0, 0.03, 0.3):
        tied = dataclasses.replace(reference, weight=jnp.float32(weight))
        state, history = steps.init_state(test_step.filled(model), hyper), []
        for _ in range(2):
            state, metrics = run(state, model, batch, rows, jax.random.key(0), tied)
            history.append((jax.tree.map(np.asarray, state.adapter), metrics))
        found[weight] = history
    first, second = ([found[w][i][0] for w in (0.0, 0.03, 0.3)] for i in (0, 1))
    assert are_equal(first[0], first[1]) and are_equal(first[0], first[2])
    assert not are_equal(second[0], second[1]) and not are_equal(second[1], second[2])
    assert np.isnan(found[0.3][0][1].csr) and np.isnan(found[0.3][0][1].csr_ratio)
    weak, strong = (found[w][1][1] for w in (0.03, 0.3))
    assert float(strong.csr) == pytest.approx(10 * float(weak.csr), rel=1e-5)
    assert (
        float(strong.csr_ratio) == pytest.approx(10 * float(weak.csr_ratio), rel=1e-5)
        and weak.csr_ratio > 0
    )


def test_a_csr_step_needs_hardly_more_memory_than_one_without():
    """Its 480 probes run a micro-batch at a time, after the language model's gradient.

    They use the space that the gradient used.
    """
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
    needed = step_programs.step_memory(configs.from_dict(raw), 480, 512, 8, COMPUTE)
    assert needed[True] < 1.1 * needed[False], needed


def test_bad_settings_are_refused(model):
    with pytest.raises(
        ValueError,
        match="CSR target 'law': expected a domain of the probes .code, math.",
    ):
        penalty.make_reference(model, PROBES, DOMAINS, penalty.CsrConfig(target="law"))
    with pytest.raises(ValueError, match="CSR lambda 0.1, variance 1.5"):
        penalty.CsrConfig(variance=1.5)
