import designs
import jax
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxent.measure import entangle, ridge

KINDS = (
    "plain",
    "constant feature",
    "duplicated rows",
    "strong",
    "repeated singular values",
    "one probe of a class",
)
# N > d, d > N, N < c; few, to compile little
SHAPES = [(24, 9, (3, 4)), (13, 30, (2, 3, 2)), (6, 30, (3, 4))]


@jax.jit
def closed(x, y, rank_one, alpha):
    """Leave-one-out predictions, whole and without the first direction, and its a.

    rank_one [rank] sets the rank.
    """
    fit = ridge.fit(x @ x.T, y, len(rank_one), alpha)
    return fit.loo, ridge.refit_without(fit, fit.a[:, [0]])[0], fit.a[:, 0]


def random_case(seed, shape, kind):
    """Activations and unbalanced labels of one kind of difficulty."""
    n, d, sizes = shape
    rng = np.random.default_rng(seed)
    labels = designs.random_labels(rng, n, sizes)
    if kind == "one probe of a class":  # whose own fold has none to train on
        labels.codes[:, 0] = np.where(
            np.arange(n) == 2, 0, 1 + np.arange(n) % (sizes[0] - 1)
        )
    x = designs.activations(labels, d, 1.5, seed)
    if kind == "constant feature":
        x[:, 0] = 7
    elif kind == "duplicated rows":
        x[n // 2 :] = x[: n - n // 2]
    elif kind == "strong":
        x *= 20
    elif kind == "repeated singular values":
        x = np.linalg.qr(rng.normal(size=(max(n, d), min(n, d))))[0]
        x = x if n >= d else x.T
    return x, labels


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(SHAPES),
    kind=st.sampled_from(KINDS),
    alpha=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_random_cases_equal_naive_refits(seed, shape, kind, alpha):
    """Unbalanced labels, classes of one probe, N > d, N < d and N < c."""
    x, labels = random_case(seed, shape, kind)
    measured = entangle.measure(x, labels, alpha)
    codes, sizes = labels.codes, labels.sizes
    y = naive.one_hot(codes, sizes)
    with ridge.float64_on_cpu():
        loo, removed, a = map(
            np.array,
            closed(x - x.mean(0), y, np.zeros(sum(sizes) - len(sizes)), alpha),
        )
    expected = naive.loo(x, y, alpha)
    np.testing.assert_allclose(loo, expected, atol=1e-8)
    if kind not in ("duplicated rows", "repeated singular values"):  # whose scores tie
        accuracies = list(measured.values.accuracy.values())
        right = naive.right(expected, codes, sizes)
        np.testing.assert_allclose(accuracies, right.mean(0))
    u = (x - x.mean(0)).T @ a
    without = naive.loo(x - np.outer(x @ u, u), y, alpha)
    np.testing.assert_allclose(removed, without, atol=1e-7)
    rise = naive.rise(x, codes, sizes, alpha)
    np.testing.assert_allclose(measured.geometry.rise, rise, atol=1e-7)
    every_direction_exists = np.isfinite(measured.geometry.damage).all()
    if kind == "one probe of a class" and every_direction_exists:
        # Folds without a class have a direction less.
        nested = np.maximum(naive.nested(x, codes, sizes, alpha), 0)
        own = np.trace(nested)
        assert measured.counts.nested_own_flips == own
        assert measured.counts.nested_off_flips == nested.sum() - own


def test_a_weak_penalty_where_probes_outnumber_dimensions():
    """Dual coefficients outside the activations' span must not drown the rest."""
    labels = designs.LABELS
    x, y = (
        designs.activations(labels, 40, 1.0),
        naive.one_hot(labels.codes, labels.sizes),
    )
    for factor in (1.0, 100.0, 3000.0):
        with ridge.float64_on_cpu():
            _, removed, a = map(
                np.array, closed(factor * (x - x.mean(0)), y, np.zeros(8), 1.0)
            )
        u = factor * (x - x.mean(0)).T @ a
        assert np.linalg.norm(u) == pytest.approx(1, abs=1e-9)
        without = naive.loo(factor * (x - np.outer(x @ u, u)), y, 1.0)
        np.testing.assert_allclose(removed, without, atol=1e-7)


def test_removal_of_each_direction_equals_refitting():
    labels = designs.LABELS
    x = designs.activations(labels, 30)
    y = naive.one_hot(labels.codes, labels.sizes)
    with ridge.float64_on_cpu():
        fit = ridge.fit(ridge.centred_gram(x), y, 8, 1.0)
        basis = ridge.concept_span(fit, slice(3, 7), 3)
        u = np.asarray((x - x.mean(0)).T @ basis)
        np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-10)
        for direction, removed in zip(u.T, ridge.refit_without(fit, basis)):
            expected = naive.loo(naive.drop(x, direction[:, None]), y)
            np.testing.assert_allclose(removed, expected, atol=1e-9)
        a = ridge.random_directions(fit, jax.random.key(3), 5)
        random = np.asarray(x - x.mean(0)).T @ a
        np.testing.assert_allclose(np.linalg.norm(random, axis=0), 1, atol=1e-9)


def test_one_hot_labels_are_the_naive_ones():
    labels = designs.LABELS
    expected = naive.one_hot(labels.codes, labels.sizes)
    found = ridge.one_hot_labels(labels.codes, labels.sizes, np.float32)
    np.testing.assert_array_equal(found, expected)
