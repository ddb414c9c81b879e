import fake_runs
import numpy as np
import pytest

from jaxent.runs import before_after
from jaxent.stats import differences, intervals


def summary(**after):
    return {
        "before": fake_runs.measurement(0, 0.6, accuracy=0.9),
        "after": fake_runs.measurement(500, 0.3, accuracy=0.95, **after),
    }


def by_title(changes):
    return {change.title: change for change in changes}


def test_values_intervals_and_paired_changes():
    both = summary()
    changes = by_title(before_after.list_changes(both))
    assert [*changes] == [
        *before_after.QUANTITIES,
        *(f"accuracy, {c}" for c in fake_runs.CONCEPTS),
        "SEI",
    ]
    ei = changes["EI (as published)"]
    assert (ei.before, ei.after) == (0.6, 0.3)
    assert ei.before_interval[0] < 0.6 < ei.before_interval[1]
    accuracy = changes["accuracy, domain"]
    sets = [
        np.array(both[when]["set_values"]["accuracy.domain"])
        for when in ("before", "after")
    ]
    paired = sets[1] - sets[0]
    assert accuracy.change == pytest.approx(paired.mean())
    assert accuracy.change_interval == intervals.t_interval(paired)
    assert accuracy.p == differences.sign_flip(paired) == pytest.approx(2 / 2**8)


def test_a_change_is_the_difference_of_the_values_beside_it():
    for change in before_after.list_changes(summary()):
        assert change.change == pytest.approx(change.after - change.before, abs=1e-12)
        for value, ends in (
            (change.before, change.before_interval),
            (change.after, change.after_interval),
            (change.change, change.change_interval),
        ):
            assert ends is None or ends[0] <= value <= ends[1], change.title
    ei = by_title(before_after.list_changes(summary()))["EI (as published)"]
    assert (ei.before_all_probes, ei.after_all_probes) == (0.3, 0.15)


def test_unlike_probes_are_refused():
    both = summary(probe_hash="beef")
    both["before"]["probe_hash"] = "feed"
    with pytest.raises(ValueError, match="hash feed, after on beef: expected the same"):
        before_after.list_changes(both)


def test_reasons_are_listed():
    both = summary(reasons={"cvo": "the sets do not agree"})
    changes = before_after.list_changes(both)
    assert before_after.list_reasons(changes) == [
        "CVO is undefined after: the sets do not agree."
    ]


def test_what_is_undefined_stays_so():
    both = summary()
    both["after"] |= {"ei": None, "intervals": {}, "set_values": {}}
    ei = by_title(before_after.list_changes(both))["EI (as published)"]
    assert (ei.after, ei.after_interval, ei.change, ei.p) == (None, None, None, None)
    assert before_after.format_interval(None, None) == "-"
    assert before_after.format_interval(-0.25, (-0.5, 0.0), "+") == (
        "-0.250 [-0.500, +0.000]"
    )
