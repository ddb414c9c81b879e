import dataclasses
import re

import jax
import numpy as np
import pytest
from train import test_step

from jaxent.arrays import lora
from jaxent.checkpoint import hf, training_state
from jaxent.data import batches
from jaxent.train import log, loop
from jaxent.train import step as steps

PLAN = loop.LoopConfig(
    steps.TrainConfig(steps=12),
    lora.LoraConfig(4, 12.0, 0.1),
    test_step.COMPUTE,
    measure_steps=4,
    save_steps=3,
)


def batch_at(step):
    return batches.pack(test_step.examples(8, seed=step), 64, 16)


class KilledError(Exception):
    pass


def killed_at(step):
    def draw(index):
        if index == step:
            raise KilledError
        return batch_at(index)

    return draw


def measure(adapter):
    return {"norm": float(sum(np.abs(x).sum() for x in jax.tree.leaves(adapter)))}


def seed_run(seed, draw, folder):
    metrics = log.MetricsLog(folder / "metrics.jsonl")
    return loop.SeedRun(
        *(seed, draw, measure, folder / "checkpoints", metrics), score=measure
    )


def fit(model, folder, draw=batch_at):
    plan = dataclasses.replace(PLAN, eval_steps=5)  # never with a checkpoint
    [ended] = loop.fit(model, plan, [seed_run(3, draw, folder)], progress=False)
    return ended


@pytest.mark.parametrize("step", [1, 10])
def test_interrupted_run_ends_in_the_identical_adapter_and_records(
    qwen, tmp_path, step
):
    model = hf.load(qwen)
    whole = fit(model, tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(model, tmp_path / "cut", killed_at(step))
    resumed = fit(model, tmp_path / "cut")
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), whole, resumed))
    records = [
        log.read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut")
    ]
    timeless = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in found]
        for found in records
    ]
    assert timeless[0] == timeless[1]
    for kind, expected in (("measure", [0, 4, 8, 12]), ("eval", [0, 5, 10, 12])):
        assert [r["step"] for r in records[0] if r["kind"] == kind] == expected


def test_nan_stops_with_the_step_and_saves_the_good_state(qwen, tmp_path):
    def draw(step):
        batch, rows = batch_at(step)
        return (
            batch._replace(weights=batch.weights * np.nan) if step == 6 else batch
        ), rows

    ended = fit(hf.load(qwen), tmp_path, draw)
    assert isinstance(ended, loop.NonFiniteError) and re.match(
        "step 7: loss nan.*state after step 6 is saved", str(ended)
    )
    checkpoints = training_state.Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() == 6
    checkpoints.close()


def drawn_run(seed, folder, cut=None, bad=None):
    def draw(index):
        if index == cut:
            raise KilledError
        batch, rows = batches.pack(
            test_step.examples(8, seed=100 * seed + index), 64, 16
        )
        return (
            batch._replace(weights=batch.weights * np.nan) if index == bad else batch
        ), rows

    return seed_run(seed, draw, folder / str(seed))


def assert_same(found, expected):
    """Equal within the rounding that products of three runs' rows together bring."""
    for a, b in zip(jax.tree.leaves(found.adapter), jax.tree.leaves(expected.adapter)):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.slow
def test_seeds_trained_together_equal_seeds_alone_and_resume_and_outlive_one_that_fails(
    qwen, tmp_path
):
    model = hf.load(qwen)
    alone = [
        loop.fit(model, PLAN, [drawn_run(s, tmp_path / "alone")], progress=False)[0]
        for s in (0, 1)
    ]
    together = [
        drawn_run(0, tmp_path, cut=10),
        drawn_run(1, tmp_path),
        drawn_run(2, tmp_path, bad=6),
    ]
    with pytest.raises(KilledError):
        loop.fit(model, PLAN, together, progress=False)
    together[0] = drawn_run(0, tmp_path)
    first, second, third = loop.fit(model, PLAN, together, progress=False)
    assert_same(first, alone[0])
    assert_same(second, alone[1])
    assert isinstance(third, loop.NonFiniteError) and str(third).startswith("step 7")
    for seed in (0, 1):
        found, wanted = (
            log.read_metrics(f / str(seed) / "metrics.jsonl")
            for f in (tmp_path, tmp_path / "alone")
        )
        assert [(r["kind"], r["step"], r.get("tokens")) for r in found] == [
            (r["kind"], r["step"], r.get("tokens")) for r in wanted
        ]
    assert training_state.saved_steps(tmp_path / "2" / "checkpoints") >= {6}
