import numpy as np
import pytest

from jaxent.measure import noise, synthetic

LABELS = synthetic.design((3, 4, 4), 40)


def drawn(kind, seed=0):
    return noise.KINDS[kind](LABELS, 64, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", noise.KINDS)
def test_draws_are_centred_and_reproducible(kind):
    x = drawn(kind)
    assert x.shape == (len(LABELS.codes), 64)
    np.testing.assert_array_equal(x, drawn(kind))
    assert abs(x.mean(0)).max() < 6 * x.std(0).max() / len(x) ** 0.5


def test_variances():
    assert drawn("Gauss").var() == pytest.approx(1, rel=0.02)
    assert drawn("t, 3 df").var() == pytest.approx(1, rel=0.2)
    spread = drawn("heteroscedastic")
    by_class = [spread[LABELS.codes[:, 0] == c].std() for c in range(3)]
    assert by_class[2] / by_class[0] == pytest.approx(3, rel=0.05)
    assert spread.var() == pytest.approx(1, rel=0.05)
    sds = drawn("three massive dimensions").std(0)
    assert sds[:3] == pytest.approx(10, rel=0.1)
    assert sds[3:] == pytest.approx(1, rel=0.1)


def test_outliers_are_whole_probes():
    """Rows of the elliptical t share one scale; entries of the other t do not."""
    spread = []
    for kind in ("elliptical t, 2.5 df", "t, 3 df"):
        norms = np.linalg.norm(drawn(kind), axis=1)
        spread.append(np.quantile(norms, 0.99) / np.median(norms))
    assert spread[0] > 4 and spread[1] < 3
