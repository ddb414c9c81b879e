"""Removal damage and entanglement: the paper's EI (sections 2.1 and 3.2), and estimators that measure what it means to.

EI          off-own over own accuracy damage, one global SVD, folds refitted    the paper's, for comparison
nested EI   the same with every fold's own directions                           no direction has seen its probe
SEI         off-own over own rise of R^2 loss, whole concept subspaces          no floor at zero, no false overlap
overlap     mean cos^2 of the angles between the concepts' weight subspaces
CVO         the same between class-mean subspaces, cross-validated over sets    free of noise and scale: trust this one
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.measure import concepts, overlap, ridge
from jaxent.stats import intervals

LEAST_FLIPS = 10  # own-concept flips below which a ratio of flips says nothing
LEAST_RISE = 0.01  # own rise of the R^2 loss, all concepts together, below which their ratio says nothing
_RANDOM = 32  # random directions whose removal is the baseline of damage


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Everything measured on one set of activations; see the module's table for the estimators.

    ei, nested_ei, sei, overlap, cvo, v_purity: NaN where undefined, the reason in `reasons`.
    own_flips, off_flips: EI's denominator and numerator, probes whose prediction became wrong;
    nested_own_flips, nested_off_flips: the nested EI's. ei_bound: 95% upper bound 3 / own_flips when
    no off-concept prediction flipped but an own one did, else None. structural_ratio: (r - d_max) / d_max of the theorem, r
    directions, d_max those of the largest concept: of the design alone, 1.67 for classes (3, 4, 4), whatever the model.
    v_purity_null: mean and SD of random loadings'.
    accuracy, r2: leave-one-out, per concept. margins: (m-1)-th squared singular value of the class
    means weighted by class size, over tr G / N; `weakest` is the concept with the smallest, weakest_sets in how many
    sets each is. structural_zeros: the m-th, 0 but for rounding, since centred class means sum to zero.
    damage [r][k]: accuracy lost by concept k when direction r is removed (unclipped), own [r] its own concept, singular [r].
    concept_damage [k][k]: mean of damage over the directions that row's concept owns, NaN if it owns none;
    random_damage: per concept, the mean over random directions of the activations' span. Damage of a direction that the
    activations do not have (singular value below 1e-6 of the largest) is NaN.
    rise, overlaps, cvos [k][k]: SEI's, overlap's and CVO's matrices; rise[j][l] is concept l's when j is removed.
    set_values: single numbers set by set (accuracy.shape, margin.shape, damage.shape.domain, ...); of cvo, which needs several
        sets at once, the jackknife's pseudo-values.
    intervals: over replicate sets, of the mean of a set's values (which differs from the value on all probes: those are
    more); EI's and nested EI's of the sets' flips added up, CVO's of itself, both by jackknife.
    alpha: the penalty; alpha_ratio: alpha (N - 1) / tr G, which says how strong it is.
    """

    ei: float
    nested_ei: float
    sei: float
    overlap: float
    cvo: float
    v_purity: float
    v_purity_null: tuple[float, float]
    reasons: dict[str, str]
    own_flips: int
    off_flips: int
    ei_bound: float | None
    structural_ratio: float
    nested_own_flips: int
    nested_off_flips: int
    accuracy: dict[str, float]
    r2: dict[str, float]
    margins: dict[str, float]
    weakest: str
    weakest_sets: dict[str, int]
    structural_zeros: dict[str, float]
    damage: list[list[float]]
    concept_damage: list[list[float]]
    own: list[int]
    singular: list[float]
    random_damage: dict[str, float]
    rise: list[list[float]]
    overlaps: list[list[float]]
    cvos: list[list[float]] | None
    intervals: dict[str, intervals.Interval]
    set_values: dict[str, list[float]]
    probes: int
    sets: int
    alpha: float
    alpha_ratio: float

    def to_json(self) -> dict:
        """Plain values; NaN and infinity become None, which JSON lacks."""
        return concepts.to_plain(dataclasses.asdict(self))


def measure(
    x: np.ndarray,
    labels: concepts.Labels | list[dict],
    alpha: float | None = None,
    scale_free: bool = False,
) -> Measurement:
    """Measures activations x [N, d] of any model, one row a probe, against the probes' labels.

    labels: `concepts.label_probes(rows)`, or the rows themselves: dicts with the keys domain, register, shape
    and, for CVO and the intervals, replicate. alpha: ridge penalty, 1 by default; with scale_free the penalty is
    alpha tr(G) / (N - 1), alpha 0.1 by default.
    Raises ValueError for NaN or infinity in x, a wrong shape, or a single concept.

    >>> rng = np.random.default_rng(0)
    >>> rows = [{"color": c, "size": s, "replicate": r} for r in range(8) for c in "rgb" for s in "SL"]
    >>> x = np.array([[r["color"] == "r", r["color"] == "g", r["size"] == "S"] for r in rows], float)
    >>> found = measure(x + 0.3 * rng.normal(size=x.shape), concepts.label(rows, ("color", "size")))
    >>> found.accuracy["size"] > 0.9, found.probes, found.sets, abs(found.cvo) < 0.1
    (True, 48, 8, True)
    """
    return measure_layers(np.asarray(x)[None], labels, alpha, scale_free)[0]


