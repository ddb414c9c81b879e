"""CVO: overlap of two concepts' class-mean subspaces, cross-validated over sets."""

import dataclasses
import itertools
import math

import numpy as np

from jaxent.measure import concepts
from jaxent.stats import intervals

LEAST_SETS = 4  # an estimate takes four different sets at a time


@dataclasses.dataclass(frozen=True)
class Overlap:
    """The cross-validated overlap of one set of activations.

    Attributes:
      value: mean over pairs of concepts; NaN where undefined.
      pairs: [k, k], of every two concepts; None without enough sets.
      pseudo_values: the jackknife's [R]; None without one set more than enough.
      reason: why the value is undefined; None where it is defined.
    """

    value: float
    pairs: np.ndarray | None
    pseudo_values: np.ndarray | None
    reason: str | None


def measure_overlap(gram: np.ndarray, labels: concepts.Labels) -> Overlap:
    """CVO with its pseudo-values over replicate sets; gram as of `cross_products`."""
    sets = 0 if labels.sets is None else len(labels.sets)
    if sets < LEAST_SETS:
        too_few = f"{sets} replicate sets, expected {LEAST_SETS} or more"
        return Overlap(math.nan, None, None, too_few)
    inner = cross_products(gram, labels)
    pairs = cvo_matrix(inner, labels.sizes)
    value = mean_overlap(pairs)
    disagreement = (
        "the replicate sets do not agree on a concept's directions (Gamma not positive "
        "definite)"
    )
    return Overlap(
        value=value,
        pairs=pairs,
        pseudo_values=pseudo_values(inner, labels.sizes) if sets > LEAST_SETS else None,
        reason=disagreement if math.isnan(value) else None,
    )


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
      [k, k]; NaN on the diagonal and where a Gamma_jj is not positive definite: the
      sets do not agree on that concept's directions.

    Raises:
      ValueError: for fewer than four sets.
    """
    sets = len(inner)
    if sets < LEAST_SETS:
        raise ValueError(f"CVO of {sets} replicate sets: expected {LEAST_SETS} or more")
    gamma = (inner.sum((0, 1)) - np.trace(inner)) / (sets * (sets - 1))
    gamma = (gamma + gamma.T) / 2
    blocks = concepts.concept_columns(tuple(m - 1 for m in sizes))
    definite = [np.linalg.eigvalsh(gamma[p, p])[0] > 0 for p in blocks]
    r, s, t, u = np.array(list(itertools.permutations(range(sets), 4))).T
    cvo = np.full((len(sizes), len(sizes)), np.nan)
    for i, j in itertools.combinations(range(len(sizes)), 2):
        if definite[i] and definite[j]:
            a, b = blocks[i], blocks[j]
            left = np.linalg.solve(gamma[a, a], inner[r, s][:, a, b])
            right = np.linalg.solve(gamma[b, b], inner[t, u][:, b, a])
            total = np.einsum("qxy,qyx->", left, right) / len(r)
            cvo[i, j] = cvo[j, i] = total / min(sizes[i] - 1, sizes[j] - 1)
    return cvo


def mean_overlap(pairs: np.ndarray) -> float:
    """The mean over pairs of different concepts of [k, k]; NaN if any pair is."""
    return float(pairs[~np.eye(len(pairs), dtype=bool)].mean())


def pseudo_values(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Jackknife pseudo-values of the mean CVO over replicate sets.

    `intervals.over_sets` of them is its interval.

    Args:
      inner: [R, R, q, q], from `cross_products` of five sets or more.
      sizes: number of classes of each concept.

    Returns:
      [R]; NaN where CVO is undefined without a set.
    """
    leave_one_out = []
    for omitted in range(len(inner)):
        kept = [s for s in range(len(inner)) if s != omitted]
        pairs = cvo_matrix(inner[np.ix_(kept, kept)], sizes)
        leave_one_out.append(mean_overlap(pairs))
    estimate = mean_overlap(cvo_matrix(inner, sizes))
    return intervals.pseudo_values(estimate, leave_one_out)
