"""Measured scores on HumanEval(+), for Tables 9 and 10."""

import math
from typing import Any

import numpy as np

from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.runs import records
from jaxent.stats import proportions

Result = match.KeyedResult[records.Evaluation]


def coding_rows(results: match.ResultSet) -> table_values.Rows:
    """Tables 9 and 10: scores, differences from the base model, and SV energy.

    Differences are paired by problem.

    Args:
      results: records of a section.

    Returns:
      A row an evaluation, then a row a run that was not evaluated and has an SV energy.
    """
    energies = {}
    for run in results.finished:
        energies[run.of] = run.record.result("sv_energy")
    rows: table_values.Rows = []
    for evaluation in results.evaluations:
        values = _score_values(evaluation) | _difference_values(results, evaluation)
        energy = energies.get(evaluation.of)
        if energy is not None:
            values["sv_energy"] = table_values.Value(energy)
        rows.append((dict(evaluation.key), values))
    evaluated = {evaluation.of for evaluation in results.evaluations}
    for run in results.finished:
        energy = energies[run.of]
        if run.of not in evaluated and energy is not None:
            rows.append((dict(run.key), {"sv_energy": table_values.Value(energy)}))
    return rows


def _score_values(evaluation: Result) -> dict[str, table_values.Value]:
    plus = evaluation.record.passed["plus"]
    base = evaluation.record.passed["base"]
    passes, n = sum(plus.values()), len(plus)
    why = _not_all_of_humaneval(evaluation)
    ends: dict[str, Any] = {}
    if float(passes).is_integer():
        passes = int(passes)
        interval = proportions.wilson(passes, n)
        ends = {"low": 100 * interval.low, "high": 100 * interval.high}
    share = 100 * sum(base.values()) / len(base)
    return {
        "he": table_values.Value(share, n=len(base), why=why),
        "he_plus": table_values.Value(100 * passes / n, n=n, why=why, **ends),
        "he_plus_passes": table_values.Value(passes, n=n, why=why),
    }


def _difference_values(
    results: match.ResultSet, evaluation: Result
) -> dict[str, table_values.Value]:
    """HumanEval+ minus the base model's, in points, with its interval."""
    paired = compare_with_base(results, evaluation)
    if paired is None:
        return {}
    n = len(evaluation.record.passed["plus"])
    difference = paired.difference
    why = _not_all_of_humaneval(evaluation)
    return {
        "he_plus_change": table_values.Value(100 * difference.estimate, n=n, why=why),
        "low": _end_value(100 * difference.low, n),
        "high": _end_value(100 * difference.high, n),
    }


def _end_value(end: float, n: int) -> table_values.Value:
    if math.isnan(end):
        why = "no problem on which the two differ"
        return table_values.Value(None, n=n, why=why)
    return table_values.Value(end, n=n)


def compare_with_base(
    results: match.ResultSet, evaluation: Result
) -> proportions.Paired | None:
    """Compares HumanEval+ with the base model's, problem by problem.

    Args:
      results: records of a section.
      evaluation: one of its evaluations.

    Returns:
      The comparison; None for a base model, or where no base model was evaluated on the
      same problems.
    """
    if evaluation.key["condition"] == "B0":
        return None
    problems = evaluation.record.passed["plus"].keys()
    for other in results.evaluations:
        is_base = other.key["condition"] == "B0" and other.base == evaluation.base
        if is_base and other.record.passed["plus"].keys() == problems:
            return proportions.paired(_passed_most(evaluation), _passed_most(other))
    return None


def _passed_most(evaluation: Result) -> np.ndarray:
    """Whether half or more of each problem's samples pass [n]."""
    return np.array(
        [share >= 0.5 for share in evaluation.record.passed["plus"].values()]
    )


def count_foreign_problems(evaluation: Result) -> int:
    """Counts the problems of an evaluation that are not HumanEval's.

    Args:
      evaluation: a keyed evaluation.

    Returns:
      Their number.
    """
    tasks = evaluation.record.passed["base"]
    return sum(not task.startswith("HumanEval/") for task in tasks)


def _not_all_of_humaneval(evaluation: Result) -> str | None:
    """What a reader has to know of scores that are not of all of HumanEval."""
    number = count_foreign_problems(evaluation)
    if number:
        return (
            f"of {number} problems that are not HumanEval's: no score on HumanEval, "
            "and not to be compared with one"
        )
    return evaluation.record.scores["subset"] or None
