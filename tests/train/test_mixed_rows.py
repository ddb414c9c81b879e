import dataclasses

import equivalence
import jax
import numpy as np
import pytest
from train import test_step

from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.measure import penalty
from jaxent.model import transformer
from jaxent.train import mixed_rows
from jaxent.train import step as steps

PROBES = [list(range(3, 12 + i)) for i in range(4)]
DOMAINS = ["code", "code", "math", "math"]
CONFIG = steps.TrainConfig(steps=10, learning_rate=1e-3, warmup_ratio=0.0)


def run(model, step_on, number=3):
    state = steps.init_state(test_step.filled(model, test_step.DROPPED), CONFIG)
    for step in range(number):
        state, metrics = step_on(state, test_step.examples(seed=step))
    return jax.tree.map(np.asarray, (state.adapter, metrics))


@pytest.mark.parametrize("remat", ["full", "none"])
def test_rows_of_several_lengths_train_as_rows_of_one(qwen, remat):
    """With dropout on: its masks do not depend on the packing either."""
    model, key = hf.load(qwen), jax.random.key(1)
    compute = transformer.ComputeConfig(remat=remat, kernel="blocks")
    mixed = mixed_rows.jit_mixed_step(CONFIG, compute)
    plain = steps.jit_train_step(CONFIG, transformer.ComputeConfig())
    used = set()

    def on_groups(state, examples):
        groups = batches.pack_lengths(examples, (32, 64, 128))
        used.update(group.tokens.shape[1] for group in groups)
        return mixed(state, model, groups, key, None)

    def on_one_length(state, examples):
        batch, rows = test_step.split(batches.pack(examples, 64, 16))
        return plain(state, model, batch, rows, key, None)

    adapter, metrics = run(model, on_groups)
    expected, numbers = run(model, on_one_length)
    assert len(used) > 1
    np.testing.assert_allclose(metrics.loss, numbers.loss, rtol=1e-5)
    np.testing.assert_allclose(metrics.grad_norm, numbers.grad_norm, rtol=1e-5)
    assert metrics.tokens == numbers.tokens
    assert equivalence.tree_relative(adapter, expected) < 1e-5


def test_a_length_is_compiled_once_whatever_its_number_of_rows(qwen):
    model, key = hf.load(qwen), jax.random.key(1)
    compute = transformer.ComputeConfig(remat="none", kernel="blocks")
    mixed_rows.jit_accumulate.cache_clear()
    mixed_rows.jit_mixed_step.cache_clear()
    mixed = mixed_rows.jit_mixed_step(CONFIG, compute)
    state = steps.init_state(test_step.filled(model), CONFIG)
    lengths = set()
    for sizes in ((100, 60), (120, 110, 90), (100, 60, 60, 60, 60)):
        examples = [np.arange(size, dtype=np.int32) for size in sizes]
        groups = batches.pack_lengths(examples, (64, 128))
        lengths.update(group.tokens.shape[1] for group in groups)
        state, _ = mixed(state, model, groups, key, None)
    assert len(lengths) == 2
    assert mixed_rows.jit_accumulate(compute)._cache_size() == 2


def test_penalty_is_added_on_its_steps(qwen):
    model, key = hf.load(qwen), jax.random.key(1)
    config = dataclasses.replace(CONFIG, csr_every=2)
    compute = transformer.ComputeConfig()
    reference = penalty.make_reference(
        model, PROBES, DOMAINS, penalty.CsrConfig(0.3), 256, compute
    )
    mixed = mixed_rows.jit_mixed_step(config, compute)
    state = steps.init_state(test_step.filled(model), config)
    found = []
    for _ in range(4):
        groups = batches.pack_lengths(test_step.examples(), (64, 128))
        state, metrics = mixed(state, model, groups, key, reference)
        found.append(np.isfinite(metrics.csr))
    assert found == [False, True, False, True]
