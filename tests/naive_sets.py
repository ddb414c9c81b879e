"""What is printed of several probe sets, written as its definition.

Every set is fitted by itself (`naive`), every jackknife leaves a set out and computes
everything again. Nothing of the package is imported, and no formula is shared with it.
"""

import naive
import numpy as np
import scipy.stats

CONCEPTS = "abc"


def one_set(x, codes, sizes):
    """Numerators, denominators and plain numbers of one set: {name: number}."""
    before, after, dominant = naive.literal(x, codes, sizes)
    lost = before - after  # [r, k]
    clipped = np.maximum(lost, 0)
    own = sum(clipped[i, j] for i, j in enumerate(dominant))
    nested = np.maximum(naive.nested(x, codes, sizes), 0)
    rise = naive.rise(x, codes, sizes)
    overlaps, k = naive.overlaps(x, codes, sizes), len(sizes)
    off = [overlaps[i, j] for i in range(k) for j in range(k) if i != j]
    y = naive.one_hot(codes, sizes)
    _, _, v = naive.svd(x, y, 1.0, sum(sizes) - k)
    shares = [max((row[p] ** 2).sum() for p in naive.parts(sizes)) for row in v]
    numbers = {
        "ei": (clipped.sum() - own, own),
        "nested_ei": (nested.sum() - np.trace(nested), np.trace(nested)),
        "sei": (rise.sum() - np.trace(rise), np.trace(rise)),
        "overlap": np.mean(off),
        "v_purity": np.mean(shares),
    }
    r2 = 1 - naive.losses(naive.loo(x, y), y, sizes)
    for j, name in enumerate(CONCEPTS[:k]):
        numbers[f"accuracy.{name}"] = before[j] / len(x)
        numbers[f"r2.{name}"] = r2[j]
        numbers[f"margin.{name}"] = naive.margins(x, codes, sizes)[j]
        for i, removed in enumerate(CONCEPTS[:k]):
            mine = [row[j] for row, d in zip(lost, dominant) if d == i]
            numbers[f"damage.{removed}.{name}"] = (sum(mine) / len(x), len(mine))
    return numbers


def value(parts):
    """A ratio of sums over sets, or the mean of the sets."""
    if isinstance(parts[0], tuple):
        below = sum(p[1] for p in parts)
        return sum(p[0] for p in parts) / below if below else np.nan
    return np.mean(parts)


def interval(estimate, without):
    """The estimate -+ t times the jackknife's standard error."""
    sets = len(without)
    squares = sum((w - np.mean(without)) ** 2 for w in without)
    half = scipy.stats.t.ppf(0.975, sets - 1) * np.sqrt((sets - 1) / sets * squares)
    return estimate - half, estimate + half


def measure(x, codes, sets, sizes):
    """{name: (value, low, high)} of everything that a set has a number of."""
    every = [one_set(x[m], codes[m], sizes) for m in sets]
    found = {}
    for name in every[0]:
        parts = [one[name] for one in every]
        without = [value(parts[:r] + parts[r + 1 :]) for r in range(len(parts))]
        found[name] = value(parts), *interval(value(parts), without)
    return found


def mean_cvo(x, labels):
    pairs = naive.cvo(x, labels)
    k = len(pairs)
    return np.mean([pairs[i, j] for i in range(k) for j in range(i)])


def agreement(phi):
    """The jackknife z of the smallest eigenvalue of one concept's Gamma.

    phi: one [m - 1, d] a set.
    """

    def smallest(sets):
        products = [a @ b.T for a in sets for b in sets if a is not b]
        mean = np.mean(products, 0)
        return np.linalg.eigvalsh((mean + mean.T) / 2)[0]

    without = [smallest(phi[:r] + phi[r + 1 :]) for r in range(len(phi))]
    squares = sum((w - np.mean(without)) ** 2 for w in without)
    return smallest(phi) / np.sqrt((len(phi) - 1) / len(phi) * squares)
