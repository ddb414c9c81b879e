import jax
import numpy as np
from train import test_step

from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.model import transformer
from jaxent.train import drawing
from jaxent.train import step as steps

CONFIG = steps.TrainConfig(steps=10, learning_rate=1e-3, warmup_ratio=0.0)
COMPUTE = transformer.ComputeConfig()


def batch_at(step):
    return batches.pack(test_step.examples(seed=step), 64, 16)


def groups_at(step):
    return batches.pack_lengths(test_step.examples(seed=step), (64, 128))


def test_both_ways_of_drawing_give_the_same_step(qwen):
    model, key = hf.load(qwen), jax.random.key(1)
    losses = []
    for draw, run in (
        drawing.one_length([batch_at], CONFIG, COMPUTE),
        drawing.several_lengths(groups_at, CONFIG, COMPUTE),
    ):
        drawn = draw(3)
        state = steps.init_state(test_step.filled(model, test_step.DROPPED), CONFIG)
        _, metrics = run(state, model, drawn, key, None)
        losses.append(float(metrics.loss))
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_used_rows_stand_last():
    draw, _ = drawing.one_length([batch_at], CONFIG, COMPUTE)
    assert draw(3)[-1] == (batch_at(3)[1],)
    draw, _ = drawing.one_length([batch_at, batch_at], CONFIG, COMPUTE)
    batch, rows = draw(3)
    assert rows == (batch_at(3)[1],) * 2 and batch.tokens.shape == (2, 16, 1, 64)
    draw, _ = drawing.several_lengths(groups_at, CONFIG, COMPUTE)
    groups, (rows,) = draw(3)
    assert rows == sum(len(group.tokens) for group in groups)
