import fake_runs
import numpy as np
import parsed_page
import pytest

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import classify, coding_values, crosstalk_values, match
from jaxent.report import values as table_values
from jaxent.runs import records


def test_intervals_of_several_seeds_are_over_replicate_sets(full):
    ((_, values),) = [
        (k, v)
        for k, v in table_values.group_rows(full.placed.paper)
        if match.matches(paper_tables.T2.row(model=paper_models.QWEN_7B).key, k)
    ]
    after = values["ei_after"]
    pooled = table_values.pool_sets(
        [
            p.record.after
            for p in full.placed.paper.finished
            if p.key["model"] == paper_models.QWEN_7B
        ],
        "ei",
    )
    assert after.n == 3 and after.sets == len(pooled) == 8
    assert after.low == pytest.approx(
        pooled.mean() - 2.364624 * pooled.std(ddof=1) / 8**0.5, abs=1e-6
    )
    assert after.sd == pytest.approx(
        np.std(
            [
                p.record.after.value("ei")
                for p in full.placed.paper.finished
                if p.key["model"] == paper_models.QWEN_7B
            ],
            ddof=1,
        )
    )


def test_the_change_of_ei_has_the_spread_of_the_seeds_and_the_interval_of_the_sets(
    full,
):
    ((_, values),) = [
        (k, v)
        for k, v in table_values.group_rows(full.placed.paper)
        if match.matches(paper_tables.T2.row(model=paper_models.QWEN_7B).key, k)
    ]
    runs = [
        p.record
        for p in full.placed.paper.finished
        if p.key["model"] == paper_models.QWEN_7B
    ]
    change = np.array([r.after.value("ei") - r.before.value("ei") for r in runs])
    percent = 100 / np.mean([r.before.value("ei") for r in runs])
    found = values["ei_change"]
    assert (found.mean, found.sd, found.n, found.sets) == (
        pytest.approx(percent * change.mean()),
        pytest.approx(percent * change.std(ddof=1)),
        3,
        8,
    )
    by_set = percent * (
        table_values.pool_sets([r.after for r in runs], "ei")
        - table_values.pool_sets([r.before for r in runs], "ei")
    )
    half = 2.364624 * by_set.std(ddof=1) / 8**0.5
    assert (found.low, found.high) == (
        pytest.approx(by_set.mean() - half, abs=1e-5),
        pytest.approx(by_set.mean() + half, abs=1e-5),
    )
    shown = f"{found.mean:.0f} ± {found.sd:.0f} [{found.low:.0f}, {found.high:.0f}]"
    assert shown in [text for _, text in parsed_page.Parsed(full.page).tables["T5"]]


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
