import dataclasses
import math

import designs
import naive_sets
import numpy as np
import pytest

from jaxent.measure import concepts, entangle, summary, synthetic

LABELS, ROWS = designs.LABELS, designs.ROWS


def test_values_and_intervals_are_those_of_the_definition():
    """Every set fitted by scikit-learn, every jackknife computed again."""
    rows, names = designs.design(5, (2, 3, 4))
    labels = concepts.label_probes(rows, names)
    x = designs.activations(labels, 12, 2.0, seed=3)
    expected = naive_sets.measure(x, labels.codes, labels.sets, labels.sizes)
    measured = entangle.measure(x, labels)
    values = dataclasses.asdict(measured.values)
    damage = measured.geometry.concept_damage
    flat = {n: values[n] for n in ("ei", "nested_ei", "sei", "overlap", "v_purity")}
    for j, name in enumerate(labels.concepts):
        short = naive_sets.CONCEPTS[j]
        flat[f"accuracy.{short}"] = values["accuracy"][name]
        flat[f"r2.{short}"] = values["r2"][name]
        flat[f"margin.{short}"] = values["margins"][name]
        for i in range(3):
            flat[f"damage.{naive_sets.CONCEPTS[i]}.{short}"] = damage[i][j]
    assert flat.keys() == expected.keys()
    full_name = dict(zip(naive_sets.CONCEPTS, labels.concepts))
    for name, (value, low, high) in expected.items():
        first, *parts = name.split(".")
        there = ".".join([first, *(full_name[part] for part in parts)])
        found = measured.intervals[there]
        assert flat[name] == pytest.approx(value, rel=1e-8, abs=1e-9), name
        assert found.mean == pytest.approx(value, rel=1e-8, abs=1e-9), name
        if not math.isnan(found.low):
            ends = (found.low, found.high)
            assert ends == pytest.approx((low, high), rel=1e-7, abs=1e-9), name
    assert not math.isnan(measured.intervals["ei"].low)


def test_the_fit_on_all_probes_is_that_of_probes_without_sets():
    x = designs.activations(LABELS, 40, 3.0)
    measured = entangle.measure(x, LABELS)
    assert measured.reasons["cvo"] == "2 replicate sets, expected 4 or more"
    alone = entangle.measure(x, [{f: r[f] for f in concepts.FACTORS} for r in ROWS])
    of_all = dataclasses.asdict(measured.all_probes)
    assert of_all == dataclasses.asdict(alone.all_probes)
    single = dataclasses.asdict(alone.values) | dataclasses.asdict(alone.counts)
    assert of_all == {name: single[name] for name in of_all}
    assert measured.values.ei != measured.all_probes.ei
    flips = np.maximum(np.array(measured.geometry.damage) * len(x), 0).round()
    own = sum(flips[i, j] for i, j in enumerate(measured.geometry.dominant))
    assert (of_all["own_flips"], of_all["off_flips"]) == (own, flips.sum() - own)


def test_the_values_of_a_set_are_those_of_measuring_it_alone():
    x = designs.activations(LABELS, 40, 3.0)
    measured = entangle.measure(x, LABELS)
    set_values = measured.set_values
    for r, members in enumerate(LABELS.sets):
        alone = entangle.measure(x[members], [ROWS[i] for i in members])
        values, counts = alone.values, alone.counts
        assert values.accuracy["shape"] == set_values["accuracy.shape"][r]
        assert values.overlap == pytest.approx(set_values["overlap"][r])
        margin, random_damage = values.margins["shape"], values.random_damage["domain"]
        assert margin == pytest.approx(set_values["margin.shape"][r])
        assert random_damage == pytest.approx(set_values["random_damage.domain"][r])
        alpha_ratio = alone.penalty.alpha_ratio
        assert alpha_ratio == pytest.approx(set_values["alpha_ratio"][r])
        assert counts.own_flips == set_values["own_flips"][r]
        assert counts.off_flips == set_values["off_flips"][r]
    counts = measured.counts
    assert sum(counts.weakest_sets.values()) == 2
    assert counts.own_flips == sum(set_values["own_flips"])
    assert measured.values.ei == counts.off_flips / counts.own_flips


