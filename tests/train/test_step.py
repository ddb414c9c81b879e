import functools

import check_equivalence
import equivalence
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.model import blocks, transformer
from jaxent.train import gradient as gradients
from jaxent.train import step as steps

LORA = lora.LoraConfig(4, 12.0, 0.0)
DROPPED = lora.LoraConfig(4, 12.0, 0.2, ("q_proj", "down_proj"))
COMPUTE = transformer.ComputeConfig()


def examples(count=16, vocab=160, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, vocab, rng.integers(5, 60)).astype(np.int32)
        for _ in range(count)
    ]


def filled(model, config=LORA):
    return check_equivalence.random_adapter(model.config, config, 3)


def split(packed, micro_batch_size=1):
    """A packed batch and its used rows, as the step takes them."""
    batch, rows = packed
    return steps.shard_batch(batch, micro_batch_size, None), rows


@functools.cache
def compiled_gradient():
    return jax.jit(functools.partial(gradients.step_gradient, compute=COMPUTE))


def gradient(model, adapter, batch, rows, key=None, micro_batch_size=1):
    batch, rows = split((batch, rows), micro_batch_size)
    return compiled_gradient()(model, adapter, batch, rows, key)


def test_schedule_is_transformers_cosine_with_warmup():
    hyper = steps.TrainConfig(steps=340, learning_rate=1e-4, warmup_ratio=0.03)
    adam = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-4)
    theirs = transformers.get_cosine_schedule_with_warmup(adam, hyper.warmup_steps, 340)
    expected = [
        (adam.step(), theirs.get_last_lr()[0], theirs.step())[1] for _ in range(340)
    ]
    found = jax.vmap(steps.schedule(hyper))(jnp.arange(340))
    assert hyper.warmup_steps == 11
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-11)


def test_packed_gradient_equals_sixteen_padded_rows(family):
    model = hf.load(family)
    adapter, group = filled(model), examples()
    packed, used = batches.pack(group, 128, 16)
    padded, sixteen = batches.pad(group, 128, 16)
    assert used < sixteen == 16
    loss, grads, tokens = gradient(model, adapter, packed, used)
    expected_loss, expected, expected_tokens = gradient(model, adapter, padded, sixteen)
    assert tokens == expected_tokens == sum(len(e) - 1 for e in group)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-6)
    assert equivalence.tree_relative(grads, jax.tree.map(np.asarray, expected)) < 1e-5


def test_rows_at_a_time_change_no_gradient_with_dropout_on(qwen):
    model, batch = hf.load(qwen), batches.pad(examples(), 64, 16)
    one, two, eight = (
        gradient(model, filled(model, DROPPED), *batch, jax.random.key(1), n)
        for n in (1, 2, 8)
    )
    for found in (two, eight):
        np.testing.assert_allclose(found[0], one[0], rtol=1e-6)
        assert (
            equivalence.tree_relative(found[1], jax.tree.map(np.asarray, one[1])) < 1e-5
        )


def test_rows_at_a_time_change_no_steps_with_dropout_on(qwen):
    model = hf.load(qwen)

    def three_steps(micro_batch_size):
        hyper = steps.TrainConfig(
            steps=10,
            learning_rate=1e-3,
            warmup_ratio=0.0,
            micro_batch_size=micro_batch_size,
        )
        step, state = (
            steps.jit_train_step(hyper, COMPUTE),
            steps.init_state(filled(model, DROPPED), hyper),
        )
        for seed in range(3):
            state, metrics = step(
                state,
                model,
                *split(batches.pack(examples(seed=seed), 64, 16), micro_batch_size),
                jax.random.key(1),
            )
        return jax.tree.map(np.asarray, (state.adapter, metrics))

    (adapter, metrics), (expected, numbers) = three_steps(8), three_steps(1)
    np.testing.assert_allclose(
        (metrics.loss, metrics.grad_norm), (numbers.loss, numbers.grad_norm), rtol=1e-5
    )
    assert equivalence.tree_relative(adapter, expected) < 1e-5


def test_every_row_of_every_step_has_a_dropout_mask_of_its_own(qwen):
    model, (batch, rows) = hf.load(qwen), batches.pad(examples(1) * 16, 64, 16)
    adapter, run, found = filled(model, DROPPED), compiled_gradient(), []
    for step in range(2):
        for row in (0, 1, 7, 8, 15):
            alone = batch._replace(
                weights=batch.weights * (np.arange(16) == row)[:, None]
            )
            found.append(
                run(
                    model,
                    adapter,
                    *split((alone, rows), 8),
                    jax.random.fold_in(jax.random.key(1), step),
                )[0].item()
            )
    assert len(set(found)) == len(found) and np.ptp(found) < 0.1 * np.mean(found)


@pytest.mark.slow  # check_equivalence compares a random model by default
@pytest.mark.parametrize("name", ["stories", "qwen"])
def test_twenty_qlora_steps_equal_pytorch(request, name):
    path = request.getfixturevalue(name)
    vocab = 512 if name == "stories" else 160
    hyper = steps.TrainConfig(steps=20, learning_rate=1e-3, warmup_ratio=0.1)
    for check in check_equivalence.check_qlora(
        path, examples(80, vocab), lora.LoraConfig(8, 24.0, 0.0), hyper
    ):
        assert check.passed, str(check)


def test_one_trace_for_all_steps(qwen):
    model, config = hf.load(qwen), lora.LoraConfig(4, 12.0, 0.1)
    hyper = steps.TrainConfig(steps=5)
    step = steps.jit_train_step(hyper, COMPUTE)
    state = steps.init_state(
        lora.init_adapter(
            jax.random.key(0), config, 3, blocks.linear_shapes(model.config)
        ),
        hyper,
    )
    for seed in range(5):
        state, metrics = step(
            state,
            model,
            *split(batches.pack(examples(16 - seed, seed=seed), 64, 16)),
            jax.random.key(1),
        )
    assert (
        step._cache_size() == 1 and int(state.step) == 5 and np.isfinite(metrics.loss)
    )


def test_nan_keeps_the_last_good_state(qwen):
    model, hyper = (
        hf.load(qwen),
        steps.TrainConfig(steps=10, learning_rate=1e-2, warmup_ratio=0.0),
    )
    step = steps.jit_train_step(hyper, COMPUTE)
    batch, rows = split(batches.pack(examples(), 64, 16))
    state, _ = step(
        steps.init_state(filled(model), hyper), model, batch, rows, jax.random.key(0)
    )
    good = jax.tree.map(np.asarray, state)
    broken = batch._replace(weights=batch.weights * np.nan)
    state, metrics = step(state, model, broken, rows, jax.random.key(0))
    state, metrics = step(state, model, batch, rows, jax.random.key(0))
    assert int(metrics.failed) == int(state.failed) == 1 and int(state.step) == 1
    for found, kept in zip(
        jax.tree.leaves((state.adapter, state.optimizer)),
        jax.tree.leaves((good.adapter, good.optimizer)),
    ):
        np.testing.assert_array_equal(found, kept)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="steps 0: expected a positive number"):
        steps.TrainConfig(steps=0)
    with pytest.raises(ValueError, match="warmup_ratio 1"):
        steps.TrainConfig(warmup_ratio=1)


def test_a_batch_that_is_not_split_is_refused():
    batch, rows = batches.pack(examples(), 64, 16)
    expected = r"batch of shape \(16, 64\): expected \[M, B, T\]"
    with pytest.raises(ValueError, match=expected):
        gradients.step_gradient(None, None, batch, rows, None, compute=COMPUTE)