def measure_layers(
    x: np.ndarray,
    labels: concepts.Labels | list[dict],
    alpha: float | None = None,
    scale_free: bool = False,
):
    """`measure` of every layer of x [L, N, d] in one jitted call: a list of L Measurements."""
    alpha = (0.1 if scale_free else 1.0) if alpha is None else alpha
    labels = (
        labels if isinstance(labels, concepts.Labels) else concepts.label_probes(labels)
    )
    if len(labels.concepts) < 2:
        raise ValueError(
            f"1 concept ({labels.concepts[0]}): expected two or more, for entanglement is between concepts"
        )
    x = concepts.check_inputs(x, labels)
    with ridge.exact():
        every = _estimates(
            jnp.asarray(x), labels.codes, labels.sets, labels.sizes, alpha, scale_free
        )
        every = jax.tree.map(np.asarray, every)
    at = lambda tree, *index: jax.tree.map(lambda leaf: leaf[index], tree)
    sets = 0 if labels.sets is None else len(labels.sets)
    return [
        _summary(
            at(every[0], layer),
            [at(every[1], layer, r) for r in range(sets)],
            x[layer],
            labels,
        )
        for layer in range(len(x))
    ]


@functools.partial(jax.jit, static_argnames=("sizes", "scale_free"))
def _estimates(x, codes, sets, sizes, alpha, scale_free):
    """`_estimate` of every layer's probes together, and of every replicate set (None without sets)."""
    one = functools.partial(_estimate, sizes=sizes, alpha=alpha, scale_free=scale_free)
    whole = jax.lax.map(lambda layer: one(layer, codes), x)
    if sets is None:
        return whole, None
    by_set = lambda layer: jax.lax.map(
        lambda members: one(layer[members], codes[members]), sets
    )
    return whole, jax.lax.map(by_set, x)


def _estimate(x, codes, sizes, alpha, scale_free) -> dict:
    """All that is measured on one set of probes, as arrays."""
    y = jnp.concatenate(
        [jax.nn.one_hot(codes[:, j], m, dtype=x.dtype) for j, m in enumerate(sizes)],
        axis=1,
    )
    rank, n = sum(sizes) - len(sizes), len(x)
    fit = ridge.fit(x, y, rank, alpha, scale_free)
    right = lambda predicted: _right(predicted, codes, sizes)
    before = right(fit.loo).astype(jnp.int64)
    removed = lambda a: right(ridge.without(fit, a[:, None])).sum(0)
    after = jax.lax.map(removed, fit.a.T)
    fold_predictions, fold_v = ridge.nested(fit, rank)
    fold_right = jax.vmap(right, in_axes=1, out_axes=1)(fold_predictions)  # [N,r,k]
    fold_own = jax.nn.one_hot(
        concepts.dominant_concept(fold_v, sizes)[0], len(sizes), dtype=jnp.int64
    )
    spans = [
        ridge.span(fit, part, m - 1)
        for part, m in zip(concepts.concept_columns(sizes), sizes)
    ]
    random = ridge.random_directions(fit, jax.random.key(0), _RANDOM)
    trace = jnp.trace(fit.gram)
    base_loss = _loss(fit.loo, y, sizes)
    losses = jnp.stack([_loss(ridge.projected(fit, a), y, sizes) for a in spans])
    least = _least(fit.gram, codes, sizes)
    angles = [
        [((a.T @ fit.gram @ b) ** 2).sum() / min(a.shape[1], b.shape[1]) for b in spans]
        for a in spans
    ]
    return {
        "before": before.sum(0),
        "accuracy": before.sum(0) / n,
        "after": after,
        "damage": jnp.where(
            (fit.singular > 1e-6 * fit.singular[0])[:, None],
            (before.sum(0) - after) / n,
            jnp.nan,
        ),
        "v": fit.v,
        "singular": fit.singular,
        "nested": jnp.einsum("nrj,nrk->jk", fold_own, before[:, None, :] - fold_right),
        "random": jnp.where(
            trace > 0,
            (before.sum(0) - jax.lax.map(removed, random.T).mean(0)) / n,
            jnp.nan,
        ),
        "r2": 1 - base_loss,
        "rise": losses - base_loss,
        "overlaps": jnp.array(angles),
        "zeros": least[:, 0] / (trace / n),
        "margins": least[:, 1] / (trace / n),
        "alpha": fit.alpha,
        "alpha_ratio": fit.alpha * (n - 1) / trace,
    }


