import dataclasses
import doctest
import itertools
import math

import jax
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxent.measure import concepts, crosstalk, entangle, ridge, synthetic
from jaxent.stats import intervals


def design(replicates=2, sizes=(3, 4, 4)):
    names = concepts.FACTORS[: len(sizes)]
    cells = itertools.product(*(range(m) for m in sizes))
    return [
        dict(zip(names, cell)) | {"replicate": r}
        for cell in cells
        for r in range(replicates)
    ], names


ROWS = design()[0]
LABELS = concepts.label_probes(ROWS)


def activations(labels, d: int, noise: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    signal = naive.one_hot(labels.codes, labels.sizes) @ rng.normal(
        size=(sum(labels.sizes), d)
    )
    return signal + noise * rng.normal(size=(len(labels.codes), d))


def random_labels(rng, n, sizes):
    """Unbalanced labels without replicate sets, every class at least once."""
    codes = np.stack(
        [
            rng.permutation(np.concatenate([np.arange(m), rng.integers(m, size=n - m)]))
            for m in sizes
        ],
        1,
    )
    names = tuple(f"c{j}" for j in range(len(sizes)))
    return concepts.label_probes(
        [dict(zip(names, map(int, row))) for row in codes], names
    )


def assert_equals_naive(x, labels, found, alpha=1.0):
    codes, sizes, n = labels.codes, labels.sizes, len(x)
    before, after, own = naive.literal(x, codes, sizes, alpha)
    np.testing.assert_allclose(list(found.accuracy.values()), before / n)
    np.testing.assert_allclose(np.array(found.damage) * n, before - after, atol=1e-9)
    assert found.own == own
    nested = np.maximum(naive.nested(x, codes, sizes, alpha), 0)
    assert (
        found.nested_own_flips,
        found.nested_own_flips + found.nested_off_flips,
    ) == (np.trace(nested), nested.sum())
    np.testing.assert_allclose(
        found.rise, naive.rise(x, codes, sizes, alpha), atol=1e-9
    )
    np.testing.assert_allclose(
        found.overlaps, naive.overlaps(x, codes, sizes, alpha), atol=1e-9
    )
    np.testing.assert_allclose(
        list(found.margins.values()), naive.margins(x, codes, sizes), atol=1e-12
    )
    assert max(map(abs, found.structural_zeros.values())) < 1e-12
    for j, row in enumerate(found.concept_damage):
        mine = [lost for lost, o in zip(found.damage, own) if o == j]
        np.testing.assert_allclose(
            row, np.mean(mine, 0) if mine else [np.nan] * len(sizes)
        )


@pytest.mark.parametrize("d, noise", [(150, 2.0), (40, 3.0)])
def test_everything_equals_naive_refits(d, noise):
    x = activations(LABELS, d, noise)
    found = entangle.measure(x, LABELS)
    assert_equals_naive(x, LABELS, found)
    assert found.reasons["cvo"] == "2 replicate sets, expected 4 or more"
    clipped = np.maximum(np.array(found.damage) * len(x), 0).round()
    own = sum(clipped[i, j] for i, j in enumerate(found.own))
    assert (found.own_flips, found.off_flips) == (own, clipped.sum() - own)
    assert found.ei == found.off_flips / found.own_flips
    rise = np.array(found.rise)
    assert found.sei == pytest.approx((rise.sum() - np.trace(rise)) / np.trace(rise))
    assert found.nested_ei == found.nested_off_flips / found.nested_own_flips
    for r, members in enumerate(
        LABELS.sets
    ):  # a set's values are those of measuring it alone
        alone = entangle.measure(x[members], [ROWS[i] for i in members])
        assert alone.accuracy["shape"] == found.set_values["accuracy.shape"][r]
        assert alone.overlap == pytest.approx(found.set_values["overlap"][r])
        np.testing.assert_equal(alone.ei, found.set_values["ei"][r])
        assert alone.margins["shape"] == pytest.approx(
            found.set_values["margin.shape"][r]
        )
        assert alone.random_damage["domain"] == pytest.approx(
            found.set_values["random_damage.domain"][r]
        )
        assert alone.alpha_ratio == pytest.approx(found.set_values["alpha_ratio"][r])
        np.testing.assert_allclose(
            alone.concept_damage[0][1], found.set_values["damage.domain.register"][r]
        )
        assert (alone.own_flips, alone.off_flips) == (
            found.set_values["own_flips"][r],
            found.set_values["off_flips"][r],
        )
    assert sum(found.weakest_sets.values()) == 2
    flips = (found.set_values[name] for name in ("off_flips", "own_flips"))
    np.testing.assert_equal(
        found.intervals["ei"], intervals.ratio(*flips, entangle.LEAST_FLIPS)
    )


KINDS = (
    "plain",
    "constant feature",
    "duplicated rows",
    "strong",
    "repeated singular values",
    "one probe of a class",
)


@jax.jit
def closed(x, y, rank_one, alpha):
    """(leave-one-out predictions, the same without the first direction, its coefficients); rank_one [rank] sets the rank."""
    fit = ridge.fit(x, y, len(rank_one), alpha)
    return fit.loo, ridge.without(fit, fit.a[:, [0]]), fit.a[:, 0]


@settings(max_train_samples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(
        [(24, 9, (3, 4)), (13, 30, (2, 3, 2)), (6, 30, (3, 4))]
    ),  # N > d, d > N, N < c; few, to compile little
    kind=st.sampled_from(KINDS),
    alpha=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_random_cases_equal_naive_refits(seed, shape, kind, alpha):
    """Unbalanced labels, classes of one probe, N > d, N < d and N < c."""
    n, d, sizes = shape
    rng = np.random.default_rng(seed)
    labels = random_labels(rng, n, sizes)
    if kind == "one probe of a class":  # whose own fold has none to train on
        labels.codes[:, 0] = np.where(
            np.arange(n) == 2, 0, 1 + np.arange(n) % (sizes[0] - 1)
        )
    x = activations(labels, d, 1.5, seed)
    if kind == "constant feature":
        x[:, 0] = 7
    elif kind == "duplicated rows":
        x[n // 2 :] = x[: n - n // 2]
    elif kind == "strong":
        x *= 20
    elif kind == "repeated singular values":
        x = np.linalg.qr(rng.normal(size=(max(n, d), min(n, d))))[0]
        x = x if n >= d else x.T
    found = entangle.measure(x, labels, alpha)
    codes, y = labels.codes, naive.one_hot(labels.codes, labels.sizes)
    with ridge.exact():
        loo, removed, a = map(
            np.array, closed(x, y, np.zeros(sum(sizes) - len(sizes)), alpha)
        )
    expected = naive.loo(x, y, alpha)
    np.testing.assert_allclose(loo, expected, atol=1e-8)
    if kind not in ("duplicated rows", "repeated singular values"):  # whose scores tie
        np.testing.assert_allclose(
            list(found.accuracy.values()), naive.right(expected, codes, sizes).mean(0)
        )
    u = (x - x.mean(0)).T @ a
    np.testing.assert_allclose(
        removed, naive.loo(x - np.outer(x @ u, u), y, alpha), atol=1e-7
    )
    np.testing.assert_allclose(
        found.rise, naive.rise(x, codes, sizes, alpha), atol=1e-7
    )
    if (
        kind == "one probe of a class" and np.isfinite(found.damage).all()
    ):  # folds without a class have a direction less
        nested = np.maximum(naive.nested(x, codes, sizes, alpha), 0)
        assert (found.nested_own_flips, found.nested_off_flips) == (
            np.trace(nested),
            nested.sum() - np.trace(nested),
        )


def test_a_weak_penalty_where_probes_outnumber_dimensions():
    """The part of the dual coefficients outside the activations' span, of order 1 / alpha, must not drown the rest."""
    x, y = activations(LABELS, 40, 1.0), naive.one_hot(LABELS.codes, LABELS.sizes)
    for factor in (1.0, 100.0, 3000.0):
        with ridge.exact():
            _, removed, a = map(np.array, closed(factor * x, y, np.zeros(8), 1.0))
        u = factor * (x - x.mean(0)).T @ a
        assert np.linalg.norm(u) == pytest.approx(1, abs=1e-9)
        np.testing.assert_allclose(
            removed, naive.loo(factor * (x - np.outer(x @ u, u)), y, 1.0), atol=1e-7
        )


def test_one_probe_of_a_class_is_predicted_by_folds_that_never_saw_it():
    labels = concepts.label_probes(
        [{"a": int(i == 5), "b": i % 2} for i in range(12)], ("a", "b")
    )
    found = entangle.measure(activations(labels, 30, 0.1), labels)
    assert found.accuracy["a"] == 11 / 12  # its own fold has no such class to choose


def test_fewer_probes_than_classes():
    labels = concepts.label_probes(
        [{"a": i, "b": i % 2} for i in range(4)], ("a", "b")
    )  # c = 6, N = 4
    found = entangle.measure(activations(labels, 10), labels)
    assert (
        math.isnan(found.ei)
        and "informative directions, expected 4" in found.reasons["ei"]
    )


def test_activations_that_do_not_vary_have_no_damage():
    found = entangle.measure(np.ones((len(ROWS), 5)), LABELS)
    assert (
        np.isnan(found.damage).all()
        and np.isnan(list(found.random_damage.values())).all()
        and math.isnan(found.ei)
    )
    crossed = crosstalk.crosstalk(np.ones((len(ROWS), 5)), LABELS)
    assert np.isnan(crossed.damage["raw"].matrix).all() and all(
        math.isnan(p.ct) and math.isnan(p.bdr) for p in crossed.damage["raw"].pairs
    )


def test_one_set_says_once_why_there_are_no_intervals():
    rows = [row for row in ROWS if row["replicate"] == 0]
    found = entangle.measure(activations(LABELS, 30)[LABELS.sets[0]], rows)
    assert [r for r in found.reasons if r.startswith("intervals")] == [
        "intervals"
    ] and "1 replicate set, expected two" in found.reasons["intervals"]


def test_subspace_removal_equals_refitting():
    x, y = activations(LABELS, 30), naive.one_hot(LABELS.codes, LABELS.sizes)
    with ridge.exact():
        fit = ridge.fit(x, y, 8, 1.0)
        basis = ridge.span(fit, slice(3, 7), 3)
        u = np.asarray((x - x.mean(0)).T @ basis)
        np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-10)
        np.testing.assert_allclose(
            ridge.without(fit, basis), naive.loo(naive.drop(x, u), y), atol=1e-9
        )
        random = np.asarray(x - x.mean(0)).T @ ridge.random_directions(
            fit, jax.random.key(3), 5
        )
        np.testing.assert_allclose(np.linalg.norm(random, axis=0), 1, atol=1e-9)


def test_invariance_to_rotation_shift_order_and_scale():
    x = activations(LABELS, 40, 3.0)
    first = entangle.measure(x, LABELS)
    rng = np.random.default_rng(1)
    rotation = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    order = rng.permutation(len(x))
    second = entangle.measure((x @ rotation + 5)[order], [ROWS[i] for i in order])
    same = lambda m: (m.own_flips, m.off_flips, m.nested_own_flips, m.accuracy)
    assert same(first) == same(second)
    for name in ("v_purity", "sei", "overlap"):
        assert getattr(first, name) == pytest.approx(getattr(second, name))
    free, scaled = (
        entangle.measure(f * x, LABELS, 0.1, scale_free=True) for f in (1, 100)
    )
    assert same(free) == same(scaled) and free.sei == pytest.approx(scaled.sei)
    assert (
        free.alpha == entangle.measure(x, LABELS, scale_free=True).alpha
        and first.alpha == 1
    )  # the defaults
    assert free.alpha_ratio == pytest.approx(0.1) and scaled.alpha == pytest.approx(
        1e4 * free.alpha
    )
    assert same(entangle.measure(100 * x, LABELS)) != same(
        first
    )  # alpha = 1 is not scale free


def test_no_off_concept_flip_gives_a_bound():
    labels = synthetic.design(sets=4)
    x = synthetic.activations(
        labels, 60, synthetic.Truth(0.0, 50.0), np.random.default_rng(0)
    )
    found = entangle.measure(x, labels)
    assert (
        found.off_flips == 0 < found.own_flips
        and found.ei == 0
        and found.ei_bound == 3 / found.own_flips
    )
    assert found.structural_ratio == pytest.approx(5 / 3)


def test_renamed_classes_change_nothing():
    labels, rng = synthetic.design(sets=4), np.random.default_rng(0)
    x = synthetic.activations(labels, 60, synthetic.Truth(0.3, 1.0), rng)
    codes = np.stack(
        [rng.permutation(m)[labels.codes[:, j]] for j, m in enumerate(labels.sizes)], 1
    )
    first, second = (
        entangle.measure(x, labels),
        entangle.measure(x, dataclasses.replace(labels, codes=codes)),
    )
    same = lambda m: (
        m.own_flips,
        m.off_flips,
        m.nested_own_flips,
        m.accuracy,
        m.weakest,
    )
    assert same(first) == same(second)
    for name in ("v_purity", "sei", "overlap", "cvo", "alpha_ratio"):
        assert getattr(first, name) == pytest.approx(getattr(second, name)), name


def test_layers_are_measured_as_each_alone():
    x = np.stack([activations(LABELS, 40, 3.0, seed) for seed in range(2)])
    for layer, found in zip(x, entangle.measure_layers(x, LABELS)):
        alone = entangle.measure(layer, LABELS)
        assert (found.own_flips, found.off_flips) == (alone.own_flips, alone.off_flips)
        assert found.sei == pytest.approx(alone.sei)


def test_too_few_flips_is_nan_with_a_reason():
    noise = np.random.default_rng(0).normal(size=(len(ROWS), 150))
    found = entangle.measure(
        1e-3 * noise, LABELS
    )  # nothing is decodable, so nothing can be damaged
    assert found.own_flips < entangle.LEAST_FLIPS
    assert (
        math.isnan(found.ei)
        and f"{found.own_flips} own-concept flips, fewer than 10" in found.reasons["ei"]
    )
    assert math.isnan(found.sei) and "less than 0.01" in found.reasons["sei"]
    assert found.to_json()["ei"] is None
    constant = entangle.measure(np.ones((len(ROWS), 5)), LABELS)
    assert (
        math.isnan(constant.ei)
        and "0 informative directions, expected 8" in constant.reasons["ei"]
    )


def test_without_replicates_there_is_no_cvo():
    rows = [{k: v for k, v in r.items() if k != "replicate"} for r in ROWS]
    found = entangle.measure(activations(LABELS, 40), rows)
    assert (
        math.isnan(found.cvo)
        and found.reasons["cvo"] == "0 replicate sets, expected 4 or more"
    )
    assert found.intervals == {} and found.sets == 0


def test_bad_input_is_refused():
    bad = activations(LABELS, 5)
    bad[7, 2] = np.inf
    with pytest.raises(ValueError, match="probe 7 hold NaN or infinity"):
        entangle.measure(bad, LABELS)
    with pytest.raises(ValueError, match=r"expected \[96, d\]"):
        entangle.measure(bad[:5], LABELS)
    with pytest.raises(ValueError, match="'domain' has 1 class"):
        concepts.label_probes([r | {"domain": "A"} for r in ROWS])
    with pytest.raises(
        ValueError, match="replicate 0 has 47 of 95 probes in 47 of 48 cells"
    ):
        concepts.label_probes(ROWS[1:])


def test_random_loadings_have_the_known_purity():
    null = concepts.random_purity((3, 4, 4))
    assert null.mean() == pytest.approx(
        0.585, abs=0.005
    ) and null.std() == pytest.approx(0.051, abs=0.003)


def test_doctest():
    assert doctest.testmod(entangle).failed == 0
