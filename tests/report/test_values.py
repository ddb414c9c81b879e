import fake_runs
import numpy as np
import pytest
import scipy

from jaxent.paper import models as paper_models
from jaxent.report import classify
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
