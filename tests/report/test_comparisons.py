"""Differences with all their intervals, and what they decide."""

import numpy as np
from known_verdicts import (
    CONTRADICTED,
    SUPPORTED,
    UNDECIDED,
    conditions,
    decide,
    ladder,
)

from jaxent.stats import differences


def test_differences_need_every_interval_on_one_side():
    b = np.zeros(8)
    seen = differences.difference(
        [1.0, 1.1, 1.2], [0.0, 0.1, 0.2], b + 1 + 0.01 * np.arange(8), b
    )
    assert seen.above() and not seen.below() and not seen.within(0.5) and seen.within(2)
    split = differences.difference(
        [1.0, 1.1, 1.2], [0.0, 0.1, 0.2], np.array([5.0, -4.0] * 4), b
    )
    assert not split.above() and split.seeds[0] > 0
    alone = differences.difference([1.0], [0.0], None, None)
    assert not alone.above() and "no test" in alone.test
    assert (
        differences.sign_flip(np.ones(8)) == 2 / 2**8
        and differences.sign_flip([1.0, 2, 3, 4, 5]) == 2 / 32
        and differences.sign_flip([0.0, 0]) == 1
    )


def test_seeds_that_scatter_leave_it_open_whatever_the_probe_sets_say(tmp_path):
    ladder(tmp_path, (0.6, 0.55, 0.5), noise=0.15)
    verdict = decide(tmp_path, "scale")
    assert (
        verdict.outcome == UNDECIDED
        and "Welch t over 4 and 4 seeds" in verdict.test
        and "8 replicate sets" in verdict.test
    )


def test_coding_is_compared_problem_by_problem(tmp_path):
    conditions(
        tmp_path,
        {"B1": 78, "B2": 79, "B3": 40, "B4": 90, "B5": 10, "B6": 60},
        {"B1": 0.01, "B2": 0.009, "B3": 1.0, "B4": 0.001, "B5": 5.0, "B6": 0.5},
    )
    ids = (
        "math_beats_nl",
        "nl_twice_math",
        "creative_hurts",
        "creative_worst",
        "csr_best",
        "curriculum_catastrophic",
    )
    assert decide(tmp_path, *ids) == [
        SUPPORTED,
        SUPPORTED,
        SUPPORTED,
        CONTRADICTED,
        SUPPORTED,
        SUPPORTED,
    ]
    assert decide(tmp_path, "nl_displaces", "csr_least_displaced") == [
        SUPPORTED,
        SUPPORTED,
    ]
    energy = decide(tmp_path, "energy_anticorrelates")
    assert energy.outcome == SUPPORTED and "rho = -1.00 of 6" in energy.test
    assert "39 against 0 problems" in decide(tmp_path, "math_beats_nl").test


def test_coding_the_other_way_round(tmp_path):
    conditions(
        tmp_path,
        {"B1": 40, "B2": 40, "B3": 79, "B4": 20, "B5": 96, "B6": 120},
        {"B1": 1, "B2": 2, "B3": 3, "B4": 0.5, "B5": 4, "B6": 5},
    )
    ids = (
        "math_beats_nl",
        "nl_twice_math",
        "creative_hurts",
        "creative_worst",
        "csr_best",
        "curriculum_catastrophic",
        "nl_displaces",
        "energy_anticorrelates",
    )
    assert decide(tmp_path, *ids) == [CONTRADICTED] * 8


def test_few_differing_problems_decide_nothing(tmp_path):
    conditions(tmp_path, {"B2": 79, "B3": 77})
    assert decide(tmp_path, "math_beats_nl").outcome == UNDECIDED
