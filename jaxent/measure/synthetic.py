"""Activations whose concepts share a known part of their structure.

They are the truth that estimators are tried against.
"""

import dataclasses
import itertools

import numpy as np

from jaxent.measure import concepts


@dataclasses.dataclass(frozen=True)
class Truth:
    """How synthetic activations are made.

    Attributes:
      overlap: mean squared cosine of the principal angles between every two concepts'
        class-mean subspaces, 0 (orthogonal) to 1 (the smaller is within the larger).
      snr: SD of the class means along each of their axes over the noise's SD along a
        mean axis.
      scale: a factor on everything.
      decay: noise variance of the k-th axis of a random basis falls as k^-decay (0:
        isotropic).
    """

    overlap: float
    snr: float = 0.5
    scale: float = 1.0
    decay: float = 0.0

    def __post_init__(self):
        is_valid = (
            0 <= self.overlap <= 1
            and self.snr > 0
            and self.scale > 0
            and self.decay >= 0
        )
        if not is_valid:
            raise ValueError(
                f"{self}: expected 0 <= overlap <= 1, snr > 0, scale > 0, decay >= 0"
            )


def design(sizes: tuple[int, ...] = (3, 4, 4), sets: int = 8) -> concepts.Labels:
    """Labels of a balanced factorial design.

    Args:
      sizes: number of classes of each concept.
      sets: number of replicate sets, each of which holds every cell once.

    Returns:
      Labels of prod(sizes) x sets probes.

    Example:
      >>> labels = design((2, 3), sets=4)
      >>> labels.codes.shape, labels.sets.shape
      ((24, 2), (4, 6))
    """
    names = tuple(f"concept {j}" for j in range(len(sizes)))
    cells = itertools.product(*map(range, sizes))
    rows = [
        dict(zip(names, cell)) | {"replicate": r} for cell in cells for r in range(sets)
    ]
    return concepts.label_probes(rows, names)


def bases(
    sizes: tuple[int, ...], d: int, overlap: float, rng: np.random.Generator
) -> list[np.ndarray]:
    """Orthonormal class-mean subspaces of a known overlap.

    Each is sqrt(1 - t) times axes of its own plus sqrt(t) times shared axes, with
    t = sqrt(overlap). The i-th axes of two concepts then have cosine t, all others 0,
    so every squared principal cosine is t^2.

    Args:
      sizes: number of classes m_j of each concept.
      d: dimensions.
      overlap: mean squared cosine between every two subspaces.
      rng: draws the axes.

    Returns:
      One [m_j - 1, d] for each concept.

    Raises:
      ValueError: for too few dimensions.
    """
    widths = [m - 1 for m in sizes]
    needed = sum(widths) + max(widths)
    if needed > d:
        raise ValueError(
            f"{d} dimensions: expected at least {needed} for classes {sizes}"
        )
    axes = np.linalg.qr(rng.normal(size=(d, needed)))[0].T
    shared, start, t = axes[: max(widths)], max(widths), overlap**0.5
    subspaces = []
    for width in widths:
        own = axes[start : start + width]
        subspaces.append((1 - t) ** 0.5 * own + t**0.5 * shared[:width])
        start += width
    return subspaces


def class_means(labels: concepts.Labels, subspaces: list[np.ndarray]) -> np.ndarray:
    """Each probe's sum of its classes' means.

    Args:
      labels: of N probes, balanced.
      subspaces: one [m_j - 1, d] for each concept.

    Returns:
      [N, d], of variance 1 along every axis of each subspace.
    """
    total = np.zeros((len(labels.codes), subspaces[0].shape[1]))
    for j, (m, basis) in enumerate(zip(labels.sizes, subspaces)):
        # [m, m-1]: zero mean, unit variance, uncorrelated
        corners = concepts.zero_sum_basis(m).T * m**0.5
        total = total + corners[labels.codes[:, j]] @ basis
    return total


def noise(shape: tuple[int, int], decay: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of mean variance 1 an axis.

    Args:
      shape: (N, d).
      decay: variance falls as k^-decay in a random basis; 0 is isotropic.
      rng: draws noise and basis.

    Returns:
      [N, d].
    """
    draws = rng.normal(size=shape)
    if decay == 0:
        return draws
    spectrum = np.arange(1.0, shape[1] + 1) ** -decay
    rotation = np.linalg.qr(rng.normal(size=(shape[1], shape[1])))[0]
    return (draws * np.sqrt(spectrum / spectrum.mean())) @ rotation


def activations(
    labels: concepts.Labels, d: int, truth: Truth, rng: np.random.Generator
) -> np.ndarray:
    """Synthetic activations: scale (class means + noise / snr).

    Args:
      labels: of N probes.
      d: dimensions.
      truth: how they are made.
      rng: draws them.

    Returns:
      [N, d].

    Example:
      >>> rng = np.random.default_rng(0)
      >>> activations(design((2, 3), sets=4), 16, Truth(overlap=0.3), rng).shape
      (24, 16)
    """
    means = class_means(labels, bases(labels.sizes, d, truth.overlap, rng))
    return truth.scale * (
        means + noise((len(labels.codes), d), truth.decay, rng) / truth.snr
    )


def rotated(
    x: np.ndarray, labels: concepts.Labels, overlap: float, rng: np.random.Generator
) -> np.ndarray:
    """Real activations with each concept's class structure rotated to a known overlap.

    x is the mean, each concept's class means about it and a residual. The class means
    keep their sizes and shapes (their coordinates along their own principal axes) but
    get new axes, `bases` of the given overlap; the residual keeps every correlation
    between its axes, its rows shuffled within each replicate set so that it has no
    relation to the labels.

    Args:
      x: activations [N, d].
      labels: of the N probes, balanced, with replicate sets.
      overlap: mean squared cosine between every two concepts' new axes.
      rng: draws the axes and shuffles.

    Returns:
      [N, d].

    Raises:
      ValueError: without replicate sets.
    """
    if labels.sets is None:
        raise ValueError("labels without replicate sets: expected one set or more")
    mean = x.mean(0)
    residual, structure = x - mean, np.zeros(x.shape)
    subspaces = bases(labels.sizes, x.shape[1], overlap, rng)
    for j, (m, basis) in enumerate(zip(labels.sizes, subspaces)):
        codes = labels.codes[:, j]
        means = np.stack([x[codes == k].mean(0) for k in range(m)]) - mean
        u, s, _ = np.linalg.svd(means, full_matrices=False)
        residual = residual - means[codes]
        structure = structure + (u * s)[codes, : m - 1] @ basis
    rows = np.arange(len(x))
    for members in labels.sets:
        rows[members] = rng.permutation(members)
    return mean + structure + residual[rows]
