"""Memory and traffic by formula."""

import planned
import pytest

from jaxent.capacity import roofline
from jaxent.model import blocks


def test_memory_by_hand():
    """7B on one chip.

    Codes and scales, embedding and head, norms and biases; adapter, two moments and two
    counts; a batch of five arrays.
    """
    one = planned.job(planned.SEVEN, "v5e:1x1")
    plan = roofline.plan_of(one)
    c, shapes = one.config, blocks.linear_shapes(one.config)
    linear = c.layers * sum(k * n for k, n in shapes.values())
    small = c.layers * (2 * c.embed + c.embed + 2 * 512) + c.embed
    adapter = 4 * 64 * c.layers * sum(k + n for k, n in shapes.values())
    parts = plan.costs[0].parts
    assert parts["weights"] == linear * 9 // 16 + 2 * (2 * c.vocab * c.embed + small)
    assert (parts["adapter"], parts["optimizer"] - 2 * adapter, parts["batch"]) == (
        adapter,
        8,
        16 * 2048 * 4 * 5,
    )
    assert (
        plan.costs[2].parts["cache"]
        == plan.decoded * 2 * c.layers * c.kv_heads * c.head_dim * 1216 * 2
    )
    assert (
        plan.fits
        and 10 < plan.costs[0].total / 2**30 < 13
        and all(f.how == "analysed" for f in plan.costs)
    )
    assert set(plan.costs[0].received.values()) == {0.0}


def test_a_mesh_splits_what_it_holds():
    whole, split = (
        roofline.plan_of(planned.job(planned.BIG, "h200:1")),
        roofline.plan_of(planned.job(planned.BIG, "v5e:4x4", "fsdp:4,tensor:4")),
    )
    for name in ("adapter", "optimizer"):
        assert split.costs[0].parts[name] == pytest.approx(
            whole.costs[0].parts[name] / 4, rel=1e-6
        )  # a factor is split one way only
    assert split.costs[0].parts["weights"] == pytest.approx(
        whole.costs[0].parts["weights"] / 16, rel=1e-3
    )
    assert (
        split.costs[0].received["all-gather"] > 0
        and split.fits
        and not roofline.plan_of(planned.job(planned.BIG, "v5e:1x1")).fits
    )
