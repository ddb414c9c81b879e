"""Activations whose concepts share a known part of their structure: the truth that estimators are tried against."""

import dataclasses
import itertools

import numpy as np

from jaxent.measure import concepts


@dataclasses.dataclass(frozen=True)
class Truth:
    """How synthetic activations are made.

    overlap: mean squared cosine of the principal angles between every two concepts' class-mean subspaces,
    0 (orthogonal) to 1 (the smaller lies within the larger). snr: SD of the class means along each of their axes over
    the noise's SD along a mean axis. scale: a factor on everything. decay: noise variance of the
    k-th axis of a random basis falls as k^-decay (0: isotropic).
    """

    overlap: float
    snr: float = 0.5
    scale: float = 1.0
    decay: float = 0.0

    def __post_init__(self):
        if (
            not 0 <= self.overlap <= 1
            or self.snr <= 0
            or self.scale <= 0
            or self.decay < 0
        ):
            raise ValueError(
                f"{self}: expected 0 <= overlap <= 1, snr > 0, scale > 0, decay >= 0"
            )


def design(sizes: tuple[int, ...] = (3, 4, 4), sets: int = 8) -> concepts.Labels:
    """Labels of a balanced factorial design: `sets` replicate sets, each holding every cell once."""
    names = tuple(f"concept {j}" for j in range(len(sizes)))
    cells = itertools.product(*map(range, sizes))
    rows = [
        dict(zip(names, cell)) | {"replicate": r} for cell in cells for r in range(sets)
    ]
    return concepts.label_probes(rows, names)


def bases(sizes: tuple[int, ...], d: int, overlap: float, rng) -> list[np.ndarray]:
    """Orthonormal class-mean subspaces [m_j - 1, d]: sqrt(1 - t) own + sqrt(t) shared directions, t = sqrt(overlap).

    The i-th axes of two concepts then have cosine t, all others 0, so every squared principal cosine is t^2.
    """
    widths = [m - 1 for m in sizes]
    if sum(widths) + max(widths) > d:
        raise ValueError(
            f"{d} dimensions: expected at least {sum(widths) + max(widths)} for classes {sizes}"
        )
    axes = np.linalg.qr(rng.normal(size=(d, sum(widths) + max(widths))))[0].T
    shared, start, t, found = axes[: max(widths)], max(widths), overlap**0.5, []
    for width in widths:
        found.append(
            (1 - t) ** 0.5 * axes[start : start + width] + t**0.5 * shared[:width]
        )
        start += width
    return found


def class_means(labels: concepts.Labels, subspaces: list[np.ndarray]) -> np.ndarray:
    """Each probe's sum of class means [N,d], of variance 1 along every axis of each subspace (balanced classes)."""
    total = 0
    for j, (m, basis) in enumerate(zip(labels.sizes, subspaces)):
        corners = (
            concepts.zero_sum_basis(m).T * m**0.5
        )  # [m,m-1]: zero mean, unit variance, uncorrelated
        total = total + corners[labels.codes[:, j]] @ basis
    return total


def noise(shape: tuple[int, int], decay: float, rng) -> np.ndarray:
    """Gaussian noise [N,d] of mean variance 1 an axis, isotropic or with a power-law spectrum in a random basis."""
    draws = rng.normal(size=shape)
    if decay == 0:
        return draws
    spectrum = np.arange(1.0, shape[1] + 1) ** -decay
    rotation = np.linalg.qr(rng.normal(size=(shape[1], shape[1])))[0]
    return (draws * np.sqrt(spectrum / spectrum.mean())) @ rotation


def activations(
    labels: concepts.Labels, d: int, truth: Truth, rng: np.random.Generator
) -> np.ndarray:
    """Activations [N,d]: scale (class means + noise / snr)."""
    means = class_means(labels, bases(labels.sizes, d, truth.overlap, rng))
    return truth.scale * (
        means + noise((len(labels.codes), d), truth.decay, rng) / truth.snr
    )


def rotated(
    x: np.ndarray, labels: concepts.Labels, overlap: float, rng: np.random.Generator
) -> np.ndarray:
    """Real activations x [N,d] with each concept's class structure rotated to a known overlap: [N,d].

    x is the mean, each concept's class means about it and a residual. The class means keep their sizes and
    shapes (their coordinates along their own principal axes) but get new axes, `bases` of the given overlap; the
    residual keeps every correlation between its axes, its rows shuffled within each replicate set so that
    it has no relation to the labels. Needs replicate sets and balanced classes.
    """
    residual, structure = x - x.mean(0), 0
    for j, (m, basis) in enumerate(
        zip(labels.sizes, bases(labels.sizes, x.shape[1], overlap, rng))
    ):
        means = np.stack(
            [x[labels.codes[:, j] == k].mean(0) for k in range(m)]
        ) - x.mean(0)
        u, s, _ = np.linalg.svd(means, full_matrices=False)
        residual = residual - means[labels.codes[:, j]]
        structure = structure + (u * s)[labels.codes[:, j], : m - 1] @ basis
    rows = np.arange(len(x))
    for members in labels.sets:
        rows[members] = rng.permutation(members)
    return x.mean(0) + structure + residual[rows]
