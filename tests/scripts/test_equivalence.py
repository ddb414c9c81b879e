"""How two float32 results are judged against float64."""

import math

import equivalence
import numpy as np
import pytest


def check(ours: float, theirs: float, bound: float = 1e-4) -> equivalence.Check:
    return equivalence.Check("logits", "transformers", 0.0, bound, ours, theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "passed"),
    [
        (2e-6, 1.1e-6, True),
        (2e-6, 0.9e-6, False),  # more than twice as far
        (2e-4, 2e-4, False),  # as far as theirs, but past the bound
        (2e-7, 1e-9, True),  # within two roundings of float32
        (0, 0, True),
        (math.nan, 1e-6, False),
        (1e-6, math.nan, False),
    ],
)
def test_a_result_passes_near_float64_and_not_much_further_than_theirs(
    ours, theirs, passed
):
    assert check(ours, theirs).passed == passed


def test_without_a_reference_the_difference_decides():
    exact = equivalence.Check("NF4 codes", "bitsandbytes", 0, 0)
    assert exact.passed
    assert not equivalence.Check("NF4 codes", "bitsandbytes", 1, 0).passed
    assert str(exact).split()[-5:] == ["0", "-", "-", "0", "PASS"]


def test_three_results_give_three_distances():
    row = equivalence.compare(
        "x", "torch", equivalence.relative, ([1.3, 2], [1, 1.5], [1, 2]), 0.1
    )
    assert row.difference == pytest.approx(0.5 / 1.5)
    assert row.ours == pytest.approx(0.15)
    assert row.theirs == pytest.approx(0.25)
    assert not row.passed
    assert str(row).split()[-1] == "FAIL"


def test_distances_are_computed_in_float64():
    """A float32 loss beside a float64 one keeps the digits between them."""
    loss = 1 + 2.0**-30
    assert equivalence.elementwise_relative([np.float32(1)], [loss]) > 0
    assert equivalence.relative(np.float32([1]), [loss]) > 0
    assert equivalence.tree_relative({"a": np.float32([1])}, {"a": [loss]}) > 0


def test_the_record_holds_every_number_and_the_verdict():
    record = equivalence.to_record([check(2e-6, 1e-6), check(1.0, 1.0)])
    assert not record["passed"]
    assert record["checks"][0] == {
        "name": "logits",
        "against": "transformers",
        "difference": 0.0,
        "bound": 1e-4,
        "ours": 2e-6,
        "theirs": 1e-6,
        "passed": True,
    }
    assert record["ratio"] == 2.0
