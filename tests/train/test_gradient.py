import jax
import numpy as np
from train import test_step

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.model import transformer
from jaxent.train import gradient


def test_a_step_without_dropout_has_no_key():
    key = jax.random.key(0)
    assert gradient.step_key(lora.Adapter({}, test_step.LORA), key, 3) is None
    keys = [
        gradient.step_key(lora.Adapter({}, test_step.DROPPED), key, n) for n in (3, 4)
    ]
    assert keys[0] != keys[1]


def test_parts_of_a_step_add_up_to_its_gradient(qwen):
    model = hf.load(qwen)
    adapter = test_step.filled(model, test_step.DROPPED)
    compute, key = transformer.ComputeConfig(), jax.random.key(1)
    batch, rows = batches.pad(test_step.examples(3), 64, 3)
    loss, expected, tokens = test_step.gradient(model, adapter, batch, rows, key)
    total = np.float32(0), jax.tree.map(np.zeros_like, adapter)
    for row in range(3):
        micro = batches.Batch(*(x[row : row + 1] for x in batch))
        total = gradient.add_gradient(
            total, model, adapter, micro, tokens, key, compute
        )
    np.testing.assert_allclose(total[0], loss, rtol=1e-6)
    for one, other in zip(jax.tree.leaves(total[1]), jax.tree.leaves(expected)):
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())
