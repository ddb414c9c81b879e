import itertools

import naive
import numpy as np
import pytest

from jaxent.measure import concepts, crosstalk, entangle
from jaxent.stats import intervals

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
    found = crosstalk.crosstalk(x, LABELS)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.damage["raw"].matrix, raw, atol=1e-12)
    np.testing.assert_allclose(
        found.damage["clipped"].matrix, np.maximum(raw, 0), atol=1e-12
    )
    np.testing.assert_allclose(
        found.damage["raw"].normalized, raw / np.diag(raw)[:, None], atol=1e-12
    )
    np.testing.assert_allclose(found.damage["continuous"].matrix, continuous, atol=1e-9)
    assert found.sets == 4 and set(found.intervals["continuous"]["A|B"]) == {
        "ct",
        "bdr",
        "lean",
        "asymmetry",
    }
    several = [
        crosstalk.crosstalk(x[m], concepts.label_probes([ROWS[i] for i in m]))
        .damage["continuous"]
        .matrix
        for m in LABELS.sets
    ]
    cell = intervals.over_sets([m[1][0] for m in several])
    assert found.cells["continuous"]["B>A"].low == pytest.approx(cell.low)

    def first_ct(sets):
        return crosstalk.pairs(np.mean(sets, 0), DOMAINS)[0].ct

    expected = intervals.jackknife(
        first_ct(several),
        [first_ct(several[:r] + several[r + 1 :]) for r in range(4)],
    )
    assert found.intervals["continuous"]["A|B"]["ct"].low == pytest.approx(expected.low)
    spread = found.intervals["raw"]["A|B"]
    assert (
        0 <= spread["asymmetry"].low <= spread["asymmetry"].high <= 1
        and found.pair("B", "A") == found.damage["raw"].pairs[0]
    )


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
    assert found.domains == DOMAINS and found.pair("A", "B", "continuous").bdr > 0.5
    with pytest.raises(ValueError, match=r"1 concept \(domain\): expected two or more"):
        entangle.measure(x, labels)


def test_bad_activations_are_refused():
    x = activations()
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match="probe 3 hold NaN"):
        crosstalk.crosstalk(x, LABELS)
