"""Scores as values of Tables 9 and 10."""

import pytest

from jaxent.report import coding_values, match
from jaxent.runs import records


def evaluation(condition: str, passed: list[float], names: str = "HumanEval/{}"):
    tasks = {names.format(i): share for i, share in enumerate(passed)}
    record = records.Evaluation(
        condition,
        {"settings": {"model": "some/model"}},
        {"subset": None},
        {"base": tasks, "plus": tasks},
    )
    return match.KeyedResult({"model": "model", "condition": condition}, record)


def test_scores_are_percent_with_wilsons_interval():
    results = match.ResultSet(evaluations=(evaluation("B0", [1, 1, 1, 0]),))
    ((_, values),) = coding_values.coding_rows(results)
    assert values["he_plus"].mean == 75.0
    assert values["he_plus"].low < 75.0 < values["he_plus"].high
    assert values["he_plus_passes"].mean == 3
    assert "he_plus_change" not in values  # the base is compared with nothing


def test_differences_are_paired_by_problem():
    base = evaluation("B0", [1, 1, 1, 0, 1, 0, 1, 1])
    tuned = evaluation("B3", [1, 0, 1, 0, 0, 0, 1, 1])
    results = match.ResultSet(evaluations=(base, tuned))
    (_, (_, values)) = coding_values.coding_rows(results)
    assert values["he_plus_change"].mean == pytest.approx(-25.0)
    paired = coding_values.compare_with_base(results, tuned)
    assert (paired.only_a, paired.only_b) == (0, 2)


def test_other_problems_are_not_compared():
    base, tuned = evaluation("B0", [1, 0]), evaluation("B3", [1, 0, 1])
    results = match.ResultSet(evaluations=(base, tuned))
    assert coding_values.compare_with_base(results, tuned) is None


def test_foreign_problems_are_counted_and_said():
    foreign = evaluation("B0", [1, 0], names="Own/{}")
    assert coding_values.count_foreign_problems(foreign) == 2
    results = match.ResultSet(evaluations=(foreign,))
    ((_, values),) = coding_values.coding_rows(results)
    assert "no score on HumanEval" in values["he_plus"].why
