import dataclasses

import numpy as np
import pytest

from jaxent.runs import base_model, validate
from jaxent.runs import spec as specs


def test_runs_share_a_base_unless_its_weights_or_arithmetic_differ():
    run = specs.RunSpec("m", "B3", max_steps=5)
    alike = dataclasses.replace(run, seed=3, condition="B2", lora_r=4)
    assert base_model.base_key(run) == base_model.base_key(alike)
    for change in (
        {"model": "other"},
        {"revision": "main"},
        {"load_in_4bit": False},
        {"dtype": "float32"},
        {"micro_batch_size": 2},
    ):
        other = dataclasses.replace(run, **change)
        assert base_model.base_key(run) != base_model.base_key(other), change


@pytest.fixture
def base(own_probes):
    settings = {"data_root": "embedded", "probes": own_probes, "dtype": "float32"}
    run = specs.RunSpec(specs.TINY_MODEL, "B0", **settings)
    return base_model.BaseModel(validate.validate_run(run))


def test_what_runs_share_is_made_once(base, own_probes):
    made = []
    for key in ("a", "a", "b"):
        assert base.memoize((key,), lambda: made.append(0) or len(made)) == len(made)
    assert len(made) == 2
    probe_set = validate.probes.load_probes(own_probes)
    x = base.activations(probe_set)
    assert x.shape == (96, base.model.config.embed) and np.isfinite(x).all()
    assert base.activations(probe_set) is x
