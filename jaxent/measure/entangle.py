"""Removal damage and entanglement intensity (sections 2.1 and 3.2)."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.measure import ridge

LEAST_FLIPS = 10  # own-concept flips below which a ratio says nothing


@dataclasses.dataclass(frozen=True)
class Labels:
    """Class codes [N, k] of k concepts, with the concepts' names and their classes' names."""

    concepts: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]
    codes: np.ndarray

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(map(len, self.classes))


def labels(rows: list[dict], concepts: tuple[str, ...] = ("domain", "register", "shape")) -> Labels:
    """Labels from one dict a probe; every concept needs two classes or more."""
    classes = tuple(tuple(sorted({row[c] for row in rows})) for c in concepts)
    for concept, found in zip(concepts, classes):
        if len(found) < 2:
            raise ValueError(f"concept {concept!r} has {len(found)} class ({', '.join(found)}): expected two or more")
    codes = np.array([[classes[j].index(row[c]) for j, c in enumerate(concepts)] for row in rows])
    return Labels(concepts, classes, codes)


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Literal EI of one set of activations and what it rests on.

    ei: off_flips / own_flips, NaN with a `reason` when own_flips < 10. ei_bound: 95% upper bound
    3 / own_flips when no off-concept prediction flipped, else None. v_purity, accuracy per concept;
    damage [r, k] accuracy drops (unclipped); own [r]; singular [r]; alpha and alpha_ratio =
    alpha (N - 1) / tr G (the penalty is not scale free).
    """

    ei: float
    reason: str | None
    own_flips: int
    off_flips: int
    ei_bound: float | None
    v_purity: float
    accuracy: dict[str, float]
    damage: list[list[float]]
    own: list[int]
    singular: list[float]
    probes: int
    alpha: float
    alpha_ratio: float

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def measure(x: np.ndarray, given: Labels, alpha: float = 1.0) -> Measurement:
    """The paper's EI (one global SVD; each fold refitted with the direction removed; cells clipped at 0).

    x: activations [N, d] from any model, one row a probe. D_ij = accuracy of concept j before minus
    after removing direction i; own(i) = the concept with the largest share of V_i; EI = sum of off-own
    damage over sum of own damage. Raises ValueError for NaN or infinity in x or a wrong shape.

    >>> rng = np.random.default_rng(0)
    >>> rows = [{"color": c, "size": s} for c in "rgb" for s in "SL" for _ in range(20)]
    >>> x = np.array([[r["color"] == "r", r["color"] == "g", r["size"] == "S"] for r in rows], float)
    >>> found = measure(x + 0.3 * rng.normal(size=x.shape), labels(rows, ("color", "size")))
    >>> found.accuracy["size"] > 0.9, found.probes
    (True, 120)
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[0] != len(given.codes):
        raise ValueError(f"activations of shape {x.shape}: expected [{len(given.codes)}, d], one row a label")
    if not np.isfinite(x).all():
        raise ValueError(f"activations of probe {int(np.flatnonzero(~np.isfinite(x).all(1))[0])} hold NaN or infinity")
    with ridge.exact():
        found = _measure(jnp.asarray(x), jnp.asarray(given.codes), given.sizes, alpha)
        found = jax.tree.map(np.asarray, found)
    return _summary(*found, given, alpha)


@functools.partial(jax.jit, static_argnames=("sizes",))
def _measure(x, codes, sizes, alpha):
    """(right before [N,k], right after [r,N,k], v [r,c], singular [r], trace of G)."""
    y = jnp.concatenate([jax.nn.one_hot(codes[:, j], m, dtype=x.dtype) for j, m in enumerate(sizes)], axis=1)
    fit = ridge.fit(x, y, sum(sizes) - len(sizes), alpha)
    after = jax.vmap(lambda a: _right(ridge.without(fit, y, a), codes, sizes))(fit.a.T)
    return _right(fit.loo, codes, sizes), after, fit.v, fit.singular, jnp.trace(fit.gram)


def _columns(sizes) -> list[slice]:
    ends = np.cumsum(sizes)
    return [slice(int(e - m), int(e)) for e, m in zip(ends, sizes)]


def _right(predicted, codes, sizes):
    """Whether each probe's argmax over each concept's columns is its class: bool [N, k]."""
    best = [predicted[:, part].argmax(1) for part in _columns(sizes)]
    return jnp.stack(best, 1) == codes


def _summary(before, after, v, singular, trace, given: Labels, alpha) -> Measurement:
    n, accuracy = len(before), before.mean(0)
    shares = np.stack([(v[:, part] ** 2).sum(1) for part in _columns(given.sizes)], 1)
    own = shares.argmax(1)
    flips = before.sum(0) - after.sum(1)  # [r, k]
    clipped = np.maximum(flips, 0)
    own_flips = int(clipped[np.arange(len(own)), own].sum())
    off_flips = int(clipped.sum()) - own_flips
    rank = sum(given.sizes) - len(given.sizes)
    informative = int((singular > 1e-6 * singular[0]).sum())
    reason = None
    if informative < rank:
        reason = f"{informative} informative directions, expected {rank}: the activations do not span the labels"
    elif own_flips < LEAST_FLIPS:
        reason = f"{own_flips} own-concept flips, fewer than {LEAST_FLIPS}"
    return Measurement(
        ei=math.nan if reason else off_flips / own_flips,
        reason=reason,
        own_flips=own_flips,
        off_flips=off_flips,
        ei_bound=3 / own_flips if off_flips == 0 and not reason else None,
        v_purity=math.nan if informative < rank else float((shares.max(1) / shares.sum(1)).mean()),
        accuracy={c: float(a) for c, a in zip(given.concepts, accuracy)},
        damage=(flips / n).tolist(),
        own=own.tolist(),
        singular=singular.tolist(),
        probes=n,
        alpha=float(alpha),
        alpha_ratio=float(alpha * (n - 1) / trace) if trace > 0 else math.inf,
    )
