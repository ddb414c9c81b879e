import types

import numpy as np
import pytest

from jaxent.data import probes
from jaxent.runs import folder as run_folder
from jaxent.runs import measurement
from jaxent.runs import spec as specs


def test_the_summary_has_the_first_and_the_last_held_out_loss():
    measured = {"kind": "measure", "step": 0, "drift": None, "seconds": 2.0}
    scored = [
        {
            "kind": "eval",
            "step": step,
            "loss": 4.0 - step,
            "domains": {"law": 4.0 - step},
            "tokens": 9,
            "seconds": 1.0,
        }
        for step in range(3)
    ]
    summary = measurement.summarise_metrics([measured, *scored])
    expected = [
        {k: r[k] for k in ("step", "loss", "domains", "tokens")} for r in scored
    ]
    assert summary["held_out"] == {"before": expected[0], "after": expected[2]}
    assert summary["seconds"] == 5.0


def test_summary_of_the_records_of_a_run():
    measured = [
        {"kind": "measure", "step": step, "drift": {"total": step}, "seconds": 2.0}
        for step in (0, 30)
    ]
    trained = [
        {"kind": "train", "step": n, "loss": n, "tokens": 10, "seconds": 0.5}
        for n in range(1, 31)
    ]
    trained[9] |= {"csr": 0.4, "csr_ratio": 0.1}
    trained[19] |= {"csr": 0.6, "csr_ratio": 0.3}
    records = [measured[0], *trained, measured[1]]
    summary = measurement.summarise_metrics(records)
    assert summary == {
        "before": measured[0],
        "after": measured[1],
        "drift": {"total": 30},
        "steps": 30,
        "tokens": 300,
        "seconds": 19.0,
        "final_loss": np.mean(range(11, 31)),
        "held_out": None,
        "csr_ratio": pytest.approx(0.2),
        "csr_loss": 0.6,
    }


def test_summary_of_a_run_that_only_measures(tmp_path):
    measured = {"kind": "measure", "step": 0, "drift": None, "seconds": 2.0}
    summary = measurement.summarise_metrics([measured])
    assert summary["before"] == summary["after"] == measured
    assert (summary["steps"], summary["tokens"]) == (0, 0)
    assert summary["final_loss"] is summary["csr_ratio"] is summary["csr_loss"] is None
    folder = run_folder.RunFolder(tmp_path)
    of_adapter = measurement.summarise_adapter(None, None, None, folder)
    assert set(of_adapter.values()) == {None}


class FakeBase:
    """A base model with given activations."""

    def __init__(self, x):
        self.x = x

    def activations(self, probe_set):
        return self.x

    def memoize(self, key, make):
        return make()


def test_drift_is_split_by_the_targets_subspace(own_probes):
    probe_set = probes.load_probes(own_probes)
    is_code = np.array([p.domain == "code" for p in probe_set.probes])
    before = np.zeros((len(is_code), 3))
    before[is_code, 0] = 2.0  # the code probes span the first axis alone
    before[~is_code, 1] = 2.0
    after = before + [3.0, 0.0, 4.0]
    run = specs.RunSpec("m", csr_target="code")
    drift = measurement.measure_drift(run, FakeBase(before), probe_set, after)
    assert drift == pytest.approx(
        {"total": 25 / 4, "inside": 9 / 4, "outside": 16 / 4, "dimensions": 1}
    )
    other = specs.RunSpec("m", csr_target="law")
    drift = measurement.measure_drift(other, FakeBase(before), probe_set, after)
    assert (drift["inside"], drift["dimensions"]) == (0.0, 0)


def test_a_run_without_csr_has_no_reference():
    validated = types.SimpleNamespace(run=specs.RunSpec("m", "B2"), csr_probes=None)
    assert measurement.csr_reference(validated, None) is None
