import dataclasses
import json

import pytest

from jaxent.companion import metric as companion_metric
from jaxent.companion import scores, transfer
from jaxent.report.own_studies import companions
from jaxent.runs import conclusions, queue, records
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs

AXES = {
    "math": scores.Axes(0.2, [0.4, 0.5], [0.6, 0.7], [0.04, 0.05]),
    "natural": scores.Axes(0.3, [0.2, 0.3], [0.4, None], [0.02, 0.03]),
    "creative": scores.Axes(0.1, [0.0, 0.1], [0.1, 0.2], [-0.02, -0.01]),
    "code": scores.Axes(float("nan"), [0.9, 0.9], [1.0, 1.0], [0.3, 0.3]),
}
WORSE = {"B1": [-0.5, -0.5], "B2": [-0.4, -0.3], "B3": [-0.3, -0.2], "B6": [-0.1, 0.1]}
SETTINGS = specs.PRESETS["tiny"]


def question(check=True, target="code", companions=("math", "natural", "creative")):
    return companion_metric.Question(target, companions, (0, 1), 2, 3, 8, check)


def examined(monkeypatch, tmp_path, worse, **asked):
    """A record whose measurements are given: JSON and back."""
    monkeypatch.setattr(
        queue,
        "run_all",
        lambda runs, out: [
            run_outcomes.Outcome(run, out / run.name, "done") for run in runs
        ],
    )
    monkeypatch.setattr(
        companion_metric,
        "_bench",
        lambda question, checked: transfer.Bench(
            None, checked.run, None, checked.length, []
        ),
    )
    monkeypatch.setattr(
        companion_metric, "_worse", lambda bench, outcomes, before: worse
    )
    monkeypatch.setattr(transfer, "measure_axes", lambda *_: AXES)
    monkeypatch.setattr(transfer.Bench, "loss", lambda *_: 3.5)
    found, outcomes = companion_metric.examine(
        question(**asked), specs.TINY_MODEL, SETTINGS, tmp_path
    )
    return json.loads(json.dumps(found, allow_nan=False)), outcomes


def test_a_record_says_who_ranks_first_and_who_was_right(monkeypatch, tmp_path):
    found, outcomes = examined(monkeypatch, tmp_path, WORSE)
    assert [(o.run.condition, o.run.seed) for o in outcomes] == [
        (c, s) for c in ("B1", "B2", "B3", "B6") for s in (0, 1)
    ]
    assert found["ranks"]["crosstalk"] == {"math": 2, "natural": 3, "creative": 1}
    assert found["ranks"]["two axes"]["math"] == 1
    assert (
        found["judged"]["crosstalk"]["right"],
        found["judged"]["two axes"]["right"],
    ) == (1, 2)
    assert (
        found["axes"]["code"]["ct"] is None
        and len(found["model_hash"]) == 16
        and found["seconds"] > 0
    )
    text = companion_metric.format_record(specs.TINY_MODEL, found)
    assert (
        "tiny: held-out code loss 3.500 nats a token" in text
        and "-0.35 ± 0.071" in text
        and "drop in 3 steps" in text
    )
    assert "Two axes order 2 of 3 pairs rightly, crosstalk alone 1: better." in text
    tables = {
        table.id: table
        for table in companions.companion_tables(
            [records.Metric("companion_metric", specs.TINY_MODEL, found)]
        )
    }
    assert (
        set(tables) == {"own-companions", "own-ranks", "own-judged"}
        and "Undefined in 1 of 2 seeds." in tables["own-companions"].notes
    )


def test_an_axis_that_is_undefined_in_every_seed_ranks_nobody(monkeypatch, tmp_path):
    monkeypatch.setitem(
        AXES, "natural", dataclasses.replace(AXES["natural"], alignment=[None, None])
    )
    found, _ = examined(monkeypatch, tmp_path, WORSE)
    assert found["ranks"]["alignment"] == {
        "math": 1,
        "natural": None,
        "creative": 2,
    } and set(found["ranks"]["two axes"].values()) == {None}
    judged = found["judged"]
    assert (
        judged["alignment"]["right"],
        judged["alignment"]["pairs"],
        judged["two axes"]["pairs"],
    ) == (1, 1, 0)
    tables = companions.companion_tables(
        [records.Metric("companion_metric", specs.TINY_MODEL, found)]
    )
    assert any("do not agree in any seed" in note for note in tables[0].notes)
    assert "0 of 0" in companion_metric.format_record(
        specs.TINY_MODEL, found
    ) and "cannot say" in conclusions.companion_answer(judged)


@pytest.mark.parametrize(
    ("worse", "asked"), [({}, {"check": False}), (WORSE | {"B3": [-0.3]}, {})]
)
def test_nothing_is_judged_without_every_run(monkeypatch, tmp_path, worse, asked):
    found, _ = examined(monkeypatch, tmp_path, worse, **asked)
    assert found["judged"] is None and found["worse"] == worse
    assert "pairs" not in companion_metric.format_record(specs.TINY_MODEL, found)
    assert not companions.answers(
        [records.Metric("companion_metric", specs.TINY_MODEL, found)]
    )


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"companions": ("code",)},
            "--companions code: expected domains other than the target",
        ),
        (
            {"companions": ("law",)},
            "--companions law: expected domains other than the target, of code, math, "
            "natural, creative",
        ),
        (
            {"target": "math", "companions": ("code",)},
            "--check with --target math: expected code",
        ),
    ],
)
def test_a_mistake_is_named(asked, message):
    with pytest.raises(ValueError, match=message):
        question(**asked)
