"""Quantities of a measurement by name: value, interval and values set by set.

What the terminal's tables and the page show of a measurement is read here alone. A
record is `jaxent.measure.entangle.Measurement.to_json`: values over the replicate sets
at the top, `intervals` of the same values, `set_values`, the sets' contributions whose
mean a value is, and `all_probes`, the one fit on all probes together.
"""

import dataclasses
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxent.runs import folder as run_folder

Record = Mapping[str, Any]

CONCEPTS = ("domain", "register", "shape")
ALL_PROBES = ("ei", "nested_ei", "sei")
"""What the page shows of the fit on all probes too."""


def _no_interval(record: Record) -> str | None:
    return None


def _no_sets(record: Record) -> np.ndarray | None:
    return None


@dataclasses.dataclass(frozen=True)
class Quantity:
    """How a quantity is read from a measurement's record.

    Attributes:
      value: the quantity over the replicate sets; None where it is undefined.
      interval_name: its name among the record's `intervals`; None without one.
      sets: the sets' contributions [R], whose mean is the value, to be averaged and
        differenced; None where one is undefined, or with fewer than two sets.
    """

    value: Callable[[Record], float | None]
    interval_name: Callable[[Record], str | None] = _no_interval
    sets: Callable[[Record], np.ndarray | None] = _no_sets


def _set_values(record: Record) -> Mapping[str, Sequence[float | None]]:
    return record.get("set_values") or {}


def _complete(values: Sequence[float | None] | None) -> np.ndarray | None:
    """The values [R] as an array; None with fewer than two or with an undefined one."""
    if values is None or len(values) < 2 or any(v is None for v in values):
        return None
    return np.asarray(values, float)


def _recorded(name: str) -> Quantity:
    """A quantity that the record holds under its own name everywhere."""

    def value(record: Record) -> float | None:
        return record.get(name)

    def interval_name(record: Record) -> str:
        return name

    def sets(record: Record) -> np.ndarray | None:
        return _complete(_set_values(record).get(name))

    return Quantity(value, interval_name, sets)


def _of_concept(group: str, prefix: str, concept: str) -> Quantity:
    """One concept's number of a group; intervals and sets call it "prefix.concept"."""
    plain = _recorded(f"{prefix}.{concept}")

    def value(record: Record) -> float | None:
        return record[group].get(concept)

    return dataclasses.replace(plain, value=value)


def _least_margin(record: Record) -> float:
    return min(record["margins"].values())


def _weakest_margin(record: Record) -> str:
    return f"margin.{record['weakest']}"


def _least_margin_by_set(record: Record) -> np.ndarray | None:
    return _complete(_set_values(record).get(_weakest_margin(record)))


def _of_all_probes(name: str) -> Quantity:
    """A number of the fit on all probes, which has no interval."""

    def value(record: Record) -> float | None:
        return record["all_probes"].get(name)

    return Quantity(value)


def _rank(record: Record) -> int:
    return len(record["singular"])


QUANTITIES: Mapping[str, Quantity] = types.MappingProxyType(
    {
        "ei": _recorded("ei"),
        "nested_ei": _recorded("nested_ei"),
        "sei": _recorded("sei"),
        "overlap": _recorded("overlap"),
        "cvo": _recorded("cvo"),
        "v_purity": _recorded("v_purity"),
        "margin": Quantity(_least_margin, _weakest_margin, _least_margin_by_set),
        "rank": Quantity(_rank),
        **{f"{name}_all_probes": _of_all_probes(name) for name in ALL_PROBES},
        **{f"{c}_accuracy": _of_concept("accuracy", "accuracy", c) for c in CONCEPTS},
        **{f"{c}_margin": _of_concept("margins", "margin", c) for c in CONCEPTS},
    }
)
"""Every quantity by name. margin: the smallest over concepts; rank: of directions."""


def find_quantity(name: str) -> Quantity:
    """Looks a quantity up.

    Args:
      name: its name in `QUANTITIES`.

    Returns:
      How to read it.

    Raises:
      KeyError: there is none of that name; names the ones there are.

    Example:
      >>> find_quantity("domain_accuracy").value({"accuracy": {"domain": 0.95}})
      0.95
    """
    if name not in QUANTITIES:
        raise KeyError(f"no quantity {name!r}: there are {', '.join(QUANTITIES)}")
    return QUANTITIES[name]


