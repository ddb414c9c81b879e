"""Measured values of every table, keyed as the rows of `paper.tables` are.

A function a kind of table: it takes a `match.ResultSet` and gives rows, (key, values
by column id). `grid.published` puts them beside the paper's, `grid.measured` shows them
alone.
`coding_values` has the tables of coding.
"""

import collections
import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxent.report import match
from jaxent.runs import quantities, records
from jaxent.runs import seeds as run_seeds
from jaxent.stats import differences, intervals


@dataclasses.dataclass(frozen=True)
class Value:
    """A measured value.

    Attributes:
      mean: over n seeds (n problems, for coding); words stand for themselves; None
        where it is undefined.
      sd: over seeds, n - 1 in the divisor.
      n: number of seeds or problems.
      low, high: 95% interval.
      sets: replicate sets the interval is over; None where it is of another kind.
      why: the reason if it is undefined, or what a reader has to know.
    """

    mean: float | str | None
    sd: float | None = None
    n: int | None = None
    low: float | None = None
    high: float | None = None
    sets: int | None = None
    why: str | None = None


Rows = list[tuple[Mapping[str, Any], Mapping[str, Value]]]
Runs = Sequence[match.KeyedResult[records.Run]]

_SHOWN = (
    *("cvo", "ei", "nested_ei", "sei", "v_purity", "domain_accuracy"),
    *(f"{name}_all_probes" for name in quantities.ALL_PROBES),
)
_OF_SUMMARY = ("sv_energy", "final_loss")
_OUTCOMES = {"falls": "deepened", "rises": "recovered"}


def of_seeds(values: Sequence[float | None], absent: str = "not recorded") -> Value:
    """Summarises one number a seed.

    Args:
      values: None where it is undefined.
      absent: the reason to give where it is undefined in every seed.

    Returns:
      Mean and SD over the seeds in which it is defined.

    Example:
      >>> of_seeds([1.0, 3.0, None]).why
      'undefined in 1 of 3 seeds'
    """
    summary = run_seeds.over_seeds(values)
    if summary is None:
        return Value(None, n=0, why=absent)
    return Value(summary.mean, summary.sd, summary.n, why=summary.note)


def over_seeds(measurements: Sequence[quantities.Measured], name: str) -> Value:
    """Summarises one quantity of the same moment of several seeds.

    Args:
      measurements: one a seed.
      name: of a quantity in `quantities.QUANTITIES`.

    Returns:
      Mean and SD over seeds, with the interval of that mean over replicate sets: of one
      seed as it was measured, of several from the sets' contributions, averaged over
      seeds. None where the quantity is undefined in a seed.
    """
    reasons = (measured.reason(name) for measured in measurements)
    reason = next(filter(None, reasons), None)
    values = [measured.value(name) for measured in measurements]
    value = of_seeds(values, reason or "not measured")
    if value.mean is None:
        return value
    if value.why is not None and reason is not None:
        value = dataclasses.replace(value, why=f"{value.why}: {reason}")
    interval, number = _interval_over_sets(measurements, name)
    if interval is None:
        return value
    low, high = interval
    return dataclasses.replace(value, low=low, high=high, sets=number)


def _interval_over_sets(
    measurements: Sequence[quantities.Measured], name: str
) -> tuple[tuple[float, float] | None, int]:
    """The interval and the number of sets."""
    if len(measurements) == 1:
        [measured] = measurements
        return measured.interval(name), measured.record.get("sets", 0)
    pooled = pool_sets(measurements, name)
    if pooled is None:
        return None, 0
    return intervals.ends(intervals.over_sets(pooled)), len(pooled)


def pool_sets(
    measurements: Iterable[quantities.Measured], name: str
) -> np.ndarray | None:
    """Averages the sets' contributions to one quantity over seeds.

    Args:
      measurements: one a seed.
      name: of a quantity in `quantities.QUANTITIES`.

    Returns:
      One contribution a replicate set [R], whose mean is that of the seeds' values;
      None unless every seed has all of them.
    """
    every: list[np.ndarray] = []
    for measured in measurements:
        values = measured.sets(name)
        if values is None or (every and len(values) != len(every[0])):
            return None
        every.append(values)
    return np.mean(every, axis=0) if every else None


