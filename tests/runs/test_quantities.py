import numpy as np
import pytest

from jaxent.measure import entangle
from jaxent.runs import measurement, quantities, schema


@pytest.fixture(scope="module")
def record():
    """A measurement of known structure, as execute.py writes it."""
    rng = np.random.default_rng(0)
    rows = [
        {"domain": d, "register": r, "shape": s, "replicate": n}
        for n in range(8)
        for d in "ab"
        for r in "cd"
        for s in "ef"
    ]
    x = [
        [row["domain"] == "a", row["register"] == "c", row["shape"] == "e"]
        for row in rows
    ]
    x = np.array(x, float) + 0.3 * rng.normal(size=(len(rows), 3))
    return {"step": 0, **entangle.measure(x, rows).to_json()}


def test_what_is_written_holds_every_quantity_that_is_read(record):
    schema.require_fields(record, "measure")
    measured = quantities.Measured(0, record)
    for name in quantities.QUANTITIES:
        value = measured.value(name)
        whole = name.removesuffix("_all_probes")
        reason = name if whole == name else f"all_probes.{whole}"
        assert value is not None or measured.reason(reason), name
        sets = measured.sets(name)
        if name not in ("rank", "ei", "nested_ei") and "all_probes" not in name:
            assert sets is not None and sets.shape == (8,), name
            assert measured.interval(name) is not None, name
    assert measured.value("rank") == 3
    assert measured.value("margin") == min(record["margins"].values())
    assert measured.value("shape_accuracy") == record["accuracy"]["shape"]


def test_the_sets_contributions_average_to_the_value(record):
    measured = quantities.Measured(0, record)
    for name in quantities.QUANTITIES:
        sets, value = measured.sets(name), measured.value(name)
        if sets is not None:
            assert sets.mean() == pytest.approx(value), name
            low, high = measured.interval(name) or (value, value)
            assert low <= value <= high


def test_the_fit_on_all_probes_has_no_interval(record):
    measured = quantities.Measured(0, record)
    assert measured.value("sei_all_probes") == record["all_probes"]["sei"]
    assert measured.interval("sei_all_probes") is None
    assert measured.sets("sei_all_probes") is None


def test_a_quantity_that_does_not_exist():
    with pytest.raises(KeyError, match="no quantity 'accuracy.domain': there are ei,"):
        quantities.Measured(0, {}).value("accuracy.domain")


def test_results_of_a_summary():
    trained = {"kind": "train", "loss": 2.0, "tokens": 8, "seconds": 1.0}
    with_csr = trained | {"csr": 0.5, "csr_ratio": 0.1}
    measured = {
        "kind": "measure",
        "drift": {"total": 0.1, "outside": 0.2},
        "seconds": 1,
    }
    summary = measurement.summarise_metrics([measured, trained, with_csr])
    read = {name: of(summary) for name, of in quantities.RESULTS.items()}
    assert (read["drift"], read["drift_outside"]) == (0.1, 0.2)
    assert (read["final_loss"], read["csr_loss"]) == (2.0, 0.5)
    assert read["csr_ratio"] == 0.1 and read["sv_energy"] is None
