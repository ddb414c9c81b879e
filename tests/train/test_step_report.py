import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxent.train import step as steps
from jaxent.train import step_report


def test_each_run_gets_its_own_numbers_and_csr_only_on_its_steps():
    names = [field.name for field in dataclasses.fields(steps.StepMetrics)]
    values = {name: jnp.arange(2.0) + i for i, name in enumerate(names)}
    values["csr"] = jnp.array([np.nan, 0.25])
    first, second = step_report.split_seeds(steps.StepMetrics(**values), 2)
    assert second["loss"] == first["loss"] + 1
    assert "csr" not in step_report.make_record(first)
    assert step_report.make_record(second)["csr"] == 0.25


def test_one_run_has_scalars():
    names = [field.name for field in dataclasses.fields(steps.StepMetrics)]
    metrics = steps.StepMetrics(**{name: jnp.array(3.0) for name in names})
    [only] = step_report.split_seeds(metrics, 1)
    assert only == dict.fromkeys(names, 3.0)
