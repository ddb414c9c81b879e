import json
import math

import designs
import numpy as np

from jaxent.measure import entangle, measurement
from jaxent.stats import intervals

# What run folders and the report read, in this order.
KEYS = [
    "ei",
    "nested_ei",
    "sei",
    "overlap",
    "cvo",
    "v_purity",
    "v_purity_null",
    "reasons",
    "own_flips",
    "off_flips",
    "ei_bound",
    "structural_ratio",
    "nested_own_flips",
    "nested_off_flips",
    "accuracy",
    "r2",
    "margins",
    "weakest",
    "weakest_sets",
    "structural_zeros",
    "damage",
    "concept_damage",
    "own",
    "singular",
    "random_damage",
    "rise",
    "overlaps",
    "cvos",
    "agreement",
    "intervals",
    "set_values",
    "all_probes",
    "probes",
    "sets",
    "alpha",
    "alpha_ratio",
]

MEASURED = measurement.Measurement(
    values=measurement.Values(
        ei=math.nan,
        nested_ei=0.5,
        sei=0.25,
        overlap=0.1,
        cvo=0.3,
        v_purity=0.6,
        ei_bound=None,
        accuracy={"color": 0.9, "size": 0.8},
        r2={"color": 0.7, "size": 0.6},
        margins={"color": 0.02, "size": 0.01},
        weakest="size",
        random_damage={"color": 0.0, "size": math.nan},
    ),
    intervals={
        "cvo": intervals.Interval(0.3, 0.2, 0.4, 8),
        "accuracy.size": intervals.Interval(0.8, 0.7, 0.9, 8),
        "sei": intervals.Interval(math.nan, math.nan, math.nan, 8),
    },
    set_values={"cvo": [0.3] * 8},
    counts=measurement.Counts(48, 8, 4, 2, 20, 10, {"color": 1, "size": 7}),
    all_probes=measurement.AllProbes(
        ei=0.7,
        nested_ei=math.nan,
        sei=0.15,
        overlap=0.1,
        v_purity=0.6,
        accuracy={"color": 0.95, "size": 0.9},
        r2={"color": 0.7, "size": 0.6},
        margins={"color": 0.02, "size": 0.01},
        own_flips=20,
        off_flips=14,
        nested_own_flips=0,
        nested_off_flips=0,
    ),
    geometry=measurement.Geometry(
        singular=[2.0],
        dominant=[1],
        damage=[[0.1, 0.2]],
        concept_damage=[[math.nan, math.nan], [0.1, 0.2]],
        rise=[[0.1, 0.0], [0.0, 0.1]],
        overlaps=[[1.0, 0.1], [0.1, 1.0]],
        cvos=None,
        agreement={"color": 5.0, "size": math.inf},
        structural_zeros={"color": 0.0, "size": 0.0},
    ),
    null=measurement.Null(1.5, (0.585, 0.051)),
    penalty=measurement.Penalty(1.0, 0.01),
    reasons={
        "ei": "4 own-concept flips, fewer than 10",
        "intervals.sei": "the value is undefined in 2 of 8 replicate sets",
    },
)


def test_json_has_the_keys_that_run_folders_keep():
    written = MEASURED.to_json()
    assert list(written) == KEYS
    assert written["ei"] is None and written["own"] == [1]
    assert written["v_purity_null"] == [0.585, 0.051]
    assert written["random_damage"] == {"color": 0.0, "size": None}
    assert written["concept_damage"] == [[None, None], [0.1, 0.2]]
    assert written["intervals"]["cvo"] == {
        "mean": 0.3,
        "low": 0.2,
        "high": 0.4,
        "sets": 8,
    }
    assert written["agreement"] == {"color": 5.0, "size": None}
    assert written["all_probes"]["ei"] == 0.7
    assert written["all_probes"]["nested_ei"] is None
    assert written["weakest_sets"] == {"color": 1, "size": 7}
    assert (written["probes"], written["sets"], written["alpha"]) == (48, 8, 1.0)
    assert json.loads(json.dumps(written, allow_nan=False)) == written


def test_json_of_a_real_measurement():
    x = designs.activations(designs.LABELS, 40, 3.0)
    written = entangle.measure(x, designs.LABELS).to_json()
    assert list(written) == KEYS
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    accuracy = np.mean(written["set_values"]["accuracy.shape"])
    assert written["intervals"]["accuracy.shape"]["mean"] == accuracy
    assert written["accuracy"]["shape"] == accuracy


def test_repr_is_a_few_lines_that_say_what_is_undefined():
    lines = repr(MEASURED).split("\n")
    assert len(lines) == 8 and max(map(len, lines)) <= 88
    assert lines[0].startswith("Measurement of 48 probes")
    assert lines[1] == "  CVO 0.300 (0.200 to 0.400)"
    assert lines[2] == "  EI as published undefined, 4 own flips, 2 off"
    assert lines[3] == "  nested EI 0.500, SEI 0.250"
    assert lines[4] == "  accuracy: color 0.900, size 0.800 (0.700 to 0.900)"
    assert lines[5] == (
        "  one fit on all probes: EI 0.700, nested EI undefined, SEI 0.150"
    )
    assert lines[7] == (
        "  undefined: ei (4 own-concept flips, fewer than 10), intervals of 1 more"
    )
