import json

import jax
import numpy as np
import pytest
from train import test_step

from jaxent.arrays import lora
from jaxent.checkpoint import hf, run as runs
from jaxent.data import batches
from jaxent.train import log, loop, step as steps

PLAN = loop.Plan(steps.Hyper(steps=12), lora.Spec(4, 12.0, 0.1), test_step.COMPUTE, seed=3, measure_every=4, save_every=3)


def batch_at(step):
    return batches.pack(test_step.examples(8, seed=step), 64, 16)


class Killed(Exception):
    pass


def killed_at(step):
    def draw(index):
        if index == step:
            raise Killed
        return batch_at(index)

    return draw


def measure(adapter):
    return {"norm": float(sum(np.abs(x).sum() for x in jax.tree.leaves(adapter)))}


def fit(model, folder, draw=batch_at):
    return loop.fit(model, PLAN, draw, measure, folder, progress=False)


@pytest.mark.parametrize("step", [1, 10])
def test_interrupted_run_ends_in_the_identical_adapter_and_records(qwen, tmp_path, step):
    model = hf.load(qwen)
    whole = fit(model, tmp_path / "whole")
    with pytest.raises(Killed):
        fit(model, tmp_path / "cut", killed_at(step))
    resumed = fit(model, tmp_path / "cut")
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), whole, resumed))
    records = [log.read(tmp_path / name / "metrics.jsonl") for name in ("whole", "cut")]
    timeless = [[{k: v for k, v in r.items() if k != "seconds"} for r in found] for found in records]
    assert timeless[0] == timeless[1]
    assert [r["step"] for r in records[0] if r["kind"] == "measure"] == [0, 4, 8, 12]


def test_half_written_record_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"kind": "train", "step": 1}) + '\n{"kind": "tr')
    assert log.read(tmp_path / "metrics.jsonl") == [{"kind": "train", "step": 1}]


def test_nan_stops_with_the_step_and_saves_the_good_state(qwen, tmp_path):
    def draw(step):
        batch, rows = batch_at(step)
        return (batch._replace(weights=batch.weights * np.nan) if step == 6 else batch), rows

    with pytest.raises(loop.NonFinite, match="step 7: loss nan.*state after step 6 is saved"):
        fit(hf.load(qwen), tmp_path, draw)
    checkpoints = runs.Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.latest() == 6
    checkpoints.close()
