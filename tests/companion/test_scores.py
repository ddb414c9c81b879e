import numpy as np
import pytest

from jaxent.companion import scores


def test_both_axes_count_the_same():
    axes = {
        "a": scores.Axes(0.1, [0.2], [0.2, 0.4], [0.1, 0.1]),
        "b": scores.Axes(0.1, [0.2], [0.1, 0.1], [0.0, 0.0]),
        "c": scores.Axes(0.4, [0.2], [0.3, 0.3], [0.1, 0.1]),
    }
    found = scores.score_companions(axes, ("a", "b", "c"))
    assert found["crosstalk"] == {"a": -0.1, "b": -0.1, "c": -0.4} and found[
        "alignment"
    ]["a"] == pytest.approx(0.3)
    root = 1 / np.sqrt(2)
    assert found["two axes"] == pytest.approx({"a": 2 * root, "b": -root, "c": -root})


def test_a_predictor_is_judged_by_pairs_and_by_those_that_seeds_agree_on():
    worse = {"a": [0.1, 0.1], "b": [0.2, 0.3], "c": [0.15, 0.5]}
    right = scores.judge_predictor({"a": 3, "b": 2, "c": 1}, worse)
    assert right == {
        "right": 3,
        "pairs": 3,
        "clear_right": 2,
        "clear_pairs": 2,
        "rho": pytest.approx(1),
        "p": pytest.approx(1 / 3),
    }
    wrong = scores.judge_predictor({"a": 1, "b": 2, "c": 3}, worse)
    assert (wrong["right"], wrong["clear_right"], wrong["rho"]) == (
        0,
        0,
        pytest.approx(-1),
    )
    assert scores.judge_predictor({"a": 1, "b": 1}, worse) == {
        "right": 0,
        "pairs": 1,
        "clear_right": 0,
        "clear_pairs": 1,
        "rho": None,
        "p": None,
    }