def _group_runs(
    runs: Iterable[match.KeyedResult[records.Run]], *without: str
) -> dict[Hashable, list[match.KeyedResult[records.Run]]]:
    """Runs equal in all of their keys but `without`."""

    def key(run: match.KeyedResult[records.Run]) -> Hashable:
        return tuple((n, v) for n, v in run.key.items() if n not in without)

    return run_seeds.group_by(runs, key)


def _shared_key(group: Runs, *without: str) -> dict[str, Any]:
    return {n: v for n, v in group[0].key.items() if n not in without}


def _run_values(group: Runs) -> dict[str, Value]:
    """Before, after and change of a group of runs that differ in the seed only."""
    before = [run.record.before for run in group]
    after = [run.record.after for run in group]
    trained = group[0].key["condition"] != "B0"
    values = {}
    for name in _SHOWN:
        values[f"{name}_before"] = over_seeds(before, name)
        if trained:
            values[f"{name}_after"] = over_seeds(after, name)
    values |= _margins(before)
    if not trained:
        return values
    values |= _change(before, after)
    penalties = [run.record.result("csr_loss") for run in group]
    if any(penalty is not None for penalty in penalties):
        values["csr_loss"] = _of_results(penalties)
    for name in _OF_SUMMARY:
        values[name] = _of_results([run.record.result(name) for run in group])
    return values


def _of_results(numbers: Sequence[float | None]) -> Value:
    """Numbers of summary.json; seeds without one are left out without a note."""
    return of_seeds([number for number in numbers if number is not None])


def _margins(before: Sequence[quantities.Measured]) -> dict[str, Value]:
    """The base model's margin, and the concept that most seeds find the weakest."""
    counted = collections.Counter(measured.record["weakest"] for measured in before)
    [(weakest, _)] = counted.most_common(1)
    return {"margin": over_seeds(before[:1], "margin"), "weakest": Value(weakest)}


def _change(
    before: Sequence[quantities.Measured], after: Sequence[quantities.Measured]
) -> dict[str, Value]:
    """The changes of CVO and of EI, and EI's response in a word.

    EI's is in percent of before's mean. The word is what the intervals of the change
    allow. The SD is that of the seeds' own differences, the interval is over replicate
    sets; both are in percent of the same mean, taken as fixed.
    """
    values = {"cvo_change": _plain_change(before, after, "cvo")}
    paired = _paired_difference(before, after, "ei")
    if paired is None or not paired[1].mean():
        undefined = Value(None, why="EI is undefined before or after")
        return values | {"ei_change": undefined, "response": undefined}
    change, starts, ends, number = paired
    word = "not decided"
    if change.below():
        word = "falls"
    elif change.above():
        word = "rises"
    percent = 100 / float(starts.mean())
    n = len(starts)
    sd = percent * float(np.std(ends - starts, ddof=1)) if n > 1 else None
    value = Value(percent * change.estimate, sd, n)
    if change.sets:
        low, high = (percent * end for end in change.sets)
        value = dataclasses.replace(value, low=low, high=high, sets=number)
    return values | {"ei_change": value, "response": Value(word)}


def _paired_difference(
    before: Sequence[quantities.Measured],
    after: Sequence[quantities.Measured],
    name: str,
) -> tuple[differences.Difference, np.ndarray, np.ndarray, int] | None:
    """The paired difference, the values before and after, and the number of sets."""
    starts = _defined([measured.value(name) for measured in before])
    ends = _defined([measured.value(name) for measured in after])
    if starts is None or ends is None:
        return None
    sets_before, sets_after = pool_sets(before, name), pool_sets(after, name)
    number = 0 if sets_after is None else len(sets_after)
    change = differences.difference(ends, starts, sets_after, sets_before, paired=True)
    return change, starts, ends, number


def _plain_change(
    before: Sequence[quantities.Measured],
    after: Sequence[quantities.Measured],
    name: str,
) -> Value:
    """A change in the quantity's own unit, with its interval over replicate sets."""
    paired = _paired_difference(before, after, name)
    if paired is None:
        reasons = (measured.reason(name) for measured in (*before, *after))
        return Value(None, why=next(filter(None, reasons), "not measured"))
    change, starts, ends, number = paired
    sd = float(np.std(ends - starts, ddof=1)) if len(starts) > 1 else None
    value = Value(change.estimate, sd, len(starts))
    if change.sets is None:
        return value
    low, high = change.sets
    return dataclasses.replace(value, low=low, high=high, sets=number)


