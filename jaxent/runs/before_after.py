"""What a run measured before and after training, quantity by quantity."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from jaxent.runs import quantities
from jaxent.stats import differences, intervals

Interval = tuple[float, float]

QUANTITIES = {
    "CVO": "cvo",
    "EI (as published)": "ei",
    "nested EI": "nested_ei",
    "V-purity": "v_purity",
}
"""Title to name in `quantities.QUANTITIES`; the accuracies and SEI follow."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One quantity before and after training; None where it is undefined.

    Attributes:
      title: its title.
      before: its value before training.
      before_interval: its 95% interval over replicate sets.
      after: its value after training.
      after_interval: its 95% interval over replicate sets.
      change: after minus before.
      change_interval: its 95% interval, paired over replicate sets.
      p: exact p of the change by flipping signs.
      before_all_probes: of the one fit on all probes before training.
      after_all_probes: the same after training.
      reasons: why it is undefined, such as "before: 4 own-concept flips".
    """

    title: str
    before: float | None
    before_interval: Interval | None
    after: float | None
    after_interval: Interval | None
    change: float | None
    change_interval: Interval | None
    p: float | None
    before_all_probes: float | None = None
    after_all_probes: float | None = None
    reasons: tuple[str, ...] = ()


def list_changes(summary: Mapping[str, Any]) -> list[Change]:
    """Every quantity before and after training, with the paired change over sets.

    Args:
      summary: a summary.json.

    Returns:
      One `Change` a quantity: `QUANTITIES`, each concept's accuracy, then SEI.

    Raises:
      ValueError: the two were measured on unlike probes.
    """
    hashes = [summary[when].get("probe_hash") for when in ("before", "after")]
    if hashes[0] != hashes[1]:
        raise ValueError(
            f"before was measured on probes of hash {hashes[0]}, after on {hashes[1]}: "
            "expected the same probes, for the change is paired by set"
        )
    before, after = (
        quantities.Measured(summary[when].get("step", 0), summary[when])
        for when in ("before", "after")
    )
    names = dict(QUANTITIES)
    names |= {f"accuracy, {c}": f"{c}_accuracy" for c in before.record["accuracy"]}
    names |= {"SEI": "sei"}
    return [_make_change(title, name, before, after) for title, name in names.items()]


def list_reasons(changes: Sequence[Change]) -> list[str]:
    """Lines that say why quantities are undefined.

    Args:
      changes: of `list_changes`.

    Returns:
      One line a reason.
    """
    return [
        f"{one.title} is undefined {reason}."
        for one in changes
        for reason in one.reasons
    ]


def _make_change(
    title: str, name: str, before: quantities.Measured, after: quantities.Measured
) -> Change:
    values = before.value(name), after.value(name)
    sets = before.sets(name), after.sets(name)
    change = interval = p = None
    if values[0] is not None and values[1] is not None:
        change = values[1] - values[0]
    if sets[0] is not None and sets[1] is not None and len(sets[0]) == len(sets[1]):
        # The mean of the contributions is the value, so this is `change` set by set.
        interval = intervals.ends(intervals.over_sets(sets[1] - sets[0]))
        p = differences.sign_flip(sets[1] - sets[0])
    measured = {"before": before, "after": after}
    reasons = {when: one.reason(name) for when, one in measured.items()}
    return Change(
        title,
        values[0],
        before.interval(name),
        values[1],
        after.interval(name),
        change,
        interval,
        p,
        before_all_probes=before.all_probes(name),
        after_all_probes=after.all_probes(name),
        reasons=tuple(f"{when}: {why}" for when, why in reasons.items() if why),
    )


def format_interval(value: float | None, interval: Interval | None, sign="") -> str:
    """A value and its interval.

    Args:
      value: the value; None where it is undefined.
      interval: its ends; None without one.
      sign: "+" to write positive numbers with their sign.

    Returns:
      Such as "0.123 [0.100, 0.150]"; "-" for an undefined value.

    Example:
      >>> format_interval(0.5, (0.25, 0.75)), format_interval(0.5, None, "+")
      ('0.500 [0.250, 0.750]', '+0.500')
    """
    if value is None:
        return "-"
    text = f"{value:{sign}.3f}"
    if interval is None:
        return text
    return f"{text} [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"
