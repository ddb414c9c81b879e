"""Estimated arrays to a measurement: ratios, intervals over sets, and reasons."""

import math
from typing import Any

import numpy as np

from jaxent.measure import concepts, measurement, overlap
from jaxent.stats import intervals

LEAST_FLIPS = 10  # own-concept flips below which a ratio of flips says nothing
LEAST_RISE = 0.01  # own rise of the R^2 loss, all concepts together, likewise

# Take several replicate sets together, so that their intervals are jackknives.
_OF_SEVERAL_SETS = ("ei", "nested_ei", "cvo")


def summarise(
    estimated: dict, by_set: list[dict], gram: np.ndarray, labels: concepts.Labels
) -> measurement.Measurement:
    """The measurement of one layer.

    Args:
      estimated: the arrays of `estimates.estimate_layers`, from all probes together.
      by_set: the same from each replicate set; empty without sets.
      gram: inner products of the activations [N, N], from which CVO is taken.
      labels: of the N probes.

    Returns:
      The measurement, with a reason for everything that is undefined.
    """
    numbers, reasons = _single_numbers(estimated, labels)
    set_values = _set_values(by_set, labels)
    over_sets = _intervals(set_values)
    cross_validated = overlap.measure_overlap(gram, labels)
    if cross_validated.reason is not None:
        reasons["cvo"] = cross_validated.reason
    if cross_validated.pseudo_values is not None:
        set_values["cvo"] = cross_validated.pseudo_values.tolist()
        over_sets["cvo"] = intervals.over_sets(set_values["cvo"])
    pairs = cross_validated.pairs
    return measurement.Measurement(
        values=_values(estimated, numbers, cross_validated.value, labels),
        intervals=over_sets,
        set_values=set_values,
        counts=_counts(numbers, set_values, labels),
        geometry=_geometry(estimated, pairs, labels),
        null=_null(labels),
        penalty=measurement.Penalty(float(estimated["alpha"]), numbers["alpha_ratio"]),
        reasons=reasons | _interval_reasons(over_sets, set_values, len(by_set)),
    )


def _by_concept(numbers: np.ndarray, labels: concepts.Labels) -> dict[str, Any]:
    """Numbers [k] by the concepts' names."""
    return dict(zip(labels.concepts, numbers.tolist()))


def _values(
    estimated: dict, numbers: dict[str, float], cvo: float, labels: concepts.Labels
) -> measurement.Values:
    """The estimates from all probes together."""
    own, off = numbers["own_flips"], numbers["off_flips"]
    return measurement.Values(
        ei=numbers["ei"],
        nested_ei=numbers["nested_ei"],
        sei=numbers["sei"],
        overlap=numbers["overlap"],
        cvo=cvo,
        v_purity=numbers["v_purity"],
        ei_bound=3 / own if off == 0 and own > 0 else None,
        accuracy=_by_concept(estimated["accuracy"], labels),
        r2=_by_concept(estimated["r2"], labels),
        margins=_by_concept(estimated["margins"], labels),
        weakest=labels.concepts[int(np.argmin(estimated["margins"]))],
        random_damage=_by_concept(estimated["random"], labels),
    )


def _counts(
    numbers: dict[str, float],
    set_values: dict[str, list[float]],
    labels: concepts.Labels,
) -> measurement.Counts:
    """Numbers of probes, sets and flips."""
    weakest_sets = np.zeros(len(labels.concepts), int)
    sets = 0 if labels.sets is None else len(labels.sets)
    if sets:
        margins = [set_values[f"margin.{concept}"] for concept in labels.concepts]
        np.add.at(weakest_sets, np.argmin(margins, axis=0), 1)
    return measurement.Counts(
        probes=len(labels.codes),
        sets=sets,
        own_flips=int(numbers["own_flips"]),
        off_flips=int(numbers["off_flips"]),
        nested_own_flips=int(numbers["nested_own_flips"]),
        nested_off_flips=int(numbers["nested_off_flips"]),
        weakest_sets=_by_concept(weakest_sets, labels),
    )


def _geometry(
    estimated: dict, cvos: np.ndarray | None, labels: concepts.Labels
) -> measurement.Geometry:
    """Directions and matrices between concepts."""
    dominant, _ = concepts.dominant_concept(estimated["v"], labels.sizes)
    return measurement.Geometry(
        singular=estimated["singular"].tolist(),
        dominant=dominant.tolist(),
        damage=estimated["damage"].tolist(),
        concept_damage=_concept_damage(estimated, labels).tolist(),
        rise=estimated["rise"].tolist(),
        overlaps=estimated["overlaps"].tolist(),
        cvos=None if cvos is None else cvos.tolist(),
        structural_zeros=_by_concept(estimated["zeros"], labels),
    )


def _null(labels: concepts.Labels) -> measurement.Null:
    """What the design gives by itself."""
    directions = sum(labels.sizes) - len(labels.sizes)
    purity = concepts.random_purity(labels.sizes)
    return measurement.Null(
        structural_ratio=directions / (max(labels.sizes) - 1) - 1,
        v_purity_null=(float(purity.mean()), float(purity.std())),
    )


def _set_values(by_set: list[dict], labels: concepts.Labels) -> dict[str, list[float]]:
    """`_single_numbers` set by set: {name: [R]}."""
    sets = [_single_numbers(one, labels)[0] for one in by_set]
    return {name: [one[name] for one in sets] for name in sets[0]} if sets else {}


