import doctest
import itertools
import math

import numpy as np
import pytest
from sklearn import linear_model

from jaxent.measure import entangle, ridge

ROWS = [
    {"domain": d, "register": r, "shape": s}
    for d, r, s in itertools.product("ABC", "wxyz", "1234")
    for _ in range(2)
]
LABELS = entangle.labels(ROWS)


def one_hot(codes, sizes):
    return np.concatenate([np.eye(m)[codes[:, j]] for j, m in enumerate(sizes)], 1)


def activations(d: int, noise: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    signal = one_hot(LABELS.codes, LABELS.sizes) @ rng.normal(size=(11, d))
    return signal + noise * rng.normal(size=(len(ROWS), d))


def naive_loo(x, y, alpha=1.0):
    """The definition: refit scikit-learn's Ridge, intercept included, once a probe."""
    out = np.zeros_like(y)
    for n in range(len(x)):
        rest = np.arange(len(x)) != n
        out[n] = linear_model.Ridge(alpha, solver="svd").fit(x[rest], y[rest]).predict(x[n : n + 1])[0]
    return out


def naive(x, alpha=1.0):
    """EI by definition: SVD of the full fit's W, each direction projected out of x, all folds refitted."""
    y, slices = one_hot(LABELS.codes, LABELS.sizes), entangle._columns(LABELS.sizes)
    right = lambda p: np.stack([p[:, s].argmax(1) for s in slices], 1) == LABELS.codes
    w = linear_model.Ridge(alpha, solver="svd").fit(x, y).coef_.T
    u, _, v = np.linalg.svd(w, full_matrices=False)
    base = right(naive_loo(x, y, alpha))
    off = own = 0
    for i in range(8):
        removed = x - np.outer(x @ u[:, i], u[:, i])
        flips = np.maximum(base.sum(0) - right(naive_loo(removed, y, alpha)).sum(0), 0)
        j = int(np.argmax([(v[i, s] ** 2).sum() for s in slices]))
        own, off = own + flips[j], off + flips.sum() - flips[j]
    return base.mean(0), own, off


@pytest.mark.parametrize("d, noise", [(150, 2.0), (40, 3.0), (12, 0.5)])
def test_measurement_equals_naive_refits(d, noise):
    x = activations(d, noise)
    accuracy, own, off = naive(x)
    found = entangle.measure(x, LABELS)
    np.testing.assert_allclose(list(found.accuracy.values()), accuracy)
    assert (found.own_flips, found.off_flips) == (own, off)
    assert found.ei == off / own


def test_leave_one_out_equals_scikit_learn():
    x, y = activations(30), one_hot(LABELS.codes, LABELS.sizes)
    with ridge.exact():
        fit = ridge.fit(x, y, 8, 1.0)
        np.testing.assert_allclose(fit.loo, naive_loo(x, y), atol=1e-9)
        direction = fit.a[:, 2]
        u = (x - x.mean(0)).T @ np.asarray(direction)
        assert np.linalg.norm(u) == pytest.approx(1)
        expected = naive_loo(x - np.outer(x @ u, u), y)
        np.testing.assert_allclose(ridge.without(fit, y, direction), expected, atol=1e-9)


def test_invariance_to_rotation_shift_and_order_of_probes():
    x = activations(60)
    first = entangle.measure(x, LABELS)
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    order = rng.permutation(len(x))
    shuffled = entangle.labels([ROWS[i] for i in order])
    second = entangle.measure((x @ rotation + 5)[order], shuffled)
    assert (first.own_flips, first.off_flips, first.accuracy) == (second.own_flips, second.off_flips, second.accuracy)
    assert first.v_purity == pytest.approx(second.v_purity)


def test_too_few_flips_is_nan_with_a_reason():
    noise = np.random.default_rng(0).normal(size=(len(ROWS), 400))
    found = entangle.measure(1e-3 * noise, LABELS)  # nothing is decodable, so nothing can be damaged
    assert found.own_flips < entangle.LEAST_FLIPS
    assert math.isnan(found.ei) and f"{found.own_flips} own-concept flips, fewer than 10" in found.reason
    constant = entangle.measure(np.ones((len(ROWS), 5)), LABELS)
    assert math.isnan(constant.ei) and "0 informative directions, expected 8" in constant.reason


def test_bad_input_is_refused():
    bad = activations(5)
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="probe 7"):
        entangle.measure(bad, LABELS)
    with pytest.raises(ValueError, match=r"expected \[96, d\]"):
        entangle.measure(bad[:5], LABELS)
    with pytest.raises(ValueError, match="'domain' has 1 class"):
        entangle.labels([r | {"domain": "A"} for r in ROWS])


def test_doctest():
    assert doctest.testmod(entangle).failed == 0
