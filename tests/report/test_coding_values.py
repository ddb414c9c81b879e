"""Scores as values of Tables 9 and 10."""

import fake_runs
import pytest

from jaxent.report import classify, coding_values, match
from jaxent.runs import records


def evaluation(
    condition: str,
    passed: list[float],
    names: str = "HumanEval/{}",
    likelihood: dict | None = None,
    **settings,
):
    tasks = {names.format(i): share for i, share in enumerate(passed)}
    record = records.Evaluation(
        condition,
        {"settings": {"model": "some/model", **settings}},
        {"subset": None},
        {"base": tasks, "plus": tasks},
        likelihood,
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


def test_problems_are_named_in_words():
    chat = evaluation("B0", [1], prompt_format="chat")
    mbpp = evaluation("B0", [1], "Mbpp/{}", benchmark="mbpp")
    own = evaluation("B0", [1], "Own/{}", benchmark="mbpp")
    rows = coding_values.coding_rows(match.ResultSet(evaluations=(chat, mbpp, own)))
    assert [values["benchmark"].mean for _, values in rows] == [
        "HumanEval, asked in a chat",
        "MBPP",
        "own, as MBPP's",
    ]
    assert rows[1][1]["he_plus"].why is None
    assert "no score on MBPP" in rows[2][1]["he_plus"].why


def test_likelihoods_are_shown_with_their_difference_from_the_base():
    paired = {
        "estimate": -0.016,
        "low": -0.02,
        "high": -0.01,
        "t": -6.6,
        "below": 115,
        "above": 49,
        "sign_p": 1e-6,
    }
    content = {
        "nats_a_byte": 0.43,
        "base_nats_a_byte": 0.446,
        "paired": paired,
        "solutions": [{}] * 164,
        "left_out": [],
        "subset": "",
    }
    base = content | {"base_nats_a_byte": None, "paired": None}
    short = content | {"left_out": [{}], "paired": paired | {"t": None}}
    nothing = content | {"nats_a_byte": None, "solutions": []}
    measured = (
        evaluation("B3", [1], likelihood=content),
        evaluation("B0", [1], likelihood=base),
        evaluation("B1", [1], likelihood=short),
        evaluation("B2", [1], likelihood=nothing),
        evaluation("B4", [1]),
    )
    rows = coding_values.likelihood_rows(match.ResultSet(evaluations=measured))
    assert [key["condition"] for key, _ in rows] == ["B3", "B0", "B1"]
    (_, tuned), (_, plain), (_, part) = rows
    assert tuned["nats"].mean == 0.43 and tuned["nats"].n == 164
    assert tuned["nats_change"].mean == -0.016 and tuned["better"].mean == 115
    assert tuned["nats"].why is None
    assert "nats_change" not in plain and plain["nats"].mean == 0.43
    assert "1 problems are left out" in part["nats"].why
    assert part["nats_t"].mean is None and "too few problems" in part["nats_t"].why


def test_scores_on_other_problems_are_said_to_be_no_humaneval_scores(tmp_path):
    fake_runs.evaluation(
        tmp_path,
        "some/tiny",
        3,
        problems=8,
        of="Embedded",
        subset="subset: 8 problems that are not HumanEval's",
    )
    ((_, values),) = coding_values.coding_rows(
        classify.classify_records(records.read_records(tmp_path)).other
    )
    assert all(
        values[n].why.startswith(
            "of 8 problems that are not HumanEval's: no score on HumanEval"
        )
        for n in ("he", "he_plus", "he_plus_passes")
    )