def test_every_interval_is_of_the_value_that_stands_beside_it():
    labels = synthetic.design(sets=5)
    rng = np.random.default_rng(0)
    x = synthetic.activations(labels, 64, synthetic.Truth(0.3, 2.0), rng)
    measured = entangle.measure(x, labels)
    for name, interval in measured.intervals.items():
        contributions = measured.set_values[name]
        assert interval.mean == pytest.approx(np.mean(contributions), nan_ok=True)
        if not math.isnan(interval.low):
            assert interval.low <= interval.mean <= interval.high, name
    for name in ("ei", "nested_ei", "sei", "overlap", "cvo", "v_purity"):
        value = getattr(measured.values, name)
        assert measured.intervals[name].mean == pytest.approx(value), name


def test_fewer_probes_than_classes():
    rows = [{"a": i, "b": i % 2} for i in range(4)]
    labels = concepts.label_probes(rows, ("a", "b"))  # c = 6, N = 4
    measured = entangle.measure(designs.activations(labels, 10), labels)
    assert math.isnan(measured.values.ei)
    assert "informative directions, expected 4" in measured.reasons["ei"]


def test_activations_that_do_not_vary_have_no_damage():
    measured = entangle.measure(np.ones((len(ROWS), 5)), LABELS)
    assert np.isnan(measured.geometry.damage).all()
    assert np.isnan(list(measured.values.random_damage.values())).all()
    assert math.isnan(measured.values.ei)
    reason = measured.reasons["ei"]
    assert "0 informative directions in replicate set 0, expected 8" in reason


def test_one_set_says_once_why_there_are_no_intervals():
    rows = [row for row in ROWS if row["replicate"] == 0]
    x = designs.activations(LABELS, 30)[LABELS.sets[0]]
    reasons = entangle.measure(x, rows).reasons
    assert [r for r in reasons if r.startswith("intervals")] == ["intervals"]
    assert "1 replicate set, expected two" in reasons["intervals"]


def estimated_again(monkeypatch, change):
    """A measurement of two sets whose arrays went through `change`."""
    real = summary.numbers
    monkeypatch.setattr(summary, "numbers", lambda *given: real(*given) | change)
    x = designs.activations(LABELS, 40, 3.0)
    return entangle.measure(x, LABELS)


def test_no_off_concept_flip_gives_a_bound_and_no_interval(monkeypatch):
    change = {"own_flips": 30, "off_flips": 0}
    measured = estimated_again(monkeypatch, change)
    values, counts = measured.values, measured.counts
    assert (counts.own_flips, counts.off_flips) == (60, 0)
    assert values.ei == 0 and values.ei_bound == 3 / 60
    assert measured.null.structural_ratio == pytest.approx(5 / 3)
    assert math.isnan(measured.intervals["ei"].low)
    why = measured.reasons["intervals.ei"]
    assert why == "0 off-concept flips, fewer than 10"
    few = estimated_again(monkeypatch, {"own_flips": 30, "off_flips": 4})
    assert few.reasons["intervals.ei"].startswith("8 off-concept flips")
    assert few.values.ei_bound is None and few.values.ei == 8 / 60


def test_sets_that_do_not_differ_have_no_interval(monkeypatch):
    measured = estimated_again(monkeypatch, {"accuracy.shape": 1.0})
    assert measured.values.accuracy["shape"] == 1
    assert math.isnan(measured.intervals["accuracy.shape"].low)
    why = measured.reasons["intervals.accuracy.shape"]
    assert why == "the replicate sets do not differ"


def test_too_few_flips_is_nan_with_a_reason():
    # Nothing is decodable, so nothing can be damaged.
    noise = np.random.default_rng(0).normal(size=(len(ROWS), 40))
    measured = entangle.measure(1e-3 * noise, LABELS)
    own = measured.counts.own_flips
    assert own < summary.LEAST_FLIPS and math.isnan(measured.values.ei)
    assert measured.reasons["ei"] == (
        f"{own} own-concept flips in 2 replicate sets, fewer than 10"
    )
    assert math.isnan(measured.values.sei)
    assert "less than 0.01" in measured.reasons["sei"]
    assert measured.to_json()["ei"] is None


def test_without_replicates_there_is_no_cvo():
    rows = [{k: v for k, v in r.items() if k != "replicate"} for r in ROWS]
    measured = entangle.measure(designs.activations(LABELS, 40), rows)
    assert math.isnan(measured.values.cvo)
    assert measured.reasons["cvo"] == "0 replicate sets, expected 4 or more"
    assert measured.intervals == {} and measured.counts.sets == 0
    assert measured.reasons["intervals"] == "0 replicate sets, expected two or more"
