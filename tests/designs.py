"""Designs and activations that several tests of the measurement share."""

import itertools

import naive
import numpy as np

from jaxent.measure import concepts


def design(replicates=2, sizes=(3, 4, 4)):
    """One dict a probe of a full factorial design, and the concepts' names."""
    names = concepts.FACTORS[: len(sizes)]
    cells = itertools.product(*(range(m) for m in sizes))
    return [
        dict(zip(names, cell)) | {"replicate": r}
        for cell in cells
        for r in range(replicates)
    ], names


ROWS = design()[0]
LABELS = concepts.label_probes(ROWS)


def activations(labels, d: int, noise: float = 1.0, seed: int = 0):
    """Random class means and Gaussian noise: [N, d]."""
    rng = np.random.default_rng(seed)
    signal = naive.one_hot(labels.codes, labels.sizes) @ rng.normal(
        size=(sum(labels.sizes), d)
    )
    return signal + noise * rng.normal(size=(len(labels.codes), d))


def random_labels(rng, n, sizes):
    """Unbalanced labels without replicate sets, every class at least once."""
    codes = np.stack(
        [
            rng.permutation(np.concatenate([np.arange(m), rng.integers(m, size=n - m)]))
            for m in sizes
        ],
        1,
    )
    names = tuple(f"c{j}" for j in range(len(sizes)))
    return concepts.label_probes(
        [dict(zip(names, map(int, row))) for row in codes], names
    )
