"""CVO: how much the class-mean subspaces of two concepts overlap, cross-validated over replicate sets."""

import itertools

import numpy as np

from jaxent.measure import concepts
from jaxent.stats import intervals

LEAST_SETS = 4  # an estimate takes four different sets at a time


def cross_products(x: np.ndarray, labels: concepts.Labels) -> np.ndarray:
    """Inner products [R,R,q,q] between the class-mean contrasts of replicate sets, q = sum of (classes - 1).

    Phi_r [q,d] holds each concept's orthonormal zero-sum contrasts of its class means in set r; entry
    (r, s) is Phi_r Phi_s'. x: activations [N,d].
    """
    phi = np.stack(
        [
            _contrasts(x[members], labels.codes[members], labels.sizes)
            for members in labels.sets
        ]
    )
    return np.einsum("rqd,spd->rsqp", phi, phi, optimize=True)


def _contrasts(x, codes, sizes) -> np.ndarray:
    rows = []
    for j, m in enumerate(sizes):
        means = np.stack([x[codes[:, j] == k].mean(0) for k in range(m)])
        rows.append(concepts.zero_sum_basis(m) @ means)
    return np.concatenate(rows)


def cvo_matrix(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """CVO [k,k] of every two concepts from `products` of four sets or more; NaN on the diagonal and where undefined.

    Gamma = mean over r != s of Phi_r Phi_s', where the noise of different sets cancels, and
    CVO_jl = mean of tr(Gamma_jj^-1 P^rs_jl Gamma_ll^-1 P^tu_lj) / min(m_j - 1, m_l - 1) with P^rs = Phi_r Phi_s', over
    all r, s, t, u that are four different sets: the mean squared cosine of the principal angles between
    the two subspaces, whatever scale and noise. (With Gamma in place of P the noise would be squared, and
    concepts without overlap would seem to have some.) Small samples may leave [0, 1]. NaN where a Gamma_jj
    is not positive definite: the sets do not agree on that concept's directions.
    """
    sets = len(inner)
    if sets < LEAST_SETS:
        raise ValueError(f"CVO of {sets} replicate sets: expected {LEAST_SETS} or more")
    gamma = (inner.sum((0, 1)) - np.trace(inner)) / (sets * (sets - 1))
    gamma = (gamma + gamma.T) / 2
    ends = np.cumsum([m - 1 for m in sizes])
    parts = [slice(e - m + 1, e) for e, m in zip(ends, sizes)]
    sound = [np.linalg.eigvalsh(gamma[p, p])[0] > 0 for p in parts]
    r, s, t, u = np.array(list(itertools.permutations(range(sets), 4))).T
    found = np.full((len(sizes), len(sizes)), np.nan)
    for j, l in itertools.combinations(range(len(sizes)), 2):
        if sound[j] and sound[l]:
            a, b = parts[j], parts[l]
            left = np.linalg.solve(gamma[a, a], inner[r, s][:, a, b])
            right = np.linalg.solve(gamma[b, b], inner[t, u][:, b, a])
            total = np.einsum("qxy,qyx->", left, right) / len(r)
            found[j, l] = found[l, j] = total / min(sizes[j] - 1, sizes[l] - 1)
    return found


def mean_overlap(pairs: np.ndarray) -> float:
    """The mean over pairs of different concepts of a [k,k] matrix; NaN if any pair is."""
    return float(pairs[~np.eye(len(pairs), dtype=bool)].mean())


def pseudo_values(inner: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The mean CVO's jackknife pseudo-values [R] over replicate sets (five or more); NaN where undefined without a set.

    `intervals.over_sets` of them is its interval.
    """
    sets = range(len(inner))
    kept = [[s for s in sets if s != left] for left in sets]
    without_one = [mean_overlap(cvo_matrix(inner[np.ix_(k, k)], sizes)) for k in kept]
    return intervals.pseudo_values(mean_overlap(cvo_matrix(inner, sizes)), without_one)