def _intervals(set_values: dict[str, list[float]]) -> dict[str, intervals.Interval]:
    """Intervals over sets, of each number but the flips.

    Ratios of flips come from the flips, of which single sets have too few.
    """
    over_sets = {
        name: intervals.over_sets(values)
        for name, values in set_values.items()
        if not name.endswith("flips")
    }
    if set_values:
        for name, prefix in (("ei", ""), ("nested_ei", "nested_")):
            off = set_values[f"{prefix}off_flips"]
            own = set_values[f"{prefix}own_flips"]
            over_sets[name] = intervals.ratio(off, own, LEAST_FLIPS)
    return over_sets


def _interval_reasons(
    over_sets: dict[str, intervals.Interval],
    set_values: dict[str, list[float]],
    sets: int,
) -> dict[str, str]:
    """Why intervals are undefined, by "intervals." and the name."""
    if sets == 1:
        return {"intervals": "1 replicate set, expected two or more"}
    reasons = {}
    for name, interval in over_sets.items():
        if not math.isnan(interval.low):
            continue
        if name in _OF_SEVERAL_SETS:
            where = "without one of the"
        else:
            where = f"in {np.isnan(set_values[name]).sum()} of {sets}"
        reasons[f"intervals.{name}"] = f"the value is undefined {where} replicate sets"
    return reasons


def _concept_damage(estimated: dict, labels: concepts.Labels) -> np.ndarray:
    """Mean damage [k, k] over the directions in which the row's concept dominates.

    NaN where it dominates in none.
    """
    dominant, _ = concepts.dominant_concept(estimated["v"], labels.sizes)
    is_dominant = np.eye(len(labels.sizes))[:, dominant]  # [k, r]
    number = is_dominant.sum(1, keepdims=True)
    mean = is_dominant @ estimated["damage"] / np.maximum(number, 1)
    return np.where(number > 0, mean, math.nan)


def _single_numbers(
    estimated: dict, labels: concepts.Labels
) -> tuple[dict[str, float], dict[str, str]]:
    """The single numbers of one set of probes, and why some of them are NaN."""
    flips = _flips(estimated, labels)
    values = _ratios(estimated, flips, labels)
    rank = sum(labels.sizes) - len(labels.sizes)
    singular = estimated["singular"]
    informative = int((singular > 1e-6 * singular[0]).sum())
    if informative < rank:
        flips = dict.fromkeys(flips, 0)  # of directions that do not exist
        reason = (
            f"{informative} informative directions, expected {rank}: the activations "
            "do not span the labels"
        )
        reasons = dict.fromkeys(values, reason)
    else:
        reasons = _too_little(estimated, flips)
    values |= dict.fromkeys(reasons, math.nan)
    return values | flips | _always_defined(estimated, labels), reasons


def _flips(estimated: dict, labels: concepts.Labels) -> dict[str, int]:
    """EI's and nested EI's denominators and numerators, each cell clipped at 0."""
    flips = np.maximum(estimated["before"] - estimated["after"], 0)  # [r, k]
    dominant, _ = concepts.dominant_concept(estimated["v"], labels.sizes)
    own = int(flips[np.arange(len(flips)), dominant].sum())
    nested = np.maximum(estimated["nested"], 0)  # [k, k]
    nested_own = int(np.trace(nested))
    return {
        "own_flips": own,
        "off_flips": int(flips.sum()) - own,
        "nested_own_flips": nested_own,
        "nested_off_flips": int(nested.sum()) - nested_own,
    }


def _ratios(
    estimated: dict, flips: dict[str, int], labels: concepts.Labels
) -> dict[str, float]:
    """The estimators of one set of probes; NaN for 0 / 0."""
    k, overlaps = len(labels.sizes), estimated["overlaps"]
    own_rise = float(np.trace(estimated["rise"]))
    _, shares = concepts.dominant_concept(estimated["v"], labels.sizes)
    return {
        "ei": _ratio(flips["off_flips"], flips["own_flips"]),
        "nested_ei": _ratio(flips["nested_off_flips"], flips["nested_own_flips"]),
        "sei": _ratio(float(estimated["rise"].sum()) - own_rise, own_rise),
        "overlap": float((overlaps.sum() - np.trace(overlaps)) / (k * k - k)),
        "v_purity": float(shares.mean()),
    }


def _ratio(numerator: float, denominator: float) -> float:
    """numerator / denominator, NaN unless the denominator is positive."""
    return numerator / denominator if denominator > 0 else math.nan


def _too_little(estimated: dict, flips: dict[str, int]) -> dict[str, str]:
    """Why ratios over too few flips or too small a rise say nothing."""
    reasons = {}
    for name, own in (
        ("ei", flips["own_flips"]),
        ("nested_ei", flips["nested_own_flips"]),
    ):
        if own < LEAST_FLIPS:
            reasons[name] = f"{own} own-concept flips, fewer than {LEAST_FLIPS}"
    own_rise = float(np.trace(estimated["rise"]))
    if own_rise < LEAST_RISE:
        reasons["sei"] = (
            f"R^2 loss rises by {own_rise:.4f} where a concept's own subspace is "
            f"removed, less than {LEAST_RISE}"
        )
    return reasons


def _always_defined(estimated: dict, labels: concepts.Labels) -> dict[str, float]:
    """The single numbers that need no count of flips, by their dotted names."""
    by_concept = {
        "accuracy": estimated["accuracy"],
        "margin": estimated["margins"],
        "random_damage": estimated["random"],
    }
    numbers = {
        f"{name}.{concept}": float(number)
        for name, of_concepts in by_concept.items()
        for concept, number in zip(labels.concepts, of_concepts)
    }
    for removed, row in zip(labels.concepts, _concept_damage(estimated, labels)):
        for concept, lost in zip(labels.concepts, row):
            numbers[f"damage.{removed}.{concept}"] = float(lost)
    return numbers | {"alpha_ratio": float(estimated["alpha_ratio"])}
