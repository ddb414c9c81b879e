"""What a run measured before and after training, quantity by quantity."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxent.runs import quantities
from jaxent.stats import differences, intervals

Interval = tuple[float, float]

QUANTITIES = {
    "CVO": "cvo",
    "EI (literal)": "ei",
    "nested EI": "nested_ei",
    "SEI": "sei",
    "V-purity": "v_purity",
}
"""Title to name in `quantities.QUANTITIES`; the accuracy of each concept follows."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One quantity before and after training; None where it is undefined.

    Attributes:
      title: its title.
      before: its value before training.
      before_interval: its 95% interval over probe sets.
      after: its value after training.
      after_interval: its 95% interval over probe sets.
      change: mean of the paired change over probe sets.
      change_interval: its 95% interval.
      p: exact p of the change by flipping signs.
    """

    title: str
    before: float | None
    before_interval: Interval | None
    after: float | None
    after_interval: Interval | None
    change: float | None
    change_interval: Interval | None
    p: float | None


def list_changes(summary: Mapping[str, Any]) -> list[Change]:
    """Every quantity before and after training, with the paired change over sets.

    Args:
      summary: a summary.json.

    Returns:
      One `Change` a quantity: `QUANTITIES`, then each concept's accuracy.
    """
    before, after = (
        quantities.Measured(summary[when].get("step", 0), summary[when])
        for when in ("before", "after")
    )
    names = dict(QUANTITIES)
    names |= {f"accuracy, {c}": f"{c}_accuracy" for c in before.record["accuracy"]}
    return [_make_change(title, name, before, after) for title, name in names.items()]


def _make_change(
    title: str, name: str, before: quantities.Measured, after: quantities.Measured
) -> Change:
    sets = before.sets(name), after.sets(name)
    mean = interval = p = None
    if sets[0] is not None and sets[1] is not None:
        change = sets[1] - sets[0]
        mean = float(change.mean())
        interval = intervals.t_interval(change)
        p = differences.sign_flip(change)
    return Change(
        title,
        before.value(name),
        before.interval(name),
        after.value(name),
        after.interval(name),
        mean,
        interval,
        p,
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
