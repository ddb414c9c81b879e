"""The measurement written as its definition.

scikit-learn's Ridge is refitted for every fold and direction; bases are dense.
"""

import numpy as np
from sklearn import linear_model


def one_hot(codes, sizes):
    return np.concatenate([np.eye(m)[codes[:, j]] for j, m in enumerate(sizes)], 1)


def parts(sizes):
    ends = np.cumsum(sizes)
    return [slice(e - m, e) for e, m in zip(ends, sizes)]


def right(predicted, codes, sizes):
    return np.stack([predicted[:, p].argmax(1) for p in parts(sizes)], 1) == codes


def ridge(x, y, alpha):
    return linear_model.Ridge(alpha, solver="svd").fit(x, y)


def loo(x, y, alpha=1.0):
    out = np.zeros(y.shape)
    for n in range(len(x)):
        rest = np.arange(len(x)) != n
        out[n] = ridge(x[rest], y[rest], alpha).predict(x[n : n + 1])[0]
    return out


def svd(x, y, alpha, rank):
    u, s, vt = np.linalg.svd(ridge(x, y, alpha).coef_.T, full_matrices=False)
    return u[:, :rank], s[:rank], vt[:rank]


def drop(x, u):
    """x with the orthonormal columns of u [d, s] projected out."""
    return x - (x @ u) @ u.T


def owner(loadings, sizes):
    return int(np.argmax([(loadings[p] ** 2).sum() for p in parts(sizes)]))


def literal(x, codes, sizes, alpha=1.0):
    """(right before [k], right after each direction's removal [r, k], own concepts)."""
    y, rank = one_hot(codes, sizes), sum(sizes) - len(sizes)
    u, _, v = svd(x, y, alpha, rank)
    after = [
        right(loo(drop(x, u[:, [i]]), y, alpha), codes, sizes).sum(0)
        for i in range(rank)
    ]
    return (
        right(loo(x, y, alpha), codes, sizes).sum(0),
        np.array(after),
        [owner(row, sizes) for row in v],
    )


def nested(x, codes, sizes, alpha=1.0):
    """Flips [dominant concept, concept]; each fold removes its own fit's directions."""
    y, rank, k = one_hot(codes, sizes), sum(sizes) - len(sizes), len(sizes)
    before = right(loo(x, y, alpha), codes, sizes)
    flips = np.zeros((k, k), int)
    for n in range(len(x)):
        rest = np.arange(len(x)) != n
        u, s, v = svd(x[rest], y[rest], alpha, rank)
        for i in np.flatnonzero(s > 1e-6 * s[0]):
            z = drop(x, u[:, [i]])
            hit = right(
                ridge(z[rest], y[rest], alpha).predict(z[[n]]), codes[[n]], sizes
            )[0]
            flips[owner(v[i], sizes)] += before[n].astype(int) - hit
    return flips


def losses(predicted, y, sizes):
    total = ((y - y.mean(0)) ** 2).sum(0)
    return np.array(
        [((y - predicted)[:, p] ** 2).sum() / total[p].sum() for p in parts(sizes)]
    )


def spans(x, codes, sizes, alpha=1.0):
    """An orthonormal basis [d, m - 1 or fewer] of each concept's columns of W."""
    w = ridge(x, one_hot(codes, sizes), alpha).coef_.T
    least, found = 1e-6 * np.linalg.norm(w, 2), []
    for p, m in zip(parts(sizes), sizes):
        u, s, _ = np.linalg.svd(w[:, p], full_matrices=False)
        found.append(u[:, : m - 1][:, s[: m - 1] > least])
    return found


def rise(x, codes, sizes, alpha=1.0):
    """Rise [j, l] of concept l's LOO R^2 loss, j's span removed at test time only."""
    y = one_hot(codes, sizes)
    base = losses(loo(x, y, alpha), y, sizes)
    found = []
    for u in spans(x, codes, sizes, alpha):
        predicted = np.zeros(y.shape)
        for n in range(len(x)):
            rest = np.arange(len(x)) != n
            fit, centre = ridge(x[rest], y[rest], alpha), x[rest].mean(0)
            predicted[n] = fit.predict(centre + drop((x[n] - centre)[None], u))[0]
        found.append(losses(predicted, y, sizes) - base)
    return np.array(found)


def overlaps(x, codes, sizes, alpha=1.0):
    bases = spans(x, codes, sizes, alpha)
    return np.array(
        [
            [(np.linalg.svd(a.T @ b, compute_uv=False) ** 2).mean() for b in bases]
            for a in bases
        ]
    )


def margins(x, codes, sizes):
    x = x - x.mean(0)
    found = []
    for j, m in enumerate(sizes):
        share = [(codes[:, j] == k).mean() for k in range(m)]
        means = np.stack(
            [np.sqrt(share[k]) * x[codes[:, j] == k].mean(0) for k in range(m)]
        )
        found.append(
            np.linalg.svd(means, compute_uv=False)[m - 2] ** 2 / ((x**2).sum() / len(x))
        )
    return np.array(found)


def cvo(x, labels):
    """The quadruple loop of the definition, with a contrast basis of its own."""
    k, sizes = len(labels.sizes), labels.sizes
    basis = [np.linalg.qr(np.eye(m) - 1 / m)[0][:, : m - 1].T for m in sizes]
    phi = [
        [
            basis[j]
            @ np.stack(
                [
                    x[members][labels.codes[members][:, j] == c].mean(0)
                    for c in range(sizes[j])
                ]
            )
            for j in range(k)
        ]
        for members in labels.sets
    ]
    sets = range(len(phi))
    gammas = [
        np.mean([phi[r][j] @ phi[s][j].T for r in sets for s in sets if r != s], 0)
        for j in range(k)
    ]
    found = np.full((k, k), np.nan)
    for i in range(k):
        for j in range(k):
            if i != j:
                a, b = np.linalg.inv(gammas[i]), np.linalg.inv(gammas[j])
                terms = [
                    np.trace(a @ phi[r][i] @ phi[s][j].T @ b @ phi[t][j] @ phi[u][i].T)
                    for r in sets
                    for s in sets
                    for t in sets
                    for u in sets
                    if len({r, s, t, u}) == 4
                ]
                found[i, j] = np.mean(terms) / min(sizes[i] - 1, sizes[j] - 1)
    return found
