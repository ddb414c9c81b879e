"""Crosstalk between domains (section 3.6): what removing one domain's direction does to another's recall."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.measure import concepts, ridge
from jaxent.stats import intervals


@dataclasses.dataclass(frozen=True)
class Pair:
    """Domains a and b as Table 8 has them.

    ct: symmetric crosstalk (D_ab + D_ba) / 2 of damages divided by the removed domain's own; bdr: block-diagonal ratio
    (D_aa + D_bb) / (D_aa + D_ab + D_ba + D_bb) of the undivided ones (divided ones do not give Table 8's
    figures); lean: (D_ab - D_ba) / (|D_ab| + |D_ba|), positive where removing a costs b more; asymmetry: |lean|.
    NaN where a denominator is 0.
    """

    a: str
    b: str
    ct: float
    bdr: float
    lean: float
    asymmetry: float


@dataclasses.dataclass(frozen=True)
class Damage:
    """One way of measuring damage: matrix [A][B], what B loses when A is removed, D_AB; normalized, D_AB / D_AA; every pair."""

    matrix: list[list[float]]
    normalized: list[list[float]]
    pairs: list[Pair]


@dataclasses.dataclass(frozen=True)
class Crosstalk:
    """damage: `raw` (drop of recall), `clipped` (at 0, as the paper's asymmetries of exactly 1.00 suggest) and
    `continuous` (drop of the recall margin: the mean of the true domain's score less the best other's).

    recall: of each domain before removal. intervals: over replicate sets, {kind: {"a|b": {"ct": Interval, ...}}}, each a
    jackknife of what the sets' mean damage gives (a single set's own damage may be 0), asymmetry's that of the lean
    without its sign; cells: the t interval of each mean damage, {kind: {"a>b": Interval}}, a removed.
    """

    domains: tuple[str, ...]
    recall: list[float]
    damage: dict[str, Damage]
    intervals: dict[str, dict[str, dict[str, intervals.Interval]]]
    cells: dict[str, dict[str, intervals.Interval]]
    probes: int
    sets: int
    alpha: float
    alpha_ratio: float

    def pair(self, a: str, b: str, kind: str = "raw") -> Pair:
        """The pair (a, b), whichever way round it is kept."""
        return next(p for p in self.damage[kind].pairs if {p.a, p.b} == {a, b})

    def to_json(self) -> dict:
        """Plain values; NaN and infinity become None."""
        return concepts.to_plain(dataclasses.asdict(self))


KINDS = ("raw", "clipped", "continuous")


def crosstalk(
    x: np.ndarray, labels: concepts.Labels, concept: str = "domain", alpha: float = 1.0
) -> Crosstalk:
    """Removal damage between the classes of one concept: x activations [N,d], one row a probe.

    D_AB = the drop of B's recall (share of B's probes whose argmax over the concept's columns is B) when A's
    one-vs-rest weight direction w_A / |w_A| is removed and every fold refitted. Raises ValueError
    for NaN or infinity in x, or a wrong shape. Damage of a class without such a direction (the activations do not vary) is NaN.
    """
    x = concepts.check_inputs(np.asarray(x)[None], labels)[0]
    j = labels.concepts.index(concept)
    part, names = concepts.concept_columns(labels.sizes)[j], labels.classes[j]
    with ridge.exact():
        run = functools.partial(
            _every, sizes=labels.sizes, columns=(part.start, part.stop), alpha=alpha
        )
        whole, every = jax.tree.map(
            np.asarray, run(jnp.asarray(x), labels.codes, labels.sets)
        )
    by_set = [
        jax.tree.map(lambda leaf: leaf[r], every)
        for r in range(0 if every is None else len(labels.sets))
    ]
    damage = _kinds(whole, names)
    spread, cells = {}, {}
    for kind in KINDS if len(by_set) > 1 else ():
        every = np.array([_kinds(one, names)[kind].matrix for one in by_set])
        spread[kind] = _over_sets(every, names)
        cells[kind] = {
            f"{a}>{b}": intervals.over_sets(every[:, i, k])
            for i, a in enumerate(names)
            for k, b in enumerate(names)
        }
    ratio = (
        float(whole["alpha"]) * (len(x) - 1) / float(whole["trace"])
        if whole["trace"]
        else math.inf
    )
    return Crosstalk(
        names,
        whole["recall"].tolist(),
        damage,
        spread,
        cells,
        len(x),
        len(by_set),
        float(alpha),
        ratio,
    )


@functools.partial(jax.jit, static_argnames=("sizes", "columns"))
def _every(x, codes, sets, sizes, columns, alpha):
    """`_damage` of all probes together, and of every replicate set (None without sets)."""
    one = functools.partial(_damage, sizes=sizes, columns=columns, alpha=alpha)
    return one(x, codes), None if sets is None else jax.lax.map(
        lambda members: one(x[members], codes[members]), sets
    )


def _damage(x, codes, sizes, columns, alpha):
    """Recall [m], its drop and the margin's drop [m,m] for each removed class."""
    y = jnp.concatenate(
        [jax.nn.one_hot(codes[:, i], m, dtype=x.dtype) for i, m in enumerate(sizes)],
        axis=1,
    )
    fit = ridge.fit(x, y, sum(sizes) - len(sizes), alpha)
    part = slice(*columns)
    member = y[:, part]
    share = member / member.sum(0)

    def recall(predicted):
        scores = predicted[:, part]
        hit = jax.nn.one_hot(scores.argmax(1), scores.shape[1], dtype=x.dtype)
        best_other = jnp.where(member == 1, -jnp.inf, scores).max(1)
        margin = (scores * member).sum(1) - best_other
        return (share * hit * member).sum(0), share.T @ margin

    squares = jnp.einsum("nc,nm,mc->c", fit.b, fit.gram, fit.b)[
        part
    ]  # of the weight directions
    there = squares > 1e-12 * squares.max()

    def removed(direction):
        b, square, there = direction
        a = b / jnp.sqrt(jnp.where(there, square, 1))
        return jax.tree.map(
            lambda x: jnp.where(there, x, jnp.nan),
            recall(ridge.without(fit, a[:, None])),
        )

    before, after = (
        recall(fit.loo),
        jax.lax.map(removed, (fit.b[:, part].T, squares, there)),
    )
    return {
        "recall": before[0],
        "raw": before[0] - after[0],
        "continuous": before[1] - after[1],
        "alpha": fit.alpha,
        "trace": jnp.trace(fit.gram),
    }


