import itertools

import naive
import naive_sets
import numpy as np
import pytest

from jaxent.measure import concepts, crosstalk, entangle

DOMAINS = ("A", "B", "C", "D")
ROWS = [
    {"domain": d, "register": r, "shape": s, "replicate": n}
    for d, r, s, n in itertools.product(DOMAINS, "wx", "12", range(4))
]
LABELS = concepts.label_probes(ROWS)


def activations(d=40, noise=1.5, seed=0):
    rng = np.random.default_rng(seed)
    return naive.one_hot(LABELS.codes, LABELS.sizes) @ rng.normal(
        size=(8, d)
    ) + noise * rng.normal(size=(len(ROWS), d))


def definition(x):
    """Recall and margin drops by refits with each domain's direction projected out."""
    y, codes = naive.one_hot(LABELS.codes, LABELS.sizes), LABELS.codes[:, 0]

    def scores(z):
        predicted = naive.loo(z, y)[:, :4]
        margin = [p[c] - np.delete(p, c).max() for p, c in zip(predicted, codes)]
        hit = predicted.argmax(1) == codes
        return (
            np.array([v[codes == k].mean() for k in range(4)])
            for v in (hit, np.array(margin))
        )

    weights = naive.ridge(x, y, 1.0).coef_.T[:, :4]
    before = list(scores(x))
    drops = [
        [
            b - a
            for b, a in zip(
                before, scores(naive.drop(x, w[:, None] / np.linalg.norm(w)))
            )
        ]
        for w in weights.T
    ]
    return before[0], np.array([d[0] for d in drops]), np.array([d[1] for d in drops])


def test_equals_the_definition():
    x = activations()
    recall, raw, continuous = definition(x)
    found = crosstalk.crosstalk(x, LABELS).all_probes
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.damage["raw"].matrix, raw, atol=1e-12)
    np.testing.assert_allclose(
        found.damage["clipped"].matrix, np.maximum(raw, 0), atol=1e-12
    )
    np.testing.assert_allclose(
        found.damage["raw"].normalized, raw / np.diag(raw)[:, None], atol=1e-12
    )
    np.testing.assert_allclose(found.damage["continuous"].matrix, continuous, atol=1e-9)


def test_values_and_intervals_are_of_the_sets():
    x = activations()
    found = crosstalk.crosstalk(x, LABELS)
    alone = [
        crosstalk.crosstalk(x[m], concepts.label_probes([ROWS[i] for i in m]))
        for m in LABELS.sets
    ]
    np.testing.assert_allclose(found.recall, np.mean([a.recall for a in alone], 0))
    for kind in crosstalk.KINDS:
        several = [np.array(a.damage[kind].matrix) for a in alone]
        damage = np.mean(several, 0)
        np.testing.assert_allclose(found.damage[kind].matrix, damage, atol=1e-12)
        spread = np.std(several, 0, ddof=1)
        for i, a in enumerate(DOMAINS):
            for j, b in enumerate(DOMAINS):
                cell = found.cells[kind][f"{a}>{b}"]
                assert cell.mean == pytest.approx(damage[i, j], abs=1e-12)
                if not np.isnan(cell.low):
                    half = 3.182446 * spread[i, j] / 4**0.5
                    assert cell.high - cell.mean == pytest.approx(half, rel=1e-5)

    def first_ct(sets):
        mean = np.mean(sets, 0)
        return (mean[0, 1] / mean[0, 0] + mean[1, 0] / mean[1, 1]) / 2

    several = [np.array(a.damage["continuous"].matrix) for a in alone]
    without = [first_ct(several[:r] + several[r + 1 :]) for r in range(4)]
    low, high = naive_sets.interval(first_ct(several), without)
    ct = found.intervals["continuous"]["A|B"]["ct"]
    assert (ct.mean, ct.low, ct.high) == pytest.approx((first_ct(several), low, high))
    assert found.pair("A", "B", "continuous").ct == pytest.approx(first_ct(several))


def test_intervals_hold_the_values_that_stand_beside_them():
    found = crosstalk.crosstalk(activations(), LABELS)
    assert found.sets == 4 and found.pair("B", "A") == found.damage["raw"].pairs[0]
    for kind, damage in found.damage.items():
        for pair in damage.pairs:
            spans = found.intervals[kind][f"{pair.a}|{pair.b}"]
            assert set(spans) == {"ct", "bdr", "lean", "asymmetry"}
            for name, span in spans.items():
                if not np.isnan(span.low):
                    assert span.low <= getattr(pair, name) <= span.high, name
            asymmetry = spans["asymmetry"]
            if not np.isnan(asymmetry.low):
                assert 0 <= asymmetry.low <= asymmetry.high <= 1


def test_definitions_one_and_two():
    damage = np.array([[0.5, 0.1], [0.0, 0.4]])
    (pair,) = crosstalk.pairs(damage, ("code", "math"))
    assert pair.ct == pytest.approx((0.2 + 0) / 2)
    assert pair.bdr == pytest.approx(0.9 / 1.0)
    assert pair.asymmetry == 1 == pair.lean
    assert crosstalk.pairs(np.array([[0.5, 0.1], [0.3, 0.4]]), ("a", "b"))[
        0
    ].lean == pytest.approx((0.2 - 0.75) / 0.95)
    (pair,) = crosstalk.pairs(np.array([[0.0, 0.1], [0.1, 0.4]]), ("code", "math"))
    assert np.isnan(pair.ct)  # a domain that cannot be damaged


def test_a_single_concept_has_crosstalk_but_no_entanglement():
    x, labels = activations(), concepts.label_probes(ROWS, ("domain",))
    found = crosstalk.crosstalk(x, labels)
    assert found.domains == DOMAINS and found.pair("A", "B", "continuous").bdr > 0.4
    with pytest.raises(ValueError, match=r"1 concept \(domain\): expected two or more"):
        entangle.measure(x, labels)


def test_bad_activations_are_refused():
    x = activations()
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="probe 3 hold NaN"):
        crosstalk.crosstalk(x, LABELS)
