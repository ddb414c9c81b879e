import numpy as np
import pytest

from jaxent.measure import drift, penalty


def test_drift_splits_into_inside_and_outside():
    rng = np.random.default_rng(0)
    base, h = rng.normal(size=(2, 30, 9))
    s = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    measured = drift.measure_drift(h.astype(np.float32), base, s)
    size = (base**2).sum(1).mean()
    total = ((h - base) ** 2).sum(1).mean() / size
    inside = (((h - base) @ s @ s.T) ** 2).sum(1).mean() / size
    assert measured.dimensions == 3
    assert measured.total == pytest.approx(total, rel=1e-5)
    assert measured.inside == pytest.approx(inside, rel=1e-5)
    assert measured.total == pytest.approx(measured.inside + measured.outside)


def test_outside_is_what_the_penalty_acts_on():
    rng = np.random.default_rng(1)
    base, h = rng.normal(size=(2, 30, 9))
    s = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    penalised = float(penalty.squared_drift(h, base, s).mean())
    size = (base**2).sum(1).mean()
    outside = drift.measure_drift(h, base, s).outside
    assert outside == pytest.approx(penalised / size, rel=1e-4)


def test_no_drift_and_drift_within_the_subspace():
    rng = np.random.default_rng(2)
    base = rng.normal(size=(30, 9))
    s = np.linalg.qr(rng.normal(size=(9, 3)))[0]
    assert drift.measure_drift(base, base, s).total == 0
    assert drift.measure_drift(base + 2 * s[:, 0], base, s).outside < 1e-20


def test_without_a_subspace_everything_is_outside():
    base, h = np.random.default_rng(3).normal(size=(2, 5, 4))
    measured = drift.measure_drift(h, base, np.zeros((4, 0)))
    assert measured.dimensions == 0 and measured.inside == 0
    assert measured.outside == measured.total
