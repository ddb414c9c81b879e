"""How two float32 results are judged against float64."""

import math

import equivalence
import numpy as np
import pytest


def check(
    ours: float, theirs: float, worst: float = 5e-6, bound: float = 1e-4
) -> equivalence.Check:
    return equivalence.Check("logits", "torch", 0.0, bound, ours, theirs, worst)


@pytest.mark.parametrize(
    ("ours", "theirs", "passed"),
    [
        (2e-6, 1.1e-6, True),
        (2e-6, 0.9e-6, False),  # more than twice as far
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


@pytest.mark.parametrize("worst", [2e-4, math.nan])
def test_the_worst_part_has_a_bound_of_its_own(worst):
    assert not check(1e-6, 1e-6, worst).passed


def test_without_a_reference_the_difference_decides():
    exact = equivalence.Check("NF4 codes", "bitsandbytes", 0, 0)
    assert exact.passed
    assert not equivalence.Check("NF4 codes", "bitsandbytes", 1, 0).passed
    assert str(exact).split()[-5:] == ["-", "-", "-", "0", "PASS"]


def test_three_results_give_medians_and_the_largest_distance():
    results = ([1.3, 2.2, 3], [1, 2.1, 2.7], [1, 2, 3])
    row = equivalence.compare("x", "torch", equivalence.element_distances, results, 0.2)
    assert row.difference == pytest.approx(0.3)
    assert (row.ours, row.worst) == pytest.approx((0.1, 0.3))
    assert row.theirs == pytest.approx(0.05)
    assert not row.passed
    assert str(row).split()[-1] == "FAIL"


def test_distances_are_computed_in_float64():
    """A float32 loss beside a float64 one keeps the digits between them."""
    loss = 1 + 2.0**-30
    assert equivalence.element_distances([np.float32(1)], [loss]) > 0
    assert equivalence.row_distances(np.float32([1]), [loss]) > 0
    assert equivalence.layer_distances([np.float32([[1]])], [np.array([[loss]])]) > 0
    assert equivalence.tree_relative({"a": np.float32([1])}, {"a": [loss]}) > 0


def test_the_record_holds_every_number_and_the_verdict():
    record = equivalence.to_record([check(2e-6, 1e-6), check(1.0, 1.0, worst=1.0)])
    assert not record["passed"]
    assert record["checks"][0] == {
        "name": "logits",
        "against": "torch",
        "difference": 0.0,
        "bound": 1e-4,
        "ours": 2e-6,
        "theirs": 1e-6,
        "worst": 5e-6,
        "passed": True,
    }
    assert record["ratio"] == 2.0
