"""Estimated arrays to a measurement: one function of the sets a value, and reasons."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxent.measure import concepts, measurement, overlap
from jaxent.stats import intervals

# Own-concept flips below which a ratio of flips says nothing, and off-concept flips
# below which its interval covers too little.
LEAST_FLIPS = 10
LEAST_RISE = 0.01  # own rise of a set's R^2 loss, all concepts together, likewise


class _Ratio(NamedTuple):
    """A ratio of sums over sets: names of its parts, and how much it needs of them."""

    numerator: str
    denominator: str
    minimum: float  # of the sum of the denominators
    minimum_a_set: float  # the same for each set that is summed


_RATIOS = {
    "ei": _Ratio("off_flips", "own_flips", LEAST_FLIPS, 0),
    "nested_ei": _Ratio("nested_off_flips", "nested_own_flips", LEAST_FLIPS, 0),
    "sei": _Ratio("off_rise", "own_rise", 0, LEAST_RISE),
}
_PARTS = tuple(part for one in _RATIOS.values() for part in one[:2])
Numbers = Mapping[str, float]


def summarise(
    estimated: dict, by_set: list[dict], gram: np.ndarray, labels: concepts.Labels
) -> measurement.Measurement:
    """The measurement of one layer.

    Args:
      estimated: the arrays of `estimates.estimate_layers`, from all probes together.
      by_set: the same from each replicate set; of all probes where there are no sets.
      gram: inner products of the activations [N, N], from which CVO is taken.
      labels: of the N probes.

    Returns:
      The measurement, with a reason for everything that is undefined.
    """
    sets = [numbers(one, labels) for one in by_set]
    values, set_values, reasons = _over_sets(sets, labels)
    cross_validated = overlap.measure_overlap(gram, labels)
    values["cvo"] = cross_validated.value
    if cross_validated.reason is not None:
        reasons["cvo"] = cross_validated.reason
    if cross_validated.contributions is not None:
        set_values["cvo"] = cross_validated.contributions.tolist()
    all_probes, reasons_of_all = _all_probes(numbers(estimated, labels), labels)
    over_sets, reasons = _intervals(values, set_values, reasons, labels)
    return measurement.Measurement(
        values=_values(values, set_values, labels),
        intervals=over_sets,
        set_values=set_values,
        counts=_counts(set_values, labels),
        all_probes=all_probes,
        geometry=_geometry(estimated, by_set, values, cross_validated, labels),
        null=_null(labels),
        penalty=measurement.Penalty(
            float(np.mean([one["alpha"] for one in by_set])), values["alpha_ratio"]
        ),
        reasons=reasons | reasons_of_all,
    )


def numbers(estimated: dict, labels: concepts.Labels) -> dict[str, float]:
    """The single numbers of one fit, by their dotted names.

    Args:
      estimated: the arrays of `estimates.estimate` of some probes.
      labels: of all probes.

    Returns:
      Numbers by name: the parts of ratios, and what is averaged over sets.
    """
    k, overlaps, rise = len(labels.sizes), estimated["overlaps"], estimated["rise"]
    dominant, shares = concepts.dominant_concept(estimated["v"], labels.sizes)
    singular = estimated["singular"]
    found = _flips(estimated, dominant) | {
        "own_rise": float(np.trace(rise)),
        "off_rise": float(rise.sum() - np.trace(rise)),
        "overlap": float((overlaps.sum() - np.trace(overlaps)) / (k * k - k)),
        "v_purity": float(shares.mean()),
        "alpha_ratio": float(estimated["alpha_ratio"]),
        "informative": int((singular > 1e-6 * singular[0]).sum()),
    }
    for name, array in (
        ("accuracy", "accuracy"),
        ("r2", "r2"),
        ("margin", "margins"),
        ("random_damage", "random"),
    ):
        for concept, number in zip(labels.concepts, estimated[array]):
            found[f"{name}.{concept}"] = float(number)
    is_dominant = np.eye(k)[:, dominant]  # [k, r]
    lost = is_dominant @ estimated["damage"]
    for i, removed in enumerate(labels.concepts):
        found[f"directions.{removed}"] = float(is_dominant[i].sum())
        for j, concept in enumerate(labels.concepts):
            found[f"lost.{removed}.{concept}"] = float(lost[i, j])
    return found


def _flips(estimated: dict, dominant: np.ndarray) -> dict[str, float]:
    """EI's and nested EI's denominators and numerators, each cell clipped at 0."""
    flips = np.maximum(estimated["before"] - estimated["after"], 0)  # [r, k]
    own = int(flips[np.arange(len(flips)), dominant].sum())
    nested = np.maximum(estimated["nested"], 0)  # [k, k]
    nested_own = int(np.trace(nested))
    return {
        "own_flips": own,
        "off_flips": int(flips.sum()) - own,
        "nested_own_flips": nested_own,
        "nested_off_flips": int(nested.sum()) - nested_own,
    }


def _over_sets(
    sets: Sequence[Numbers], labels: concepts.Labels
) -> tuple[dict[str, float], dict[str, list[float]], dict[str, str]]:
    """Values, the sets' contributions to them, and why ratios are undefined.

    A ratio is that of the sums over sets, everything else the mean of the sets.
    """
    by_name = {name: [one[name] for one in sets] for name in sets[0]}
    missing = _missing_directions(by_name.pop("informative"), labels)
    values, contributions, reasons = {}, {}, {}
    for name, one in _RATIOS.items():
        numerators, denominators = by_name[one.numerator], by_name[one.denominator]
        if missing is None:
            reason = _too_little(name, sum(denominators), len(sets))
        else:
            reason = missing
        minimum = one.minimum + one.minimum_a_set * (len(sets) - 1)
        parts = intervals.ratio_contributions(numerators, denominators, minimum)
        contributions[name] = parts.tolist()
        if reason is None:
            values[name] = sum(numerators) / sum(denominators)
        else:
            values[name], reasons[name] = math.nan, reason
        few = name != "sei" and sum(numerators) < LEAST_FLIPS
        if few or reason is not None:
            contributions[name] = [math.nan] * len(sets)
        if few and reason is None:
            reasons[f"intervals.{name}"] = (
                f"{sum(numerators)} off-concept flips, fewer than {LEAST_FLIPS}"
            )
    for removed in labels.concepts:
        directions = by_name.pop(f"directions.{removed}")
        for concept in labels.concepts:
            lost = by_name.pop(f"lost.{removed}.{concept}")
            name = f"damage.{removed}.{concept}"
            values[name] = sum(lost) / sum(directions) if sum(directions) else math.nan
            contributions[name] = intervals.ratio_contributions(
                lost, directions, 1
            ).tolist()
    contributions |= by_name
    values |= {n: float(np.mean(v)) for n, v in by_name.items() if n not in _PARTS}
    return values, contributions, reasons


def _missing_directions(
    informative: Sequence[float], labels: concepts.Labels
) -> str | None:
    """Why ratios are undefined where activations of a set do not span the labels."""
    rank = sum(labels.sizes) - len(labels.sizes)
    least = int(np.argmin(informative))
    if informative[least] >= rank:
        return None
    where = f" in replicate set {least}" if len(informative) > 1 else ""
    return (
        f"{informative[least]} informative directions{where}, expected {rank}: the "
        "activations do not span the labels"
    )


def _too_little(name: str, own: float, sets: int) -> str | None:
    """Why a ratio over too few flips or too small a rise says nothing, if it does."""
    where = f" in {sets} replicate sets" if sets > 1 else ""
    if name != "sei":
        if own >= LEAST_FLIPS:
            return None
        return f"{own:.0f} own-concept flips{where}, fewer than {LEAST_FLIPS}"
    if own >= LEAST_RISE * sets:
        return None
    return (
        f"R^2 loss rises by {own / sets:.4f} where a concept's own subspace is "
        f"removed, less than {LEAST_RISE}"
    )


def _all_probes(
    numbers: dict[str, float], labels: concepts.Labels
) -> tuple[measurement.AllProbes, dict[str, str]]:
    """The fit on all probes, and why some of its ratios are undefined."""
    values, _, reasons = _over_sets([numbers], labels)
    fit = measurement.AllProbes(
        ei=values["ei"],
        nested_ei=values["nested_ei"],
        sei=values["sei"],
        overlap=values["overlap"],
        v_purity=values["v_purity"],
        accuracy=_by_concept(values, "accuracy", labels),
        r2=_by_concept(values, "r2", labels),
        margins=_by_concept(values, "margin", labels),
        own_flips=int(numbers["own_flips"]),
        off_flips=int(numbers["off_flips"]),
        nested_own_flips=int(numbers["nested_own_flips"]),
        nested_off_flips=int(numbers["nested_off_flips"]),
    )
    of_values = {n: why for n, why in reasons.items() if n in _RATIOS}
    return fit, {f"all_probes.{name}": why for name, why in of_values.items()}


def _intervals(
    values: Numbers,
    set_values: Mapping[str, list[float]],
    reasons: Mapping[str, str],
    labels: concepts.Labels,
) -> tuple[dict[str, intervals.Interval], dict[str, str]]:
    """Intervals over sets of each value, and all reasons, those without one too."""
    sets = 0 if labels.sets is None else len(labels.sets)
    if sets < 2:
        plural = "" if sets == 1 else "s"
        none = f"{sets} replicate set{plural}, expected two or more"
        of_values = {n: why for n, why in reasons.items() if n in values}
        return {}, of_values | {"intervals": none}
    over_sets = {
        name: intervals.over_sets(set_values[name])
        for name in values
        if name in set_values
    }
    without = {
        f"intervals.{name}": _why_no_interval(name, set_values, sets)
        for name, value in values.items()
        if not math.isnan(value)
        and (name not in over_sets or math.isnan(over_sets[name].low))
    }
    return over_sets, without | dict(reasons)


def _why_no_interval(
    name: str, set_values: Mapping[str, list[float]], sets: int
) -> str:
    """Why a value that is defined has no interval."""
    if name not in set_values:
        return f"{sets} replicate sets, expected {overlap.LEAST_SETS + 1} or more"
    if np.isnan(set_values[name]).any():
        return "the value is undefined without one of the replicate sets"
    return "the replicate sets do not differ"


def _by_concept(
    values: Numbers, name: str, labels: concepts.Labels
) -> dict[str, float]:
    """The values of that dotted name by concept."""
    return {concept: values[f"{name}.{concept}"] for concept in labels.concepts}


def _values(
    values: Numbers, set_values: Mapping[str, list[float]], labels: concepts.Labels
) -> measurement.Values:
    """The estimates over the sets."""
    own, off = sum(set_values["own_flips"]), sum(set_values["off_flips"])
    margins = _by_concept(values, "margin", labels)
    return measurement.Values(
        ei=values["ei"],
        nested_ei=values["nested_ei"],
        sei=values["sei"],
        overlap=values["overlap"],
        cvo=values["cvo"],
        v_purity=values["v_purity"],
        ei_bound=3 / own if off == 0 and own > 0 else None,
        accuracy=_by_concept(values, "accuracy", labels),
        r2=_by_concept(values, "r2", labels),
        margins=margins,
        weakest=min(margins, key=lambda concept: margins[concept]),
        random_damage=_by_concept(values, "random_damage", labels),
    )


def _counts(
    set_values: Mapping[str, list[float]], labels: concepts.Labels
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
        own_flips=int(sum(set_values["own_flips"])),
        off_flips=int(sum(set_values["off_flips"])),
        nested_own_flips=int(sum(set_values["nested_own_flips"])),
        nested_off_flips=int(sum(set_values["nested_off_flips"])),
        weakest_sets=dict(zip(labels.concepts, weakest_sets.tolist())),
    )


def _geometry(
    estimated: dict,
    by_set: list[dict],
    values: Numbers,
    cross_validated: overlap.Overlap,
    labels: concepts.Labels,
) -> measurement.Geometry:
    """Directions of the fit on all probes, and matrices over the sets."""
    dominant, _ = concepts.dominant_concept(estimated["v"], labels.sizes)
    pairs, z = cross_validated.pairs, cross_validated.z
    names = labels.concepts

    def plain_mean(name: str) -> list[list[float]]:
        return np.mean([one[name] for one in by_set], axis=0).tolist()

    return measurement.Geometry(
        singular=estimated["singular"].tolist(),
        dominant=dominant.tolist(),
        damage=estimated["damage"].tolist(),
        concept_damage=[[values[f"damage.{a}.{b}"] for b in names] for a in names],
        rise=plain_mean("rise"),
        overlaps=plain_mean("overlaps"),
        cvos=None if pairs is None else pairs.tolist(),
        agreement=None if z is None else dict(zip(names, z.tolist())),
        structural_zeros=dict(zip(names, estimated["zeros"].tolist())),
    )


def _null(labels: concepts.Labels) -> measurement.Null:
    """What the design gives by itself."""
    directions = sum(labels.sizes) - len(labels.sizes)
    purity = concepts.random_purity(labels.sizes)
    return measurement.Null(
        structural_ratio=directions / (max(labels.sizes) - 1) - 1,
        v_purity_null=(float(purity.mean()), float(purity.std())),
    )
