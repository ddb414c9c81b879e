"""CVO: overlap of two concepts' class-mean subspaces, cross-validated over sets."""

import dataclasses
import functools
import itertools
import math

import numpy as np

from jaxent.measure import concepts
from jaxent.stats import intervals

LEAST_SETS = 4  # an estimate takes four different sets at a time
LEAST_Z = 3.0  # of every Gamma_jj's smallest eigenvalue, below which CVO says nothing


@dataclasses.dataclass(frozen=True)
class Overlap:
    """The cross-validated overlap of one set of activations.

    Attributes:
      value: mean over pairs of concepts; NaN where undefined.
      pairs: [k, k], of every two concepts; NaN where undefined, None without enough
        sets.
      contributions: the sets' contributions [R] to the value, whose mean it is; None
        without one set more than enough, or where the value is undefined.
      z: [k], the jackknife z of each concept's smallest eigenvalue; None without enough
        sets.
      reason: why the value is undefined; None where it is defined.
    """

    value: float
    pairs: np.ndarray | None
    contributions: np.ndarray | None
    z: np.ndarray | None
    reason: str | None


def measure_overlap(gram: np.ndarray, labels: concepts.Labels) -> Overlap:
    """CVO with its sets' contributions; gram as of `cross_products`.

    It is defined where the sets agree on every concept's directions: the jackknife z of
    each Gamma_jj's smallest eigenvalue is 3 or more. Below, its bias and its spread
    have no bound.
    """
    sets = 0 if labels.sets is None else len(labels.sets)
    if sets < LEAST_SETS:
        too_few = f"{sets} replicate sets, expected {LEAST_SETS} or more"
        return Overlap(math.nan, None, None, None, too_few)
    inner = cross_products(gram, labels)
    z = agreement(inner, labels.sizes)
    weakest = int(np.argmin(z))
    if not z[weakest] >= LEAST_Z:
        reason = (
            f"the replicate sets do not agree on the directions of "
            f"{labels.concepts[weakest]} (z {z[weakest]:.1f}, expected {LEAST_Z:.0f} "
            "or more)"
        )
        k = len(labels.sizes)
        return Overlap(math.nan, np.full((k, k), np.nan), None, z, reason)
    pairs = cvo_matrix(inner, labels.sizes)
    value, contributions = mean_overlap(pairs), None
    if sets > LEAST_SETS:
        contributions = set_contributions(inner, labels.sizes)
    return Overlap(value, pairs, contributions, z, None)


def cross_products(gram: np.ndarray, labels: concepts.Labels) -> np.ndarray:
    """Inner products between the class-mean contrasts of replicate sets.

    Phi_r [q, d] holds each concept's orthonormal zero-sum contrasts of its class means
    in set r, q = sum of (classes - 1).

    Args:
      gram: inner products of the activations [N, N], about any origin.
      labels: of the N probes, with R replicate sets.

    Returns:
      [R, R, q, q], entry (r, s) is Phi_r Phi_s'.

    Raises:
      ValueError: without replicate sets.
    """
    if labels.sets is None:
        raise ValueError("labels without replicate sets: expected two sets or more")
    contrasts = np.zeros((len(labels.sets), _contrast_count(labels), len(gram)))
    for of_set, members in zip(contrasts, labels.sets):
        codes = labels.codes[members]
        of_set[:, members] = _class_mean_contrasts(codes, labels.sizes)
    return np.einsum("rqn,nm,spm->rsqp", contrasts, gram, contrasts, optimize=True)


def _contrast_count(labels: concepts.Labels) -> int:
    return sum(labels.sizes) - len(labels.sizes)


def _class_mean_contrasts(codes, sizes) -> np.ndarray:
    """Weights [q, n] of orthonormal contrasts of the class means of n probes."""
    rows = []
    for j, m in enumerate(sizes):
        member = codes[:, j] == np.arange(m)[:, None]
        rows.append(concepts.zero_sum_basis(m) @ (member / member.sum(1)[:, None]))
    return np.concatenate(rows)


def _gamma(inner: np.ndarray) -> np.ndarray:
    """Gamma [q, q], the mean over r != s of Phi_r Phi_s', made symmetric."""
    sets = len(inner)
    gamma = (inner.sum((0, 1)) - np.trace(inner)) / (sets * (sets - 1))
    return (gamma + gamma.T) / 2


def _blocks(sizes: tuple[int, ...]) -> list[slice]:
    """Each concept's contrasts among the q of all."""
    return concepts.concept_columns(tuple(m - 1 for m in sizes))


def _without_each(inner: np.ndarray) -> list[np.ndarray]:
    """`inner` without each set in turn: R of [R - 1, R - 1, q, q]."""
    every = range(len(inner))
    kept = [[s for s in every if s != omitted] for omitted in every]
    return [inner[np.ix_(k, k)] for k in kept]


