"""What the surface of a probe text gives away about its labels.

A probe set varies domain, register and shape of reasoning. A claim that a model
represents one of them is worth little when the label can be read off the length, the
punctuation or the small words of the text. This module counts those, decodes each
concept from the counts alone, and states in words where a set exceeds its bounds.

A tokenizer is any object whose `encode(text)` has `ids`, such as those of the package
`tokenizers`.
"""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import linear_model, pipeline, preprocessing
from sklearn.feature_extraction import text as sklearn_text

from jaxent.data import probes as probe_sets
from jaxent.data import surface_features

FOLDS = 5
SEED = 0

# The most by which the accuracy of a surface decoder may exceed chance.
BOUNDS = {"tokens": 0.05, "counts": 0.15, "function_words": 0.20}
LENGTH_TOLERANCE = 0.15  # a class's mean token count against the mean of its concept
DEVICE_RANGE = (0.5, 2.0)  # a class's share of a device against the set's share

# Counts that every class of register and shape has to hold at a like rate.
DEVICES = ("question marks", "digits", "apostrophes", "quotes", "parentheses")


def assign_folds(probes: Sequence[probe_sets.Probe], seed: int = SEED) -> np.ndarray:
    """Deal the probes into five folds, each with a like share of every cell.

    The replicates of a cell are shuffled and dealt in turn, and the next cell goes on
    at the fold where this one ended. A topic occurs in one probe only, so no topic is
    split over folds.

    Args:
        probes: N probes.
        seed: Seed of the shuffles.

    Returns:
        Fold of each probe, int [N], 0 to 4.
    """
    cells = collections.defaultdict(list)
    for row, probe in enumerate(probes):
        cells[probe.domain, probe.register, probe.shape].append(row)
    generator = np.random.default_rng(seed)
    folds = np.zeros(len(probes), dtype=int)
    next_fold = 0
    for cell in sorted(cells):
        for row in generator.permutation(cells[cell]):
            folds[row] = next_fold
            next_fold = (next_fold + 1) % FOLDS
    return folds


def decode(features, labels, folds) -> float:
    """Decode labels from features by logistic regression, out of fold.

    Features are standardised with the mean and deviation of the training folds.

    Args:
        features: [N, F], dense or sparse; sparse ones are not standardised.
        labels: N class names.
        folds: Fold of each row, int [N].

    Returns:
        Share of rows whose label is predicted by the model that did not see them.

    Example:
        >>> labels = ["a", "b"] * 10
        >>> features = np.array([[0.0], [1.0]] * 10)
        >>> decode(features, labels, np.arange(20) // 4)
        1.0
    """
    labels = np.asarray(labels)
    right = 0
    for fold in np.unique(folds):
        test = folds == fold
        model = linear_model.LogisticRegression(max_iter=5000)
        if isinstance(features, np.ndarray):
            model = pipeline.make_pipeline(preprocessing.StandardScaler(), model)
        model.fit(features[~test], labels[~test])
        right += int((model.predict(features[test]) == labels[test]).sum())
    return right / len(labels)


def decode_text(texts: list[str], labels, folds, kind: str) -> float:
    """Decode labels from TF-IDF features of the texts, the baseline of content.

    The vocabulary is learnt from the training folds alone.

    Args:
        texts: N probe texts.
        labels: N class names.
        folds: Fold of each text, int [N].
        kind: "words" for single words, "characters" for 1- to 4-grams of characters.

    Returns:
        Share of texts whose label is predicted by the model that did not see them.

    Raises:
        ValueError: When `kind` is neither.
    """
    if kind not in ("words", "characters"):
        raise ValueError(f"kind {kind!r}, expected 'words' or 'characters'")
    rows, labels = np.asarray(texts, dtype=object), np.asarray(labels)
    right = 0
    for fold in np.unique(folds):
        test = folds == fold
        if kind == "words":
            vectors = sklearn_text.TfidfVectorizer(sublinear_tf=True)
        else:
            vectors = sklearn_text.TfidfVectorizer(
                analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=2
            )
        regression = linear_model.LogisticRegression(max_iter=5000, C=10.0)
        model = pipeline.make_pipeline(vectors, regression)
        model.fit(rows[~test], labels[~test])
        right += int((model.predict(rows[test]) == labels[test]).sum())
    return right / len(labels)


def accuracies(
    probes: Sequence[probe_sets.Probe], tokenizers: Mapping[str, Any], seed: int = SEED
) -> dict:
    """Decode every concept from every bounded kind of surface feature.

    Args:
        probes: N probes.
        tokenizers: Name to tokenizer.
        seed: Seed of the folds.

    Returns:
        (feature kind, concept) to (accuracy, chance, bound); the kinds are
        "tokens NAME" for each tokenizer, "counts" and "function_words".
    """
    texts = [probe.text for probe in probes]
    folds = assign_folds(probes, seed)
    features = {
        f"tokens {name}": (
            surface_features.token_features(texts, tokenizer),
            BOUNDS["tokens"],
        )
        for name, tokenizer in tokenizers.items()
    }
    features["counts"] = (surface_features.count_features(texts), BOUNDS["counts"])
    features["function_words"] = (
        surface_features.function_word_features(texts),
        BOUNDS["function_words"],
    )
    found = {}
    for concept in probe_sets.FACTORS:
        labels = [getattr(probe, concept) for probe in probes]
        if len(set(labels)) == 1:
            continue
        chance = 1 / len(set(labels))
        for kind, (values, bound) in features.items():
            found[kind, concept] = (decode(values, labels, folds), chance, bound)
    return found


