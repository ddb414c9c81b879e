"""What the runs say about one quantity of one cell: what a claim's test is given."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxent.paper import models as paper_models
from jaxent.report import crosstalk_values, match
from jaxent.report import values as table_values
from jaxent.runs import quantities, records, seeds

Key = Mapping[str, Any]

_MEASURED_AS = {"ei_after": "ei", "ei_before": "ei"}


class MissingError(Exception):
    """What a claim needs and these runs do not have, in a sentence."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """One quantity of one cell.

    Attributes:
      name: of the cell.
      values: one a seed [n].
      sets: one a replicate set [R], or None.
      interval: where a record has one and no values set by set.
      passed: of coding, the share passed of each problem, by task.
      trained: whether other seeds could differ, which those of a base model cannot.
    """

    name: str
    values: np.ndarray
    sets: np.ndarray | None = None
    interval: tuple[float, float] | None = None
    passed: Mapping[str, float] | None = None
    trained: bool = True

    @property
    def text(self) -> str:
        """The numbers, as a verdict prints them."""
        if self.passed is not None:
            passes, n = sum(self.passed.values()), len(self.passed)
            return f"{self.name}: {passes:g} of {n} ({100 * passes / n:.1f}%)"
        if not np.isfinite(self.values).all():
            steps = ("never" if np.isinf(v) else f"{v:g}" for v in self.values)
            return f"{self.name}: {', '.join(steps)}"
        summary = seeds.over_seeds(self.values.tolist())
        if summary is None:
            return f"{self.name}: no seed"
        text = f"{self.name}: {summary.mean:.4g}"
        if summary.sd is not None:
            text += f" ± {summary.sd:.3g} ({summary.n} seeds)"
        if self.interval:
            low, high = self.interval
            text += f" [{low:.3g}, {high:.3g}]"
        return text


def get_sample(results: match.ResultSet, metric: str, key: Key) -> Sample:
    """Collects one metric of one cell.

    Args:
      results: the paper's records.
      metric: of a claim.
      key: the cell; with "step", at that step.

    Returns:
      The values there are.

    Raises:
      MissingError: no finished run has it.
    """
    if metric in _SAMPLES:
        return _SAMPLES[metric](results, key)
    return measure_sample(
        results, _MEASURED_AS.get(metric, metric), key, key.get("step")
    )


def measure_sample(
    results: match.ResultSet, quantity: str, key: Key, step: int | str | None = None
) -> Sample:
    """Collects an estimator of a cell's runs at a step.

    Args:
      results: the paper's records.
      quantity: a name of `quantities.QUANTITIES`.
      key: the cell.
      step: a number, "before", or None for the end.

    Returns:
      One value a seed, and a replicate set where all seeds have them.

    Raises:
      MissingError: a run was not measured there, or the quantity is undefined.
    """
    cell = {name: value for name, value in key.items() if name != "step"}
    measurements = []
    values = []
    for result in find_runs(results, cell):
        measured = _measured_at(result.record, step)
        folder = result.record.folder
        if measured is None:
            raise MissingError(
                f"{cell_name(key)}: {folder} was not measured at step {step}"
            )
        value = measured.value(quantity)
        if value is None:
            reason = measured.reason(quantity)
            raise MissingError(f"{quantity} of {folder} is undefined: {reason}")
        measurements.append(measured)
        values.append(value)
    name = f"{cell_name(key)} {step}" if step == "before" else cell_name(key)
    pooled = table_values.pool_sets(measurements, quantity)
    return Sample(name, np.array(values, float), pooled)


def _measured_at(
    run: records.Run, step: int | str | None
) -> quantities.Measured | None:
    if step is None:
        return run.after
    if isinstance(step, str):
        return run.before
    return run.at(step)


def find_runs(
    results: match.ResultSet, key: Key
) -> list[match.KeyedResult[records.Run]]:
    """Finds a cell's finished runs.

    Args:
      results: the paper's records.
      key: the cell.

    Returns:
      Its runs by seed.

    Raises:
      MissingError: there are none.
    """
    runs = [run for run in results.finished if match.matches(key, run.key)]
    if not runs:
        raise MissingError(f"{cell_name(key)} was not run")
    return sorted(runs, key=_seed)


def _seed(run: match.KeyedResult) -> int:
    return run.key.get("seed", 0)


def cell_name(key: Key) -> str:
    """Names a cell in words.

    Args:
      key: the cell.

    Returns:
      Model, condition and what else the key has.

    Example:
      >>> cell_name({"model": "Qwen2.5-Coder-7B", "condition": "B3", "step": 500})
      'Qwen-7B B3 step 500'
    """
    parts = [paper_models.short_name(key.get("model", ""))]
    if key.get("condition") != "B0" or "companion" not in key:
        parts.append(key.get("condition", ""))
    if key.get("intervention") == "light":
        parts.append("light")
    if "lambda" in key:
        parts.append(f"lambda {key['lambda']:g}")
    if "step" in key:
        parts.append(f"step {key['step']}")
    if "companion" in key:
        parts.append(f"code with {key['companion']}")
    return " ".join(filter(None, parts))


def steps_to_zero(run: records.Run) -> float:
    """Finds when EI reaches 0 for good.

    Args:
      run: a finished run.

    Returns:
      The first measured step from which EI is 0 to the end; infinite if it is not 0 at
      the end.
    """
    first = np.inf
    for measured in reversed(run.measured):
        if measured.value("ei") != 0:
            break
        first = measured.step
    return first


def recovers(run: records.Run) -> bool:
    """Whether EI, once 0, is above 0 again later, and 0 at the end.

    Args:
      run: a finished run.

    Returns:
      Whether it does.
    """
    path = [measured.value("ei") for measured in run.measured]
    if 0 not in path or path[-1] != 0:
        return False
    return any(path[path.index(0) :])


def _sample_recoveries(results: match.ResultSet, key: Key) -> Sample:
    runs = find_runs(results, key)
    return Sample(
        cell_name(key), np.array([float(recovers(run.record)) for run in runs])
    )


def _sample_steps_to_zero(results: match.ResultSet, key: Key) -> Sample:
    runs = find_runs(results, key)
    return Sample(cell_name(key), np.array([steps_to_zero(run.record) for run in runs]))


def _sample_energy(results: match.ResultSet, key: Key) -> Sample:
    runs = find_runs(results, key)
    energies = [run.record.result("sv_energy") for run in runs]
    if any(energy is None for energy in energies):
        raise MissingError(f"SV energy of {cell_name(key)} is not recorded")
    return Sample(cell_name(key), np.array(energies, float))


def _sample_base_ei(results: match.ResultSet, key: Key) -> Sample:
    return _sample_base(results, "ei", key)


def _sample_margin(results: match.ResultSet, key: Key) -> Sample:
    return _sample_base(results, "margin", key)


def _sample_base(results: match.ResultSet, quantity: str, key: Key) -> Sample:
    model = key["model"]
    measurements = table_values.base_measurements(results).get(model)
    if not measurements:
        raise MissingError(f"the base model {model} was not measured")
    first = measurements[0]
    value = first.value(quantity)
    if value is None:
        reason = first.reason(quantity)
        raise MissingError(f"{quantity} of {model} is undefined: {reason}")
    sets = first.sets(quantity)
    return Sample(cell_name(key), np.array([value]), sets, trained=False)


def _sample_crosstalk(results: match.ResultSet, key: Key) -> Sample:
    """Of a base model's pair with code, or of a condition's companion.

    A condition's companion counts whatever model its crosstalk was measured on.
    """
    companions = crosstalk_values.COMPANIONS
    companion = key.get("companion") or companions.get(key["condition"])
    if companion == "nl":
        raise MissingError(
            "natural language is no domain of the crosstalk probes "
            "(in the paper neither)"
        )
    for row_key, values in crosstalk_values.crosstalk_rows(results):
        if row_key["companion"] != companion or row_key["condition"] != "B0":
            continue
        if "companion" in key and row_key["model"] != key["model"]:
            continue
        name = cell_name(key)
        if "companion" not in key:
            model = paper_models.short_name(row_key["model"])
            name = f"{key['condition']}, code with {companion} in {model}"
        return _of_crosstalk_value(name, companion, values["ct"])
    raise MissingError(f"crosstalk of code with {companion} was not measured")


def _of_crosstalk_value(
    name: str, companion: str | None, value: table_values.Value
) -> Sample:
    if value.mean is None:
        raise MissingError(
            f"crosstalk of code with {companion} is undefined: {value.why}"
        )
    interval = None
    if value.low is not None and value.high is not None:
        interval = (value.low, value.high)
    return Sample(name, np.array([value.mean]), interval=interval)


def _sample_lean(results: match.ResultSet, key: Key) -> Sample:
    """How much more code loses without the companion's direction than the reverse.

    (D_ab - D_ba) / (|D_ab| + |D_ba|), b being code: 1 if only code loses.
    """
    companion = key["companion"]
    base = {"model": key["model"], "condition": "B0"}
    for result in results.crosstalks:
        if not match.matches(base, result.key):
            continue
        for other, pair, intervals in crosstalk_values.pairs_with_code(result.record):
            if other != companion:
                continue
            if pair["lean"] is None:
                raise MissingError(
                    f"the asymmetry of code with {companion} is undefined: "
                    "neither loses anything"
                )
            sign = 1 if pair["a"] == companion else -1
            ends = crosstalk_values.interval_ends(intervals.get("lean"))
            if ends is not None:
                ends = (min(sign * e for e in ends), max(sign * e for e in ends))
            values = np.array([sign * pair["lean"]])
            return Sample(cell_name(key), values, interval=ends)
    raise MissingError(f"crosstalk of code with {companion} was not measured")


def _sample_coding(results: match.ResultSet, key: Key) -> Sample:
    passed = [
        evaluation.record.passed["plus"]
        for evaluation in results.evaluations
        if match.matches(key, evaluation.key)
    ]
    name = cell_name(key)
    if not passed:
        raise MissingError(f"{name} was not evaluated on HumanEval+")
    if any(one.keys() != passed[0].keys() for one in passed):
        raise MissingError(f"{name}: its evaluations are of different problems")
    over_seeds = {
        task: float(np.mean([one[task] for one in passed])) for task in passed[0]
    }
    rates = np.array([100 * np.mean(list(one.values())) for one in passed])
    return Sample(name, rates, passed=over_seeds)


_SAMPLES: Mapping[str, Callable[[match.ResultSet, Key], Sample]] = {
    "ei_before": _sample_base_ei,
    "margin": _sample_margin,
    "ct": _sample_crosstalk,
    "he_plus": _sample_coding,
    "sv_energy": _sample_energy,
    "lean": _sample_lean,
    "recovers": _sample_recoveries,
    "steps_to_zero": _sample_steps_to_zero,
}
"""Metrics that are not read from a measurement after training."""