def smallest_eigenvalues(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The smallest eigenvalue of each concept's Gamma_jj.

    Args:
      inner: [R, R, q, q], from `cross_products`.
      sizes: number of classes of each concept.

    Returns:
      [k]; 0 or less where the sets share no direction.
    """
    gamma = _gamma(inner)
    return np.array([np.linalg.eigvalsh(gamma[p, p])[0] for p in _blocks(sizes)])


def agreement(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """How surely every concept's class means span all their dimensions.

    The jackknife z of the smallest eigenvalue of each Gamma_jj: the eigenvalue over
    its standard error over sets.

    Args:
      inner: [R, R, q, q], from `cross_products` of three sets or more.
      sizes: number of classes of each concept.

    Returns:
      [k].
    """
    estimate = smallest_eigenvalues(inner, sizes)
    kept = np.stack([smallest_eigenvalues(i, sizes) for i in _without_each(inner)])
    error = np.sqrt(((kept - kept.mean(0)) ** 2).sum(0) * (1 - 1 / len(kept)))
    # Sets that are copies of one another have no spread; then the sign decides.
    return np.divide(estimate, error, out=np.sign(estimate) * math.inf, where=error > 0)


@functools.cache
def _all_different(sets: int) -> np.ndarray:
    """1 where r, s, t, u are four different sets, else 0: [R R, R R]."""
    pairs = np.array(list(itertools.product(range(sets), repeat=2)))
    r, s = pairs[:, :1], pairs[:, 1:]
    t, u = pairs[:, 0], pairs[:, 1]
    different = (r != s) & (t != u) & (r != t) & (r != u) & (s != t) & (s != u)
    return different.astype(float)


def cvo_matrix(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """CVO of every two concepts.

    Gamma = mean over r != s of Phi_r Phi_s', where the noise of different sets cancels,
    and CVO_jl = mean of tr(Gamma_jj^-1 P^rs_jl Gamma_ll^-1 P^tu_lj) / min(m_j - 1,
    m_l - 1) with P^rs = Phi_r Phi_s', over all r, s, t, u that are four different sets:
    the mean squared cosine of the principal angles between the two subspaces, whatever
    scale and noise. (With Gamma in place of P the noise would be squared, and concepts
    without overlap would seem to have some.) Small samples may leave [0, 1].

    Args:
      inner: [R, R, q, q], from `cross_products` of four sets or more.
      sizes: number of classes m_j of each concept.

    Returns:
      [k, k]; NaN on the diagonal and where a Gamma_jj is not positive definite.

    Raises:
      ValueError: for fewer than four sets.
    """
    sets = len(inner)
    if sets < LEAST_SETS:
        raise ValueError(f"CVO of {sets} replicate sets: expected {LEAST_SETS} or more")
    gamma, blocks = _gamma(inner), _blocks(sizes)
    definite = smallest_eigenvalues(inner, sizes) > 0
    different = _all_different(sets)
    cvo = np.full((len(sizes), len(sizes)), np.nan)
    for i, j in itertools.combinations(range(len(sizes)), 2):
        if definite[i] and definite[j]:
            a, b = blocks[i], blocks[j]
            left = np.linalg.solve(gamma[a, a], inner[:, :, a, b])
            right = np.linalg.solve(gamma[b, b], inner[:, :, b, a]).swapaxes(-1, -2)
            left, right = left.reshape(sets**2, -1), right.reshape(sets**2, -1)
            total = (left * (different @ right)).sum() / different.sum()
            cvo[i, j] = cvo[j, i] = total / min(sizes[i] - 1, sizes[j] - 1)
    return cvo


def mean_overlap(pairs: np.ndarray) -> float:
    """The mean over pairs of different concepts of [k, k]; NaN if any pair is."""
    return float(pairs[~np.eye(len(pairs), dtype=bool)].mean())


def leave_one_out(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The mean CVO without each set.

    Args:
      inner: [R, R, q, q], from `cross_products` of five sets or more.
      sizes: number of classes of each concept.

    Returns:
      [R]; NaN where CVO is undefined without a set.
    """
    without = [cvo_matrix(kept, sizes) for kept in _without_each(inner)]
    return np.array([mean_overlap(pairs) for pairs in without])


def set_contributions(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The sets' contributions to the mean CVO: `intervals.contributions` of it.

    Args:
      inner: [R, R, q, q], from `cross_products` of five sets or more.
      sizes: number of classes of each concept.

    Returns:
      [R], whose mean is the mean CVO; NaN where CVO is undefined without a set.
    """
    estimate = mean_overlap(cvo_matrix(inner, sizes))
    return intervals.contributions(estimate, leave_one_out(inner, sizes))