def _right(predicted, codes, sizes):
    """Whether each probe's argmax over each concept's columns is its class: bool [N, k]."""
    best = [predicted[:, part].argmax(1) for part in concepts.concept_columns(sizes)]
    return jnp.stack(best, 1) == codes


def _loss(predicted, y, sizes):
    """1 - R^2 of each concept's columns together: [k]."""
    ratio = lambda part: (
        ((y - predicted)[:, part] ** 2).sum() / ((y - y.mean(0))[:, part] ** 2).sum()
    )
    return jnp.stack([ratio(part) for part in concepts.concept_columns(sizes)])


def _least(gram, codes, sizes):
    """The m-th and (m-1)-th squared singular values of sqrt(n_class / N) (class mean - mean), each concept: [k,2]."""
    found = []
    for j, m in enumerate(sizes):
        member = jax.nn.one_hot(codes[:, j], m, dtype=gram.dtype)
        weighted = member / jnp.sqrt(
            len(codes) * jnp.maximum(member.sum(0), 1)
        )  # [N,m]
        found.append(jnp.linalg.eigvalsh(weighted.T @ gram @ weighted)[:2])
    return jnp.stack(found)


def _summary(
    whole: dict, by_set: list[dict], x, labels: concepts.Labels
) -> Measurement:
    values, reasons = _values(whole, labels)
    set_values = [_values(one, labels)[0] for one in by_set]
    per_set = (
        {name: [v[name] for v in set_values] for name in values} if set_values else {}
    )
    cvos, values["cvo"] = None, math.nan
    spread = _spread(per_set)
    if len(by_set) < overlap.LEAST_SETS:
        reasons["cvo"] = (
            f"{len(by_set)} replicate sets, expected {overlap.LEAST_SETS} or more"
        )
    else:
        inner = overlap.cross_products(x, labels)
        cvos = overlap.cvo_matrix(inner, labels.sizes)
        values["cvo"] = overlap.mean_overlap(cvos)
        if math.isnan(values["cvo"]):
            reasons["cvo"] = (
                "the replicate sets do not agree on a concept's directions (Gamma not positive definite)"
            )
        if len(by_set) > overlap.LEAST_SETS:
            per_set["cvo"] = overlap.pseudo_values(inner, labels.sizes).tolist()
            spread["cvo"] = intervals.over_sets(per_set["cvo"])
    if len(by_set) == 1:
        reasons["intervals"] = "1 replicate set, expected two or more"
    for name, found in spread.items() if len(by_set) > 1 else ():
        if math.isnan(found.low):
            alone = name in per_set and name not in (
                "ei",
                "nested_ei",
                "cvo",
            )  # these take several sets together
            undefined = (
                f"in {np.isnan(per_set[name]).sum()} of {len(by_set)}"
                if alone
                else "without one of the"
            )
            reasons[f"intervals.{name}"] = (
                f"the value is undefined {undefined} replicate sets"
            )
    null = concepts.random_purity(labels.sizes)
    weakest = np.array(
        [np.argmin([v[f"margin.{c}"] for c in labels.concepts]) for v in set_values]
    )
    named = lambda numbers: {
        c: number.item() for c, number in zip(labels.concepts, numbers)
    }
    return Measurement(
        **{
            name: values[name]
            for name in (
                "ei",
                "nested_ei",
                "sei",
                "overlap",
                "cvo",
                "v_purity",
                "alpha_ratio",
            )
        },
        **{
            name: int(values[name])
            for name in (
                "own_flips",
                "off_flips",
                "nested_own_flips",
                "nested_off_flips",
            )
        },
        v_purity_null=(float(null.mean()), float(null.std())),
        reasons=reasons,
        ei_bound=3 / values["own_flips"]
        if values["off_flips"] == 0 and values["own_flips"] > 0
        else None,
        structural_ratio=(sum(labels.sizes) - len(labels.sizes))
        / (max(labels.sizes) - 1)
        - 1,
        accuracy=named(whole["accuracy"]),
        r2=named(whole["r2"]),
        margins=named(whole["margins"]),
        weakest=labels.concepts[int(np.argmin(whole["margins"]))],
        weakest_sets=named(
            np.array([(weakest == j).sum() for j in range(len(labels.sizes))])
        ),
        structural_zeros=named(whole["zeros"]),
        damage=whole["damage"].tolist(),
        concept_damage=_by_concept(whole, labels).tolist(),
        own=concepts.dominant_concept(whole["v"], labels.sizes)[0].tolist(),
        singular=whole["singular"].tolist(),
        random_damage=named(whole["random"]),
        rise=whole["rise"].tolist(),
        overlaps=whole["overlaps"].tolist(),
        cvos=None if cvos is None else cvos.tolist(),
        intervals=spread,
        set_values=per_set,
        probes=len(x),
        sets=len(by_set),
        alpha=float(whole["alpha"]),
    )


