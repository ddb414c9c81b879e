import fake_runs
import numpy as np
import parsed_page
import pytest
import scipy

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import classify, match
from jaxent.report import values as table_values
from jaxent.runs import quantities, records, summary_table
from jaxent.runs import spec as specs

QWEN = paper_models.HUB[paper_models.QWEN_7B]


def test_runs_measure_a_base_model_before_a_measurement_on_its_own_does(tmp_path):
    def base():
        paper = classify.classify_records(records.read_records(tmp_path)).paper
        measurements = table_values.base_measurements(paper)
        return [m.value("ei") for m in measurements[paper_models.QWEN_7B]]

    fake_runs.single(tmp_path, QWEN, "a", ei=0.3)
    assert base() == [0.3]
    fake_runs.run(tmp_path, QWEN, "B3", 0, ((0, 0.4), (5000, 0.2)))
    assert base() == [0.4, 0.3]
    fake_runs.run(tmp_path, QWEN, "B0", 0, ((0, 0.5),))
    assert base() == [0.5, 0.4, 0.3]


def measurements(*values, **more):
    return [
        quantities.Measured(0, fake_runs.measurement(ei=v, seed=s, **more))
        for s, v in enumerate(values)
    ]


def test_values_are_means_over_seeds_with_an_interval_over_sets():
    several = measurements(0.4, 0.5, 0.6)
    value = table_values.over_seeds(several, "ei")
    assert (value.mean, value.n, value.sets) == (pytest.approx(0.5), 3, 8)
    assert value.sd == pytest.approx(np.std([0.4, 0.5, 0.6], ddof=1))
    pooled = np.mean([m.sets("ei") for m in several], axis=0)
    half = scipy.stats.t.ppf(0.975, 7) * np.std(pooled, ddof=1) / np.sqrt(8)
    assert value.low == pytest.approx(np.mean(pooled) - half)
    assert value.high == pytest.approx(np.mean(pooled) + half)


def test_one_seed_keeps_the_interval_it_was_measured_with():
    value = table_values.over_seeds(measurements(0.4), "ei")
    assert (value.mean, value.sd, value.n) == (0.4, None, 1)
    assert (value.low, value.high) == measurements(0.4)[0].interval("ei")
    assert value.low < 0.4 < value.high and value.sets == fake_runs.SETS


def test_undefined_seeds_are_named():
    value = table_values.over_seeds(measurements(0.4, None), "ei")
    assert (value.mean, value.n) == (0.4, 1)
    assert value.why == (
        "undefined in 1 of 2 seeds: 4 own-concept flips, fewer than 10"
    )
    none = table_values.over_seeds(measurements(None, None), "ei")
    assert none.mean is None and none.why.startswith("4 own-concept flips")


def test_the_terminal_and_the_page_agree(tmp_path):
    for seed, end in enumerate((0.2, 0.3, 0.5)):
        fake_runs.run(tmp_path, "some/tiny", "B3", seed, ((0, 0.6), (8, end)))
    found = records.read_records(tmp_path)
    [(_, values)] = table_values.group_rows(classify.classify_records(found).other)
    results = [
        (specs.RunSpec("some/tiny", seed=run.settings["seed"]), run.summary)
        for run in found.runs
    ]
    [row] = summary_table.summarise_runs(results, ("model",), ("EI", "SV energy"))
    for column, id in (("EI", "ei_after"), ("SV energy", "sv_energy")):
        assert row[column].mean == values[id].mean
        assert (row[column].sd, row[column].n) == (values[id].sd, values[id].n)


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
