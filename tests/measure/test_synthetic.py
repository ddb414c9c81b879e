import numpy as np
import pytest

from jaxent.measure import overlap, synthetic

LABELS = synthetic.design(sets=8)


def cvo(x):
    return overlap.measure_overlap(x @ x.T, LABELS).value


def spread(x):
    """Variances along the principal axes of x."""
    return np.linalg.eigvalsh(np.cov(x.T))


def test_the_generator_keeps_its_promises():
    rng = np.random.default_rng(0)
    for truth in (0.0, 0.3, 1.0):
        first, second, _ = synthetic.bases((3, 4, 4), 20, truth, rng)
        np.testing.assert_allclose(first @ first.T, np.eye(2), atol=1e-12)
        cosines = np.linalg.svd(first @ second.T, compute_uv=False)
        assert (cosines**2).mean() == pytest.approx(truth, abs=1e-12)
    means = synthetic.class_means(LABELS, synthetic.bases(LABELS.sizes, 20, 0.0, rng))
    axes = np.linalg.svd(means, compute_uv=False)[:8] ** 2 / len(means)
    np.testing.assert_allclose(axes, 1)
    assert synthetic.noise((4000, 10), 1.5, rng).var(0).mean() == pytest.approx(
        1, rel=0.05
    )
    with pytest.raises(ValueError, match="expected at least 11"):
        synthetic.bases((3, 4, 4), 10, 0.5, rng)
    with pytest.raises(ValueError, match="expected 0 <= overlap <= 1"):
        synthetic.Truth(1.5)


def test_class_structure_rotated_to_a_known_overlap_is_recovered():
    rng = np.random.default_rng(0)
    # In place of real activations.
    rough = 3 + synthetic.activations(
        LABELS, 64, synthetic.Truth(0.8, 1.5, 1, 0.5), rng
    )
    for truth in (0.0, 0.5):
        draws = [synthetic.rotated(rough, LABELS, truth, rng) for _ in range(6)]
        assert np.mean([cvo(x) for x in draws]) == pytest.approx(truth, abs=0.05)
    assert cvo(rough) == pytest.approx(0.8, abs=0.1)
    # As large, and along as many axes, as what it was made of.
    assert spread(draws[0]).sum() == pytest.approx(spread(rough).sum(), rel=0.15)
    np.testing.assert_allclose(draws[0].mean(0), rough.mean(0), atol=1e-9)
