import math

import designs
import numpy as np
import pytest

from jaxent.measure import concepts, entangle, summary, synthetic
from jaxent.stats import intervals

LABELS, ROWS = designs.LABELS, designs.ROWS


def test_ratios_are_of_the_clipped_flips_and_of_the_rise():
    x = designs.activations(LABELS, 40, 3.0)
    measured = entangle.measure(x, LABELS)
    values, counts, geometry = measured.values, measured.counts, measured.geometry
    assert measured.reasons["cvo"] == "2 replicate sets, expected 4 or more"
    flips = np.maximum(np.array(geometry.damage) * len(x), 0).round()
    own = sum(flips[i, j] for i, j in enumerate(geometry.dominant))
    assert (counts.own_flips, counts.off_flips) == (own, flips.sum() - own)
    assert values.ei == counts.off_flips / counts.own_flips
    rise = np.array(geometry.rise)
    own_rise = np.trace(rise)
    assert values.sei == pytest.approx((rise.sum() - own_rise) / own_rise)
    assert values.nested_ei == counts.nested_off_flips / counts.nested_own_flips


def test_the_values_of_a_set_are_those_of_measuring_it_alone():
    x = designs.activations(LABELS, 40, 3.0)
    measured = entangle.measure(x, LABELS)
    set_values = measured.set_values
    for r, members in enumerate(LABELS.sets):
        alone = entangle.measure(x[members], [ROWS[i] for i in members])
        values, counts = alone.values, alone.counts
        assert values.accuracy["shape"] == set_values["accuracy.shape"][r]
        assert values.overlap == pytest.approx(set_values["overlap"][r])
        np.testing.assert_equal(values.ei, set_values["ei"][r])
        margin, random_damage = values.margins["shape"], values.random_damage["domain"]
        assert margin == pytest.approx(set_values["margin.shape"][r])
        assert random_damage == pytest.approx(set_values["random_damage.domain"][r])
        alpha_ratio = alone.penalty.alpha_ratio
        assert alpha_ratio == pytest.approx(set_values["alpha_ratio"][r])
        np.testing.assert_allclose(
            alone.geometry.concept_damage[0][1], set_values["damage.domain.register"][r]
        )
        assert counts.own_flips == set_values["own_flips"][r]
        assert counts.off_flips == set_values["off_flips"][r]
    assert sum(measured.counts.weakest_sets.values()) == 2
    flips = (set_values[name] for name in ("off_flips", "own_flips"))
    np.testing.assert_equal(
        measured.intervals["ei"], intervals.ratio(*flips, summary.LEAST_FLIPS)
    )


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
    assert "0 informative directions, expected 8" in measured.reasons["ei"]


def test_one_set_says_once_why_there_are_no_intervals():
    rows = [row for row in ROWS if row["replicate"] == 0]
    x = designs.activations(LABELS, 30)[LABELS.sets[0]]
    reasons = entangle.measure(x, rows).reasons
    assert [r for r in reasons if r.startswith("intervals")] == ["intervals"]
    assert "1 replicate set, expected two" in reasons["intervals"]


def test_no_off_concept_flip_gives_a_bound():
    labels = synthetic.design(sets=4)
    x = synthetic.activations(
        labels, 60, synthetic.Truth(0.0, 50.0), np.random.default_rng(0)
    )
    measured = entangle.measure(x, labels)
    values, counts = measured.values, measured.counts
    assert counts.off_flips == 0 < counts.own_flips
    assert values.ei == 0 and values.ei_bound == 3 / counts.own_flips
    assert measured.null.structural_ratio == pytest.approx(5 / 3)


def test_too_few_flips_is_nan_with_a_reason():
    # Nothing is decodable, so nothing can be damaged.
    noise = np.random.default_rng(0).normal(size=(len(ROWS), 40))
    measured = entangle.measure(1e-3 * noise, LABELS)
    own = measured.counts.own_flips
    assert own < summary.LEAST_FLIPS and math.isnan(measured.values.ei)
    assert f"{own} own-concept flips, fewer than 10" in measured.reasons["ei"]
    assert math.isnan(measured.values.sei)
    assert "less than 0.01" in measured.reasons["sei"]
    assert measured.to_json()["ei"] is None


def test_without_replicates_there_is_no_cvo():
    rows = [{k: v for k, v in r.items() if k != "replicate"} for r in ROWS]
    measured = entangle.measure(designs.activations(LABELS, 40), rows)
    assert math.isnan(measured.values.cvo)
    assert measured.reasons["cvo"] == "0 replicate sets, expected 4 or more"
    assert measured.intervals == {} and measured.counts.sets == 0