def class_means(values, labels) -> dict[str, float]:
    """Average one feature over the members of each class.

    Args:
        values: N numbers.
        labels: N class names.

    Returns:
        Class to mean, classes in alphabetical order.

    Example:
        >>> class_means([1.0, 3.0, 5.0], ["a", "a", "b"])
        {'a': 2.0, 'b': 5.0}
    """
    values = np.asarray(values, dtype=float)
    labels = np.asarray(labels)
    classes = sorted(set(labels.tolist()))
    return {name: float(values[labels == name].mean()) for name in classes}


def worst_features(
    probes: Sequence[probe_sets.Probe], concept: str, kind: str, number: int = 12
) -> list[tuple]:
    """List the features that separate the classes of a concept most.

    The measure is the F ratio of one-way analysis of variance: variance between the
    class means over variance within the classes.

    Args:
        probes: N probes.
        concept: "domain", "register" or "shape".
        kind: "counts" or "function_words".
        number: How many to list.

    Returns:
        (feature name, F ratio, class means), the largest ratio first.
    """
    texts = [probe.text for probe in probes]
    labels = np.array([getattr(probe, concept) for probe in probes])
    if kind == "counts":
        names, features = (
            surface_features.COUNT_NAMES,
            surface_features.count_features(texts),
        )
    else:
        names, features = (
            surface_features.FUNCTION_WORDS,
            surface_features.function_word_features(texts),
        )
    found = []
    for index, name in enumerate(names):
        means = class_means(features[:, index], labels)
        fitted = np.array([means[label] for label in labels])
        between = ((fitted - features[:, index].mean()) ** 2).sum() / (len(means) - 1)
        within = ((features[:, index] - fitted) ** 2).sum() / (len(labels) - len(means))
        if within > 0:
            found.append((name, float(between / within), means))
    found.sort(key=_ratio, reverse=True)
    return found[:number]


def _ratio(entry: tuple) -> float:
    return entry[1]


def problems(
    probes: Sequence[probe_sets.Probe], tokenizers: Mapping[str, Any]
) -> list[str]:
    """State in words everything by which the surface of a set gives its labels away.

    Args:
        probes: N probes.
        tokenizers: Name to tokenizer.

    Returns:
        One sentence a problem; an empty list when every bound holds.
    """
    return (
        _length_problems(probes, tokenizers)
        + _device_problems(probes)
        + _decoding_problems(probes, tokenizers)
    )


def _length_problems(
    probes: Sequence[probe_sets.Probe], tokenizers: Mapping[str, Any]
) -> list[str]:
    """Classes whose mean number of tokens is far from the mean of their concept."""
    texts = [probe.text for probe in probes]
    found = []
    for name, tokenizer in tokenizers.items():
        lengths = surface_features.token_features(texts, tokenizer)[:, 0]
        for concept in probe_sets.FACTORS:
            means = class_means(lengths, [getattr(probe, concept) for probe in probes])
            overall = sum(means.values()) / len(means)
            for label, mean in means.items():
                if abs(mean / overall - 1) > LENGTH_TOLERANCE:
                    found.append(
                        f"{concept} {label}: {mean:.1f} {name} tokens on average, "
                        f"expected {overall:.1f} within {LENGTH_TOLERANCE:.0%}"
                    )
    return found


def _device_problems(probes: Sequence[probe_sets.Probe]) -> list[str]:
    """Registers and shapes in which a device stands much more or less often."""
    features = surface_features.count_features([probe.text for probe in probes])
    found = []
    for device in DEVICES:
        present = features[:, surface_features.COUNT_NAMES.index(device)] > 0
        low, high = (bound * present.mean() for bound in DEVICE_RANGE)
        for concept in ("register", "shape"):
            shares = class_means(present, [getattr(p, concept) for p in probes])
            for label, share in shares.items():
                if not low <= share <= high or share == 0:
                    found.append(
                        f"{concept} {label}: {device} in {share:.0%} of the texts, "
                        f"expected {low:.0%} to {high:.0%}"
                    )
    return found


def _decoding_problems(
    probes: Sequence[probe_sets.Probe], tokenizers: Mapping[str, Any]
) -> list[str]:
    """Concepts that a surface decoder reads better than its bound."""
    found = []
    for (kind, concept), result in accuracies(probes, tokenizers).items():
        accuracy, chance, bound = result
        if accuracy - chance > bound:
            found.append(
                f"{concept} from {kind}: accuracy {accuracy:.3f}, "
                f"expected at most {chance:.3f} + {bound:.2f}"
            )
    return found
