"""Measured coding: scores for Tables 9 and 10, and likelihoods of solutions."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.runs import records
from jaxent.stats import proportions

Result = match.KeyedResult[records.Evaluation]

_TITLES = {"humaneval": "HumanEval", "mbpp": "MBPP"}
_PREFIXES = {"humaneval": "HumanEval/", "mbpp": "Mbpp/"}


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
        values["benchmark"] = _benchmark_value(evaluation)
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


def likelihood_rows(results: match.ResultSet) -> table_values.Rows:
    """Likelihoods of canonical solutions, and differences from the base model.

    Args:
      results: records of a section.

    Returns:
      A row an evaluation that has measured any.
    """
    rows: table_values.Rows = []
    for evaluation in results.evaluations:
        content = evaluation.record.likelihood
        if content is not None and content["nats_a_byte"] is not None:
            values = _likelihood_values(content)
            values["benchmark"] = _benchmark_value(evaluation)
            rows.append((dict(evaluation.key), values))
    return rows


def _likelihood_values(content: Mapping[str, Any]) -> dict[str, table_values.Value]:
    n = len(content["solutions"])
    left_out = len(content.get("left_out", ()))
    why = content.get("subset") or None
    if left_out:
        why = f"{left_out} problems are left out: likelihood.json says why"
    values = {"nats": table_values.Value(content["nats_a_byte"], n=n, why=why)}
    paired = content["paired"]
    if paired is None:
        return values
    numbers = {
        "base_nats": content["base_nats_a_byte"],
        "nats_change": paired["estimate"],
        "nats_low": paired["low"],
        "nats_high": paired["high"],
        "nats_t": paired["t"],
        "better": paired["below"],
        "worse": paired["above"],
        "sign_p": paired["sign_p"],
    }
    why = "too few problems, or none on which the two differ"
    return values | {
        name: table_values.Value(value, n=n, why=why if value is None else None)
        for name, value in numbers.items()
    }


def _benchmark_value(evaluation: Result) -> table_values.Value:
    """Whose problems they are, in words; a chat is another task and says so."""
    settings = evaluation.record.settings
    name = _TITLES[settings.get("benchmark", "humaneval")]
    foreign = count_foreign_problems(evaluation)
    words = [f"own, as {name}'s" if foreign else name]
    if settings.get("prompt_format", "raw") != "raw":
        words.append(f"asked in a {settings['prompt_format']}")
    return table_values.Value(", ".join(words))


def _score_values(evaluation: Result) -> dict[str, table_values.Value]:
    plus = evaluation.record.passed["plus"]
    base = evaluation.record.passed["base"]
    passes, n = sum(plus.values()), len(plus)
    why = _not_the_benchmark(evaluation)
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
    why = _not_the_benchmark(evaluation)
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
    """Counts the problems of an evaluation that are not its benchmark's.

    Args:
      evaluation: a keyed evaluation.

    Returns:
      Their number.
    """
    tasks = evaluation.record.passed["base"]
    benchmark = evaluation.record.settings.get("benchmark", "humaneval")
    return sum(not task.startswith(_PREFIXES[benchmark]) for task in tasks)


def _not_the_benchmark(evaluation: Result) -> str | None:
    """What a reader has to know of scores that are not of a whole benchmark."""
    number = count_foreign_problems(evaluation)
    if number:
        name = _TITLES[evaluation.record.settings.get("benchmark", "humaneval")]
        return (
            f"of {number} problems that are not {name}'s: no score on {name}, "
            "and not to be compared with one"
        )
    return evaluation.record.scores["subset"] or None