def _over_sets(every: np.ndarray, names) -> dict[str, dict[str, intervals.Interval]]:
    """Intervals of every pair's quantities, by jackknife, from each set's damage [R,m,m]."""
    whole = pairs(every.mean(0), names)
    without_one = [
        pairs(np.delete(every, r, axis=0).mean(0), names) for r in range(len(every))
    ]
    interval = lambda i, q: intervals.jackknife(
        getattr(whole[i], q), [getattr(one[i], q) for one in without_one]
    )
    found = {
        f"{p.a}|{p.b}": {q: interval(i, q) for q in ("ct", "bdr", "lean")}
        for i, p in enumerate(whole)
    }
    return {
        name: of | {"asymmetry": intervals.magnitude(of["lean"], 1)}
        for name, of in found.items()
    }


def _kinds(found: dict, names) -> dict[str, Damage]:
    matrices = {
        "raw": found["raw"],
        "clipped": np.maximum(found["raw"], 0),
        "continuous": found["continuous"],
    }
    return {
        kind: Damage(m.tolist(), _normalized(m).tolist(), pairs(m, names))
        for kind, m in matrices.items()
    }


def _normalized(damage: np.ndarray) -> np.ndarray:
    """Damage [m,m] over the removed class's own; NaN where that is 0."""
    own = np.diag(damage)[:, None]
    return np.where(own != 0, damage / np.where(own != 0, own, 1), math.nan)


def pairs(damage: np.ndarray, names: tuple[str, ...]) -> list[Pair]:
    """CT, BDR and asymmetry (Definitions 1 and 2) of every two classes from damage [m,m], rows removed."""
    ratio = lambda a, b: float(a / b) if b != 0 else math.nan
    divided, found = _normalized(damage), []
    for i, a in enumerate(names):
        for k in range(i + 1, len(names)):
            ab, ba = float(divided[i, k]), float(divided[k, i])
            own, cross = damage[i, i] + damage[k, k], damage[i, k] + damage[k, i]
            lean = ratio(ab - ba, abs(ab) + abs(ba))
            found.append(
                Pair(
                    a, names[k], (ab + ba) / 2, ratio(own, own + cross), lean, abs(lean)
                )
            )
    return found
