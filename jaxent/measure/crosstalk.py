"""Crosstalk between domains (3.6): what removing one costs the recall of another."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.measure import concepts, ridge
from jaxent.stats import intervals

KINDS = ("raw", "clipped", "continuous")

Interval = intervals.Interval  # the field `intervals` below hides the module


@dataclasses.dataclass(frozen=True)
class Pair:
    """Domains a and b as Table 8 has them; NaN where a denominator is 0.

    Attributes:
      a: the first domain.
      b: the second domain.
      ct: symmetric crosstalk (D_ab + D_ba) / 2 of damages divided by the removed
        domain's own.
      bdr: block-diagonal ratio (D_aa + D_bb) / (D_aa + D_ab + D_ba + D_bb) of the
        undivided ones (divided ones do not give Table 8's figures).
      lean: (D_ab - D_ba) / (|D_ab| + |D_ba|), positive where removing a costs b more.
      asymmetry: |lean|.
    """

    a: str
    b: str
    ct: float
    bdr: float
    lean: float
    asymmetry: float


@dataclasses.dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
      matrix: D_AB [A][B], what B loses when A is removed.
      normalized: D_AB / D_AA.
      pairs: every two domains.
    """

    matrix: list[list[float]]
    normalized: list[list[float]]
    pairs: list[Pair]


@dataclasses.dataclass(frozen=True)
class AllProbes:
    """One fit on all probes together, without intervals.

    Attributes:
      recall: of each domain before removal.
      damage: by kind, as `Crosstalk.damage`.
    """

    recall: list[float]
    damage: dict[str, Damage]


@dataclasses.dataclass(frozen=True)
class Crosstalk:
    """Removal damage between the classes of one concept.

    Recall and damage are means over the replicate sets, each fitted by itself, and a
    pair's numbers are those of the mean damage. Without sets they are of the one fit.

    Attributes:
      domains: the classes.
      recall: of each domain before removal.
      damage: by kind: `raw` (drop of recall), `clipped` (at 0, as the paper's
        asymmetries of exactly 1.00 suggest) and `continuous` (drop of the recall
        margin: the mean of the true domain's score less the best other's).
      intervals: of the pairs over replicate sets, {kind: {"a|b": {"ct": Interval,
        ...}}}, by jackknife (a single set's own damage may be 0), asymmetry's that of
        the lean without its sign.
      cells: t intervals of the damage, {kind: {"a>b": Interval}}, a removed.
      all_probes: the fit on all probes together.
      probes: number of probes N.
      sets: number of replicate sets.
      alpha: ridge penalty.
      alpha_ratio: alpha (N - 1) / tr G.
    """

    domains: tuple[str, ...]
    recall: list[float]
    damage: dict[str, Damage]
    intervals: dict[str, dict[str, dict[str, Interval]]]
    cells: dict[str, dict[str, Interval]]
    all_probes: AllProbes
    probes: int
    sets: int
    alpha: float
    alpha_ratio: float

    def pair(self, a: str, b: str, kind: str = "raw") -> Pair:
        """The pair of domains a and b, in whichever order it is kept."""
        return next(p for p in self.damage[kind].pairs if {p.a, p.b} == {a, b})

    def to_json(self) -> dict:
        """Plain values; NaN and infinity become None."""
        return concepts.to_plain(dataclasses.asdict(self))


def crosstalk(
    x: np.ndarray,
    labels: concepts.Labels,
    concept: str = "domain",
    alpha: float = 1.0,
) -> Crosstalk:
    """Removal damage between the classes of one concept (section 3.6).

    D_AB is the drop of B's recall (share of B's probes whose argmax over the concept's
    columns is B) when A's one-vs-rest weight direction w_A / |w_A| is removed and every
    fold refitted.

    Args:
      x: activations [N, d], one row a probe.
      labels: of the N probes.
      concept: whose classes are removed.
      alpha: ridge penalty.

    Returns:
      The crosstalk. Damage of a class without such a direction (the activations do not
      vary) is NaN.

    Raises:
      ValueError: for NaN or infinity in x, or a wrong shape.

    Example:
      >>> rows = [{"domain": "ab"[i % 2], "shape": i // 2 % 3} for i in range(24)]
      >>> labels = concepts.label_probes(rows, ("domain", "shape"))
      >>> x = np.random.default_rng(0).normal(size=(24, 8))
      >>> x[:, 0] += 20 * labels.codes[:, 0]
      >>> measured = crosstalk(x, labels)
      >>> measured.domains, measured.recall
      (('a', 'b'), [1.0, 1.0])
      >>> measured.pair("b", "a").a
      'a'
    """
    x = concepts.check_inputs(np.asarray(x)[None], labels)[0]
    j = labels.concepts.index(concept)
    columns, names = concepts.concept_columns(labels.sizes)[j], labels.classes[j]
    with ridge.float64_on_cpu():
        estimated = _estimate(
            jnp.asarray(ridge.centred_gram(x)),
            labels.codes,
            labels.sets,
            sizes=labels.sizes,
            columns=(columns.start, columns.stop),
            alpha=alpha,
        )
        of_all_probes, of_sets = jax.tree.map(np.asarray, estimated)
    return _collect(of_all_probes, of_sets, labels, names, len(x), alpha)


def _collect(
    of_all_probes, of_sets, labels: concepts.Labels, names, number: int, alpha: float
) -> Crosstalk:
    """The result from the damage of all probes and of every replicate set."""
    sets = 0 if labels.sets is None else len(labels.sets)
    over_sets, cells = _intervals(of_sets, names) if sets > 1 else ({}, {})
    if sets:
        values = {name: of_set.mean(0) for name, of_set in of_sets.items()}
        clipped = np.maximum(of_sets["raw"], 0).mean(0)
    else:
        values, clipped = of_all_probes, np.maximum(of_all_probes["raw"], 0)
    members = number // max(sets, 1)
    trace = float(values["trace"])
    scaled_alpha = float(values["alpha"]) * (members - 1)
    return Crosstalk(
        domains=names,
        recall=values["recall"].tolist(),
        damage=_damages(_matrices(values) | {"clipped": clipped}, names),
        intervals=over_sets,
        cells=cells,
        all_probes=AllProbes(
            of_all_probes["recall"].tolist(),
            _damages(_matrices(of_all_probes), names),
        ),
        probes=number,
        sets=sets,
        alpha=float(alpha),
        alpha_ratio=scaled_alpha / trace if trace else math.inf,
    )


def _damages(matrices: dict, names: tuple[str, ...]) -> dict[str, Damage]:
    return {
        kind: Damage(m.tolist(), _normalized(m).tolist(), pairs(m, names))
        for kind, m in matrices.items()
    }


@functools.partial(jax.jit, static_argnames=("sizes", "columns"))
def _estimate(gram, codes, sets, sizes, columns, alpha):
    """`_damage` of all probes together, and of every replicate set (None without)."""
    damage = functools.partial(_damage, sizes=sizes, columns=columns, alpha=alpha)
    of_all_probes = damage(gram, codes)
    if sets is None:
        return of_all_probes, None
    return of_all_probes, jax.lax.map(
        lambda members: damage(gram[members][:, members], codes[members]), sets
    )


def _damage(gram, codes, sizes, columns, alpha) -> dict[str, jax.Array]:
    """Recall [m], its drop and the margin's drop [m, m] for each removed class."""
    y = ridge.one_hot_labels(codes, sizes, gram.dtype)
    fit = ridge.fit(gram, y, sum(sizes) - len(sizes), alpha)
    of_concept = slice(*columns)
    member = y[:, of_concept]
    weight_squares = jnp.einsum("nc,nm,mc->c", fit.b, fit.gram, fit.b)[of_concept]
    exists = weight_squares > 1e-12 * weight_squares.max()
    lengths = jnp.sqrt(jnp.where(exists, weight_squares, 1))
    a = fit.b[:, of_concept] / lengths[None, :]
    predicted = ridge.refit_without(fit, a)[:, :, of_concept]
    recall, margin = _recall(fit.loo[:, of_concept], member)
    recall_after, margin_after = (
        jnp.where(exists[:, None], after, jnp.nan)
        for after in jax.vmap(_recall, in_axes=(0, None))(predicted, member)
    )
    return {
        "recall": recall,
        "raw": recall[None, :] - recall_after,
        "continuous": margin[None, :] - margin_after,
        "alpha": fit.alpha,
        "trace": jnp.trace(fit.gram),
    }


def _recall(scores, member) -> tuple[jax.Array, jax.Array]:
    """Recall [m] and mean margin [m] from scores [N, m] and one-hot members [N, m]."""
    share = member / member.sum(0, keepdims=True)
    hit = jax.nn.one_hot(scores.argmax(1), scores.shape[1], dtype=scores.dtype)
    best_other = jnp.where(member == 1, -jnp.inf, scores).max(1)
    margin = (scores * member).sum(1) - best_other
    return (share * hit * member).sum(0), share.T @ margin


def _matrices(estimated: dict) -> dict[str, np.ndarray]:
    """Damage of each kind, [m, m] or [R, m, m]."""
    return {
        "raw": estimated["raw"],
        "clipped": np.maximum(estimated["raw"], 0),
        "continuous": estimated["continuous"],
    }


def _intervals(of_sets: dict, names: tuple[str, ...]) -> tuple[dict, dict]:
    """`Crosstalk.intervals` and `Crosstalk.cells` from the sets' damage."""
    over_sets, cells = {}, {}
    for kind, damage in _matrices(of_sets).items():
        over_sets[kind] = _pair_intervals(damage, names)
        cells[kind] = {
            f"{a}>{b}": intervals.over_sets(damage[:, i, k])
            for i, a in enumerate(names)
            for k, b in enumerate(names)
        }
    return over_sets, cells


def _pair_intervals(
    damage: np.ndarray, names: tuple[str, ...]
) -> dict[str, dict[str, Interval]]:
    """Jackknife intervals of every pair's quantities from damage [R, m, m]."""
    estimates = pairs(damage.mean(0), names)
    leave_one_out = [
        pairs(np.delete(damage, r, axis=0).mean(0), names) for r in range(len(damage))
    ]
    over_sets = {}
    for i, pair in enumerate(estimates):
        of_pair = {
            quantity: intervals.jackknife(
                getattr(pair, quantity),
                [getattr(without_one[i], quantity) for without_one in leave_one_out],
            )
            for quantity in ("ct", "bdr", "lean")
        }
        of_pair["asymmetry"] = intervals.magnitude(of_pair["lean"], 1)
        over_sets[f"{pair.a}|{pair.b}"] = of_pair
    return over_sets


def _normalized(damage: np.ndarray) -> np.ndarray:
    """Damage [m, m] over the removed class's own; NaN where that is 0."""
    own = np.diag(damage)[:, None]
    return np.where(own != 0, damage / np.where(own != 0, own, 1), math.nan)


def pairs(damage: np.ndarray, names: tuple[str, ...]) -> list[Pair]:
    """CT, BDR and asymmetry (Definitions 1 and 2) of every two classes.

    Args:
      damage: D_AB [m, m], the row's class removed.
      names: of the m classes.

    Returns:
      m (m - 1) / 2 pairs.

    Example:
      >>> (pair,) = pairs(np.array([[0.5, 0.1], [0.0, 0.4]]), ("code", "math"))
      >>> round(pair.ct, 3), round(pair.bdr, 3), pair.asymmetry
      (0.1, 0.9, 1.0)
    """
    divided, every_pair = _normalized(damage), []
    for i, a in enumerate(names):
        for k in range(i + 1, len(names)):
            ab, ba = float(divided[i, k]), float(divided[k, i])
            own, cross = damage[i, i] + damage[k, k], damage[i, k] + damage[k, i]
            lean = _ratio(ab - ba, abs(ab) + abs(ba))
            bdr = _ratio(own, own + cross)
            every_pair.append(Pair(a, names[k], (ab + ba) / 2, bdr, lean, abs(lean)))
    return every_pair


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator != 0 else math.nan