def _spread(per_set: dict[str, list[float]]) -> dict[str, intervals.Interval]:
    """Intervals over sets of the values of each; ratios of flips from the flips, which single sets have too few of."""
    found = {
        name: intervals.over_sets(v)
        for name, v in per_set.items()
        if not name.endswith("flips")
    }
    for name, prefix in (("ei", ""), ("nested_ei", "nested_")) if per_set else ():
        off, own = per_set[f"{prefix}off_flips"], per_set[f"{prefix}own_flips"]
        found[name] = intervals.ratio(off, own, LEAST_FLIPS)
    return found


def _by_concept(one: dict, labels: concepts.Labels) -> np.ndarray:
    """Mean accuracy lost [k,k] by the column's concept over the directions that the row's owns; NaN if it owns none."""
    owned = np.eye(len(labels.sizes))[
        :, concepts.dominant_concept(one["v"], labels.sizes)[0]
    ]  # [k,r]
    number = owned.sum(1, keepdims=True)
    return np.where(number > 0, owned @ one["damage"] / np.maximum(number, 1), math.nan)


def _values(
    one: dict, labels: concepts.Labels
) -> tuple[dict[str, float], dict[str, str]]:
    """The single numbers of one set of probes, and why those that are NaN are undefined."""
    rank, k = sum(labels.sizes) - len(labels.sizes), len(labels.sizes)
    informative = int((one["singular"] > 1e-6 * one["singular"][0]).sum())
    flips = np.maximum(one["before"] - one["after"], 0)
    own = int(
        flips[
            np.arange(len(flips)), concepts.dominant_concept(one["v"], labels.sizes)[0]
        ].sum()
    )
    nested = np.maximum(one["nested"], 0)
    nested_own = int(np.trace(nested))
    rise_own = float(np.trace(one["rise"]))
    values = {
        "ei": (int(flips.sum()) - own) / own if own else math.nan,
        "nested_ei": (int(nested.sum()) - nested_own) / nested_own
        if nested_own
        else math.nan,
        "sei": (float(one["rise"].sum()) - rise_own) / rise_own
        if rise_own > 0
        else math.nan,
        "overlap": float(
            (one["overlaps"].sum() - np.trace(one["overlaps"])) / (k * k - k)
        ),
        "v_purity": float(concepts.dominant_concept(one["v"], labels.sizes)[1].mean()),
    }
    reasons = {}
    if own < LEAST_FLIPS:
        reasons["ei"] = f"{own} own-concept flips, fewer than {LEAST_FLIPS}"
    if nested_own < LEAST_FLIPS:
        reasons["nested_ei"] = (
            f"{nested_own} own-concept flips, fewer than {LEAST_FLIPS}"
        )
    if rise_own < LEAST_RISE:
        reasons["sei"] = (
            f"R^2 loss rises by {rise_own:.4f} where a concept's own subspace is removed, less than {LEAST_RISE}"
        )
    if informative < rank:
        own, nested_own, flips, nested = (
            0,
            0,
            0 * flips,
            0 * nested,
        )  # of directions that are not there
        reason = f"{informative} informative directions, expected {rank}: the activations do not span the labels"
        reasons = dict.fromkeys(values, reason)
    counts = {
        "own_flips": own,
        "off_flips": int(flips.sum()) - own,
        "nested_own_flips": nested_own,
        "nested_off_flips": int(nested.sum()) - nested_own,
    }
    return values | dict.fromkeys(reasons, math.nan) | counts | _always(
        one, labels
    ), reasons


def _always(one: dict, labels: concepts.Labels) -> dict[str, float]:
    """The single numbers that no count of flips makes undefined, by their dotted names."""
    per_concept = {
        "accuracy": one["accuracy"],
        "margin": one["margins"],
        "random_damage": one["random"],
    }
    found = {
        f"{name}.{c}": float(v)
        for name, numbers in per_concept.items()
        for c, v in zip(labels.concepts, numbers)
    }
    for a, row in zip(labels.concepts, _by_concept(one, labels)):
        found |= {f"damage.{a}.{b}": float(v) for b, v in zip(labels.concepts, row)}
    return found | {"alpha_ratio": float(one["alpha_ratio"])}
