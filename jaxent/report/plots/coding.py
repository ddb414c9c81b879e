"""HumanEval by condition, and its difference from the base model."""

import math
from collections.abc import Sequence

from jaxent.paper import tables as paper_tables
from jaxent.report import coding_values, match
from jaxent.report.plots import labels, style
from jaxent.stats import proportions

_Reach = list[list[float]]
"""How far an interval reaches below and above its estimate: [[below], [above]]."""


def by_condition(results: match.ResultSet):
    """Draws Table 9: measured scores beside published ones.

    Measured scores have Wilson intervals; measured differences from the base model are
    paired by problem.

    Args:
      results: the results at the paper's models and settings.

    Returns:
      The figure.
    """
    rows = paper_tables.T9.rows
    ours = [
        result
        for result in results.evaluations
        if any(match.matches(row.key, result.key) for row in rows)
    ]
    keys = [row.key for row in rows] + [one.key for one in ours]
    conditions = list(dict.fromkeys(key["condition"] for key in keys))
    width = max(4.6, 0.65 * len(conditions) + 1)
    drawn, ((left, right),) = style.figure(1, 2, width=width, height=3.4)
    for row in rows:
        _draw_published(left, right, conditions.index(row.key["condition"]), row)
    for one in ours:
        position = conditions.index(one.key["condition"])
        _draw_scores(left, position, one)
        _draw_change(right, position, results, one)
    for axis in (left, right):
        axis.set_xticks(range(len(conditions)), conditions, fontsize=8)
        axis.set_xlim(-0.6, len(conditions) - 0.4)
        if not ours:
            style.title_not_run(axis)
    style.finish(left, "pass@1 (hollow: HumanEval; filled: HumanEval+)", "%")
    left.set_ylim(top=1.3 * left.get_ylim()[1])
    style.finish(right, "HumanEval+ minus the base model", "points")
    return drawn


def _draw_published(left, right, position: int, row: paper_tables.Row) -> None:
    values = row.values
    left.bar(
        position - 0.3,
        values["he"],
        0.18,
        color="white",
        edgecolor=style.GREY,
        label="published HumanEval",
    )
    left.bar(
        position - 0.12,
        values["he_plus"],
        0.18,
        color=style.GREY,
        label="published HumanEval+",
    )
    change = values["he_plus_change"]
    if change is not None:
        right.errorbar(
            position - 0.12,
            change,
            [[change - values["low"]], [values["high"] - change]],
            fmt="s",
            color=style.GREY,
            capsize=3,
            markersize=4,
            label="published (as printed)",
        )


def _draw_scores(axis, position: int, one: match.KeyedResult) -> None:
    """Two bars with their intervals: base tests hollow, plus tests filled."""
    color = style.color(one.key["condition"])
    for shift, suite, face in ((0.1, "base", "white"), (0.28, "plus", color)):
        share, reach = _passed(one, suite)
        axis.bar(
            position + shift,
            share,
            0.18,
            yerr=reach,
            capsize=2,
            color=face,
            edgecolor=color,
            error_kw={"linewidth": 0.8},
            label="measured (95% Wilson)" if suite == "plus" else None,
        )


def _draw_change(
    axis, position: int, results: match.ResultSet, one: match.KeyedResult
) -> None:
    change = _change(results, one)
    if change is not None:
        axis.errorbar(
            position + 0.12,
            *change,
            fmt="D",
            color=style.color(one.key["condition"]),
            capsize=3,
            markersize=5,
            label="measured (95%, paired)",
        )


def by_evaluation(results: match.ResultSet):
    """Draws the scores of any evaluations, a line for each.

    Args:
      results: any results.

    Returns:
      The figure, or None where nothing was evaluated.
    """
    evaluations = results.evaluations
    if not evaluations:
        return None
    height = 0.24 * len(evaluations) + 1.2
    drawn, ((left, right),) = style.figure(
        1,
        2,
        width=4.8,
        height=height,
        sharey=True,
    )
    for position, one in enumerate(evaluations):
        _draw_line(left, right, position, results, one)
    left.set_yticks(range(len(evaluations)), _names(evaluations), fontsize=8)
    left.invert_yaxis()
    low, high = right.get_xlim()
    right.set_xlim(min(low, -5), max(high, 5))
    percent = f"%{_problems(evaluations)} (95% Wilson)"
    for axis, title, unit in (
        (left, "pass@1 (hollow: base tests; filled: plus)", percent),
        (right, "plus, minus the base model", "points (95%, paired by problem)"),
    ):
        axis.axvline(0, color=style.LINE, linewidth=0.8, zorder=0)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(unit)
    return drawn


def _draw_line(
    left, right, position: int, results: match.ResultSet, one: match.KeyedResult
) -> None:
    color = style.color(one.key["condition"])
    for shift, suite, face in ((-0.15, "base", "white"), (0.15, "plus", color)):
        share, reach = _passed(one, suite)
        left.errorbar(
            share,
            position + shift,
            xerr=reach,
            fmt="o",
            color=color,
            markerfacecolor=face,
            capsize=2,
            markersize=4,
            elinewidth=0.8,
        )
    change = _change(results, one)
    if change is not None:
        right.errorbar(
            change[0],
            position,
            xerr=change[1],
            fmt="D",
            color=color,
            capsize=2,
            markersize=4,
            elinewidth=0.8,
        )


def _names(evaluations: Sequence[match.KeyedResult]) -> list[str]:
    """Model, condition and seed; the number of problems too, where it varies."""
    numbers = [len(one.record.passed["plus"]) for one in evaluations]
    names = []
    for one, number in zip(evaluations, numbers):
        name = labels.group_name(one.key).replace("\n", " ")
        if "seed" in one.key:
            name += f" seed {one.key['seed']}"
        if len(set(numbers)) > 1:
            name += f" ({number} problems)"
        names.append(name)
    return names


def _problems(evaluations: Sequence[match.KeyedResult]) -> str:
    """How many problems there are, if all evaluations have as many, and of what."""
    numbers = {len(one.record.passed["plus"]) for one in evaluations}
    if len(numbers) > 1:
        return ""
    foreign = any(coding_values.count_foreign_problems(one) for one in evaluations)
    what = " that are not the benchmark's" if foreign else ""
    return f" of {numbers.pop()} problems{what}"


def _passed(one: match.KeyedResult, suite: str) -> tuple[float, _Reach]:
    """Per cent passed, and how far the Wilson interval reaches."""
    passed = list(one.record.passed[suite].values())
    share = proportions.wilson(round(sum(passed)), len(passed))
    below = max(0, 100 * (share.estimate - share.low))
    above = 100 * (share.high - share.estimate)
    return 100 * share.estimate, [[below], [above]]


def _change(
    results: match.ResultSet, one: match.KeyedResult
) -> tuple[float, _Reach] | None:
    """Points from the base model on the plus tests, and how far their interval reaches.

    None without an evaluation of the base model; no reach without an interval.
    """
    paired = coding_values.compare_with_base(results, one)
    if paired is None:
        return None
    change = paired.difference
    if math.isnan(change.low):
        return 100 * change.estimate, [[0], [0]]
    below = 100 * (change.estimate - change.low)
    above = 100 * (change.high - change.estimate)
    return 100 * change.estimate, [[below], [above]]
