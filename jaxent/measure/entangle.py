"""Removal damage and entanglement.

The paper's EI (sections 2.1 and 3.2), and estimators that measure what it means to;
each value is a function of the replicate sets, fitted one by one:

EI          off-own over own accuracy damage, one global SVD, folds refitted;
            the paper's, for comparison
nested EI   the same with every fold's own directions: no direction has seen its probe
SEI         off-own over own rise of R^2 loss, whole concept subspaces;
            no floor at zero, no false overlap
overlap     mean cos^2 of the angles between the concepts' weight subspaces
CVO         the same between class-mean subspaces, cross-validated over replicate sets;
            free of noise and scale: trust this one
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from jaxent.measure import concepts, estimates, measurement, ridge, summary


def measure(
    x: npt.ArrayLike,
    labels: concepts.Labels | list[dict],
    alpha: float | None = None,
    scale_free: bool = False,
) -> measurement.Measurement:
    """Measures activations of any model against the labels of its probes.

    A ridge classifier of every concept's classes on x, leave-one-out in closed form
    (paper, section 3.2), gives the accuracies; what they lose when directions of its
    weights are removed gives EI, nested EI and SEI; CVO needs class means only.

    Args:
      x: activations [N, d], one row a probe, of any framework that numpy can read.
      labels: `label_probes(rows)`, or the rows themselves: one dict a probe with the
        keys domain, register, shape and, for CVO and the intervals, replicate (and
        topic, which no two replicates may share).
      alpha: ridge penalty, 1 by default. It is not scale free: log alpha_ratio.
      scale_free: the penalty is alpha tr(G) / (N - 1) instead, with G the Gram matrix
        of the centred activations, and alpha 0.1 by default.

    Returns:
      The measurement: values over the replicate sets with intervals of the same values,
      and one fit on all probes beside them. Without replicates, or with one, every
      value is of the one fit, and there are no intervals. A value that is undefined is
      NaN, with its reason.

    Raises:
      ValueError: for NaN or infinity in x, a wrong shape, a single concept, or rows
        that `label_probes` refuses.

    Example:
      >>> colors, sizes = ("red", "green", "blue"), ("small", "large")
      >>> rows = [
      ...     {"color": color, "size": size, "replicate": replicate}
      ...     for replicate in range(8) for color in colors for size in sizes
      ... ]
      >>> signal = [
      ...     [row["color"] == "red", row["color"] == "green", row["size"] == "small"]
      ...     for row in rows
      ... ]
      >>> noise = 0.3 * np.random.default_rng(0).normal(size=(len(rows), 3))
      >>> labels = concepts.label_probes(rows, ("color", "size"))
      >>> measured = measure(np.array(signal, float) + noise, labels)
      >>> measured.counts.probes, measured.counts.sets
      (48, 8)
      >>> measured.all_probes.accuracy["size"] > 0.9
      True
      >>> abs(measured.values.cvo) < 0.1  # color and size share no direction
      True
      >>> measured.intervals["cvo"].low < 0 < measured.intervals["cvo"].high
      True
    """
    return measure_layers(np.asarray(x)[None], labels, alpha, scale_free)[0]


def measure_layers(
    x: npt.ArrayLike,
    labels: concepts.Labels | list[dict],
    alpha: float | None = None,
    scale_free: bool = False,
) -> list[measurement.Measurement]:
    """`measure` of every layer, in one jitted call.

    Args:
      x: activations [L, N, d], one row a probe.
      labels: as for `measure`.
      alpha: as for `measure`.
      scale_free: as for `measure`.

    Returns:
      One measurement a layer.

    Raises:
      ValueError: as `measure`.

    Example:
      >>> rows = [{"a": i % 2, "b": i // 2 % 3} for i in range(24)]
      >>> labels = concepts.label_probes(rows, ("a", "b"))
      >>> x = np.random.default_rng(0).normal(size=(2, 24, 5))
      >>> [one.counts.probes for one in measure_layers(x, labels)]
      [24, 24]
    """
    if alpha is None:
        alpha = 0.1 if scale_free else 1.0
    if not isinstance(labels, concepts.Labels):
        labels = concepts.label_probes(labels)
    if len(labels.concepts) < 2:
        raise ValueError(
            f"1 concept ({labels.concepts[0]}): expected two or more, for entanglement "
            "is between concepts"
        )
    layers = concepts.check_inputs(np.asarray(x), labels)
    grams = np.stack([ridge.centred_gram(layer) for layer in layers])
    with ridge.float64_on_cpu():
        of_all_probes, of_sets = jax.tree.map(
            np.asarray,
            estimates.estimate_layers(
                jnp.asarray(grams),
                labels.codes,
                labels.sets,
                labels.sizes,
                alpha,
                scale_free,
            ),
        )
    measured = []
    for layer in range(len(layers)):
        whole = _select(of_all_probes, layer)
        by_set = [whole]
        if labels.sets is not None:
            by_set = [_select(of_sets, layer, r) for r in range(len(labels.sets))]
        measured.append(summary.summarise(whole, by_set, grams[layer], labels))
    return measured


def _select(arrays: dict, *index: int) -> dict:
    """The arrays of one layer, or of one layer's replicate set."""
    return {name: array[index] for name, array in arrays.items()}