@dataclasses.dataclass(frozen=True)
class Measured:
    """One measurement of entanglement.

    Attributes:
      step: optimizer steps before it.
      record: `entangle.Measurement.to_json` and what was noted beside it.

    Example:
      >>> measured = Measured(0, {"ei": 0.5, "margins": {"domain": 2.0, "shape": 1.0}})
      >>> measured.value("ei"), measured.value("margin"), measured.value("cvo")
      (0.5, 1.0, None)
    """

    step: int
    record: Record

    def value(self, name: str) -> float | None:
        """Reads a quantity.

        Args:
          name: of a quantity in `QUANTITIES`.

        Returns:
          The number; None where it is undefined.

        Raises:
          KeyError: there is no such quantity.
        """
        return find_quantity(name).value(self.record)

    def reason(self, name: str) -> str | None:
        """Reads why a quantity is undefined.

        Args:
          name: of a quantity in `QUANTITIES`.

        Returns:
          The reason that the measurement recorded, if any.
        """
        return self.record.get("reasons", {}).get(name)

    def all_probes(self, name: str) -> float | None:
        """Reads a quantity of the one fit on all probes.

        Args:
          name: of a quantity in `QUANTITIES`.

        Returns:
          The number; None where it is undefined, and of CVO, which has no such fit.
        """
        fit = self.record.get("all_probes") or {}
        concept, _, kind = name.rpartition("_")
        groups = {"accuracy": "accuracy", "margin": "margins"}
        if concept in CONCEPTS and kind in groups:
            return fit.get(groups[kind], {}).get(concept)
        return fit.get(name)

    def interval(self, name: str) -> tuple[float, float] | None:
        """Reads a quantity's 95% interval over replicate sets.

        Args:
          name: of a quantity in `QUANTITIES`.

        Returns:
          (low, high) as the measurement recorded it; None without one.

        Raises:
          KeyError: there is no such quantity.
        """
        recorded = find_quantity(name).interval_name(self.record)
        interval = self.record["intervals"].get(recorded)
        if not interval or interval["low"] is None:
            return None
        return interval["low"], interval["high"]

    def sets(self, name: str) -> np.ndarray | None:
        """Reads a quantity set by set.

        Args:
          name: of a quantity in `QUANTITIES`.

        Returns:
          One contribution a replicate set [R], whose mean is the value, to be averaged
          and differenced. None where one is undefined, or with fewer than two sets.

        Raises:
          KeyError: there is no such quantity.
        """
        return find_quantity(name).sets(self.record)


def _nested(*path: str) -> Callable[[Record], float | None]:
    """Reads a number below several keys; None where one of them is absent or null."""

    def read(record: Record) -> float | None:
        value: Any = record
        for key in path:
            value = value.get(key)
            if value is None:
                return None
        return value

    return read


RESULTS: Mapping[str, Callable[[Record], float | None]] = types.MappingProxyType(
    {
        "drift": _nested("drift", "total"),
        "drift_outside": _nested("drift", "outside"),
        "csr_drift": _nested("csr_drift", "total"),
        "csr_drift_outside": _nested("csr_drift", "outside"),
        "csr_ratio": _nested("csr_ratio"),
        "csr_loss": _nested("csr_loss"),
        "sv_energy": _nested("sv_energy", "total"),
        "final_loss": _nested("final_loss"),
        "humaneval": _nested("coding", "base"),
        "humaneval_plus": _nested("coding", "plus"),
        "humaneval_plus_passes": _nested("coding", "passes"),
        "humaneval_samples": _nested("coding", "samples"),
        "nats_a_byte": _nested("coding", "nats_a_byte"),
        "nats_a_byte_change": _nested("coding", "nats_a_byte_change"),
    }
)
"""Numbers of a summary.json by name, None where it has none.

drift: of the activations of the measurement's probes. csr_drift: of CSR's probes.
csr_ratio: of the penalty's gradient to the loss's. humaneval... and nats_a_byte...:
fractions, counts and likelihoods of canonical solutions, of
`jaxent.runs.evaluate.coding_scores`, which a study adds as "coding".
"""


def before(summary: Record, name: str) -> float | None:
    """Reads a quantity of the measurement before training.

    Args:
      summary: a summary.json.
      name: of a quantity in `QUANTITIES`.

    Returns:
      The number; None where it is undefined.

    Raises:
      KeyError: there is no such quantity.

    Example:
      >>> before({"before": {"sei": 0.2}}, "sei")
      0.2
    """
    return find_quantity(name).value(summary["before"])


def after(summary: Record, name: str) -> float | None:
    """Reads a quantity of the measurement after training.

    Args:
      summary: a summary.json.
      name: of a quantity in `QUANTITIES`.

    Returns:
      The number; None where it is undefined.

    Raises:
      KeyError: there is no such quantity.

    Example:
      >>> after({"after": {"sei": 0.2}}, "sei")
      0.2
    """
    return find_quantity(name).value(summary["after"])


_OUTCOMES = {"pass", "wrong", "error", "timeout", "died"}


def share_passed(
    ended: Sequence[Mapping[str, Any]], suites: Sequence[str]
) -> dict[str, float]:
    """By task, the share of its samples that passed all of some suites.

    Args:
      ended: `ended` of a scores.json.
      suites: "base", or "base" and "plus".

    Raises:
      ValueError: a sample ended in a way that nobody knows.

    Example:
      >>> one = {"task_id": "HumanEval/0", "base": "pass", "plus": "wrong"}
      >>> share_passed([one], ["base"]), share_passed([one], ["base", "plus"])
      ({'HumanEval/0': 1.0}, {'HumanEval/0': 0.0})
    """
    samples: dict[str, list[bool]] = {}
    for one in ended:
        if not {one["base"], one["plus"]} <= _OUTCOMES:
            raise ValueError(
                f"{run_folder.SCORES}: {one['task_id']} ended in {one['base']!r} and "
                f"{one['plus']!r}, expected one of {sorted(_OUTCOMES)}"
            )
        passed = all(one[suite] == "pass" for suite in suites)
        samples.setdefault(one["task_id"], []).append(passed)
    return {task: sum(all_) / len(all_) for task, all_ in sorted(samples.items())}
