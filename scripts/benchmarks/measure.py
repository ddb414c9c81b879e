"""All estimators beside scikit-learn's loop for one of them, literal EI.

The loop refits a ridge for every fold and direction. A few folds a direction are run
and multiplied up.
"""

import functools
import time
from collections.abc import Iterator

import numpy as np
from sklearn import linear_model

from benchmarks import cases, pairs
from jaxent.measure import concepts, entangle, synthetic

_WIDTH = 5120
_FOLDS = 4  # of each direction, that are really run
_DESIGNS = {480: ((6, 4, 4), 5), 96: ((6, 4, 4), 1), 48: ((3, 4, 4), 1)}


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """A row for each number of probes."""
    for count in (96, 48) if settings.quick else _DESIGNS:
        name = f"{count} probes, width {_WIDTH}"
        make = functools.partial(_make, count, 1 if settings.quick else _FOLDS)
        yield cases.Case("measure", name, "sklearn", make)


def _make(count: int, folds: int, with_peer: bool) -> pairs.Workload:
    labels = synthetic.design(*_DESIGNS[count])
    rng = np.random.default_rng(0)
    x = synthetic.activations(labels, _WIDTH, synthetic.Truth(0.3, 1.0), rng)
    theirs = {}
    if with_peer:
        title = f"scikit-learn loop, {folds} of {count} folds"
        theirs[title] = functools.partial(refit_loop, x, labels, folds)
    return pairs.Workload(
        unit="",
        amount=1,
        ours=functools.partial(entangle.measure, x, labels),
        theirs=theirs,
        remark="measure: all estimators, beside a loop of refits for literal EI alone "
        "whose time is extrapolated from the folds named",
    )


def refit_loop(x: np.ndarray, labels: concepts.Labels, folds: int) -> pairs.Spent:
    """What the literal EI takes with scikit-learn.

    Args:
      x: activations [N, D].
      labels: their classes.
      folds: that are run of each direction; the time is multiplied by N / folds.
    """
    y = np.concatenate(
        [np.eye(m)[labels.codes[:, j]] for j, m in enumerate(labels.sizes)], 1
    )
    n, rank = len(x), sum(labels.sizes) - len(labels.sizes)
    u = np.linalg.svd(linear_model.Ridge(1.0).fit(x, y).coef_.T, full_matrices=False)[0]
    processor, wall = pairs.processor_seconds(), time.perf_counter()
    for direction in [None, *u.T[:rank]]:
        z = x if direction is None else x - np.outer(x @ direction, direction)
        for fold in range(min(folds, n)):
            rest = np.arange(n) != fold
            linear_model.Ridge(1.0).fit(z[rest], y[rest]).predict(z[[fold]])
    times = n / min(folds, n)
    wall = time.perf_counter() - wall
    processor = pairs.processor_seconds() - processor
    return pairs.Spent(wall * times, processor * times)
