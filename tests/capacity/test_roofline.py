"""Times and whole plans."""

import dataclasses
import math

import planned
import pytest

from jaxent.capacity import (
    roofline,
)
from jaxent.runs import cost
from jaxent.runs import spec as specs


def test_operations_and_hours():
    one = planned.job(planned.SEVEN, "v5e:1x1", rows=4.84)
    run = cost.run_cost(dataclasses.replace(one.run, max_steps=1), one.config)
    assert roofline.step_flops(one) == pytest.approx(
        (run.flops - 2 * roofline.measure_flops(one)) * 5 / 16
    )
    eight = dataclasses.replace(one, seeds=8)
    assert roofline.step_flops(eight) == 8 * roofline.step_flops(one)
    plan = roofline.plan_of(one)
    assert (
        plan.step.compute == pytest.approx(roofline.step_flops(one) / (0.4 * 197e12))
        and plan.step.link == 0
    )
    assert plan.hours["training"] == pytest.approx(5000 * plan.step.seconds / 3600)
    assert plan.hours["measuring"] == pytest.approx(
        (1 + 11) * plan.measurement.seconds / 3600
    )


def test_seeds_have_their_own_axis():
    plan = roofline.plan_of(
        planned.job(planned.SEVEN, "v5e:4x4", "seed:2,tensor:4,data:2", seeds=4)
    )
    two = roofline.plan_of(
        planned.job(planned.SEVEN, "v5e:4x4", "seed:2,tensor:4,data:2", seeds=2)
    )
    assert plan.costs[0].parts["adapter"] == 2 * two.costs[0].parts["adapter"]
    assert plan.costs[0].parts["weights"] == two.costs[0].parts["weights"]


def test_search_tries_what_divides():
    found = roofline.search_meshes(planned.job(planned.SEVEN, "h100:4"))
    assert all(math.prod(p.job.sizes.values()) == 4 for p in found) and len(found) == 6
    fitting = [sum(p.hours.values()) for p in found if p.fits]
    assert fitting == sorted(fitting) and found[0].fits
    with pytest.raises(ValueError, match="no mesh of 16 chips splits"):
        roofline.search_meshes(
            dataclasses.replace(
                planned.job(planned.SEVEN, "v5e:4x4"),
                run=specs.RunSpec(planned.SEVEN, batch_size=1),
            )
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "topology", "mesh"),
    [
        (planned.SEVEN, "v5e:1x1", "none"),
        (planned.BIG, "v5e:4x4", "fsdp:4,tensor:4"),
        (planned.BIG, "v5p:2x2x4", "data:2,tensor:8"),
        (planned.BIG, "v6e:4x4", "data:2,fsdp:2,tensor:4"),
    ],
)
def test_whole_models_compile_for_slices(libtpu, model, topology, mesh):
    """Every program of the study, all layers.

    Each fits, and the training step takes what the formula says within a quarter.
    """
    plan = roofline.plan_of(planned.job(model, topology, mesh), compiling=True)
    by_formula = roofline.plan_of(planned.job(model, topology, mesh))
    assert plan.fits and all(f.how.startswith("compiled") for f in plan.costs)
    assert plan.costs[0].total == pytest.approx(by_formula.costs[0].total, rel=0.25)
