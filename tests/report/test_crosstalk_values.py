"""Crosstalk as values of Tables 1 and 8."""

import fake_runs
import pytest

from jaxent.paper import models as paper_models
from jaxent.report import classify, crosstalk_values, match
from jaxent.runs import records

PAIRS = [
    {"a": "code", "b": "math", "ct": 0.1, "bdr": 0.8, "asymmetry": None},
    {"a": "logic", "b": "code", "ct": 0.2, "bdr": 0.7, "asymmetry": 1.0},
    {"a": "math", "b": "logic", "ct": 0.3, "bdr": 0.6, "asymmetry": 0.5},
]
ENDS = {"low": 0.05, "high": 0.15, "mean": 0.1, "sets": 5}


@pytest.fixture
def results() -> match.ResultSet:
    content = {
        "domains": ["code", "math", "logic"],
        "damage": {"raw": {"pairs": PAIRS}},
        "intervals": {"raw": {"code|math": {"ct": ENDS}}},
    }
    key = {"model": paper_models.QWEN_7B, "condition": "B0"}
    record = records.Crosstalk("folder", content)
    return match.ResultSet(crosstalks=(match.KeyedResult(key, record),))


def test_only_pairs_with_code_are_rows(results):
    rows = crosstalk_values.crosstalk_rows(results)
    assert [key["companion"] for key, _ in rows] == ["math", "formal_logic"]


def test_a_value_has_its_own_interval(results):
    (_, math), (_, logic) = crosstalk_values.crosstalk_rows(results)
    assert (math["ct"].mean, math["ct"].low, math["ct"].high) == (0.1, 0.05, 0.15)
    assert math["ct"].sets == 5
    assert logic["ct"].low is None
    assert "nothing to divide by" in math["asymmetry"].why


def test_a_condition_shows_its_companions_crosstalk(results):
    ((key, values),) = crosstalk_values.condition_rows(results)
    assert key == {"condition": "B2"}
    assert values["ct"].mean == 0.1


def test_the_crosstalk_of_conditions_is_the_7bs(tmp_path):
    for model, name, ct in (
        (paper_models.QWEN_7B, "a", 0.1),
        (paper_models.MISTRAL, "b", 0.5),
    ):
        fake_runs.crosstalk(
            tmp_path, paper_models.HUB[model], {"math": (ct, None, None)}, name=name
        )
    ((key, values),) = crosstalk_values.condition_rows(
        classify.classify_records(records.read_records(tmp_path)).paper
    )
    assert key == {"condition": "B2"} and values["ct"].mean == 0.1
