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
    ]
    ei = changes["EI (literal)"]
    assert (ei.before, ei.after) == (0.6, 0.3)
    assert ei.before_interval == (0.5, pytest.approx(0.7))
    accuracy = changes["accuracy, domain"]
    sets = [
        np.array(both[when]["set_values"]["accuracy.domain"])
        for when in ("before", "after")
    ]
    paired = sets[1] - sets[0]
    assert accuracy.change == pytest.approx(paired.mean())
    assert accuracy.change_interval == intervals.t_interval(paired)
    assert accuracy.p == differences.sign_flip(paired) == pytest.approx(2 / 2**8)


def test_what_is_undefined_stays_so():
    both = summary()
    both["after"] |= {"ei": None, "intervals": {}, "set_values": {}}
    ei = by_title(before_after.list_changes(both))["EI (literal)"]
    assert (ei.after, ei.after_interval, ei.change, ei.p) == (None, None, None, None)
    assert before_after.format_interval(None, None) == "-"
    assert before_after.format_interval(-0.25, (-0.5, 0.0), "+") == (
        "-0.250 [-0.500, +0.000]"
    )