def _defined(values: Sequence[float | None]) -> np.ndarray | None:
    """The values [n] as an array; None if one is undefined or there are none."""
    if not values or any(value is None for value in values):
        return None
    return np.array(values)


def group_rows(results: match.ResultSet) -> Rows:
    """Tables 2 and 5: runs that differ in nothing but the seed, before and after.

    Args:
      results: records of a section.

    Returns:
      A row a group.
    """
    groups = _group_runs(results.finished, "seed").values()
    return [(_shared_key(group, "seed"), _run_values(group)) for group in groups]


def run_rows(results: match.ResultSet) -> Rows:
    """Tables 3, 6 and 11: every run, before and after.

    Args:
      results: records of a section.

    Returns:
      A row a run.
    """
    return [(dict(run.key), _run_values([run])) for run in results.finished]


def group_step_rows(results: match.ResultSet) -> Rows:
    """Table 4: every group of runs at every step that all of its runs measured.

    Args:
      results: records of a section.

    Returns:
      A row a group and step, the key with "step".
    """
    return _step_rows(_group_runs(results.finished, "seed").values(), "seed")


def run_step_rows(results: match.ResultSet) -> Rows:
    """Tables 12 and 13: every run at every step at which it was measured.

    Args:
      results: records of a section.

    Returns:
      A row a run and step, the key with "step".
    """
    return _step_rows(_group_runs(results.finished).values())


def _step_rows(groups: Iterable[Runs], *without: str) -> Rows:
    rows: Rows = []
    for group in groups:
        steps = [{m.step for m in run.record.measured} for run in group]
        for step in sorted(set.intersection(*steps)):
            measurements = [run.record.at(step) for run in group]
            present = [measured for measured in measurements if measured is not None]
            values = {name: over_seeds(present, name) for name in _SHOWN}
            rows.append((_shared_key(group, *without) | {"step": step}, values))
    return rows


def base_measurements(
    results: match.ResultSet,
) -> dict[str, list[quantities.Measured]]:
    """Collects the measurements of base models.

    Args:
      results: records of a section.

    Returns:
      By model, those of B0 runs first, then other runs' beginnings, then those of a
      measure.json.
    """
    measurements: dict[str, list[quantities.Measured]] = {}
    fresh = [run for run in results.runs if ">" not in run.key["condition"]]
    for run in sorted(fresh, key=_base_first):
        measurements.setdefault(run.key["model"], []).append(run.record.before)
    for single in results.singles:
        if single.key["condition"] == "B0":
            measured = quantities.Measured(0, single.record.layers[-1])
            measurements.setdefault(single.key["model"], []).append(measured)
    return measurements


def _base_first(run: match.KeyedResult[records.Run]) -> bool:
    return run.key["condition"] != "B0"


def base_rows(results: match.ResultSet) -> Rows:
    """Table 7: every base model, measured once however many runs began there.

    Args:
      results: records of a section.

    Returns:
      A row a model.
    """
    rows: Rows = []
    for model, measurements in base_measurements(results).items():
        first = measurements[:1]
        values = {
            "cvo_before": over_seeds(first, "cvo"),
            "ei_before": over_seeds(first, "ei"),
            "v_purity_before": over_seeds(first, "v_purity"),
            **_margins(first),
        }
        rows.append(({"model": model, "condition": "B0"}, values))
    return rows


def reversal_rows(results: match.ResultSet) -> Rows:
    """Table 14: EI of the base, after the first condition and after the one on top.

    Args:
      results: records of a section.

    Returns:
      A row a group of runs that continue others.
    """
    rows: Rows = []
    continued = [run for run in results.finished if run.of in results.origin]
    for group in _group_runs(continued, "seed").values():
        origins = [results.origin[run.of] for run in group if run.of is not None]
        started = [run.record.before for run in group]
        ended = [run.record.after for run in group]
        response = _change(started, ended)["response"]
        word = response.mean
        if isinstance(word, str):
            word = _OUTCOMES.get(word, word)
        values = {
            "ei_before": over_seeds([origin.before for origin in origins], "ei"),
            "ei_after_b3": over_seeds(started, "ei"),
            "ei_after": over_seeds(ended, "ei"),
            "outcome": Value(word, why=response.why),
        }
        rows.append((_shared_key(group, "seed"), values))
    return rows
