"""EI, SEI and training loss over the steps of one model's runs."""

import collections
from collections.abc import Mapping, Sequence

import matplotlib.ticker
import numpy as np

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import labels, style
from jaxent.runs import records

_TITLES = {
    "ei": "EI (as published)",
    "sei": "SEI",
    "loss": "training loss (nats a token)",
}
_DASHES = ("-", "--", ":", "-.")  # of the groups of one condition
_MOST_IN_A_PANEL = 7  # groups of runs that one panel shows clearly
_Groups = Mapping[str, Sequence[records.Run]]


def draw(results: match.ResultSet, model: str):
    """Draws seeds thin, their mean thick, the paper's means dashed.

    Args:
      results: any results.
      model: the model's name in their keys. The paper prints means of the 32B model.

    Returns:
      The figure, or None where there is neither a run nor a published mean.
    """
    groups = _groups(results, model)
    printed = model == paper_models.QWEN_32B
    if not groups and not printed:
        return None
    rows = _panels(sorted(groups))
    drawn, axes = style.figure(
        len(rows),
        3 if groups else 1,
        width=4.2 if groups else 5.6,
        height=3.4,
    )
    for panels, (title, names) in zip(axes, rows.items()):
        for axis, quantity in zip(panels, _TITLES):
            _draw_groups(axis, groups, names, quantity)
            if quantity == "ei" and printed and title in ("", "strong"):
                _draw_published(axis)
            _finish(axis, quantity, title)
            if not groups:
                style.title_not_run(axis)
        if len(rows) > 1:
            _legend_beside(panels)
    if len(rows) == 1:
        _legend_below(drawn, axes[0][0], columns=6 if groups else 2)
    drawn.suptitle(labels.short_model_name(model), fontsize=10, x=0.01, ha="left")
    return drawn


def _groups(results: match.ResultSet, model: str) -> dict[str, list[records.Run]]:
    """The model's runs that train from the base model, by what they differ in."""
    groups: dict[str, list[records.Run]] = collections.defaultdict(list)
    for result in results.runs:
        condition = result.key["condition"]
        if result.key["model"] == model and condition != "B0" and ">" not in condition:
            groups[labels.run_label(result.key)].append(result.record)
    return groups


def _panels(names: list[str]) -> dict[str, list[str]]:
    """The groups of each row of panels.

    One row if they are few; otherwise one of strong, one of light and one of B4's
    weights, if there are several.
    """
    if len(names) <= _MOST_IN_A_PANEL:
        return {"": names}
    light = [name for name in names if " light" in name]
    others = [name for name in names if name not in light]
    weights = [name for name in others if name.startswith("B4 ")]
    if len(weights) == 1:
        weights = []
    rows = {
        "strong": [n for n in others if n not in weights or n == "B4 λ 0.1"],
        "light": light,
        "B4 by CSR's weight": weights,
    }
    return {title: row for title, row in rows.items() if row}


def _draw_groups(axis, groups: _Groups, names: Sequence[str], quantity: str) -> None:
    used: collections.Counter = collections.Counter()  # groups drawn, by condition
    for name in names:
        condition = name.split()[0]
        dashes = _DASHES[used[condition] % len(_DASHES)]
        used[condition] += 1
        lines = [_line(run, quantity) for run in groups[name]]
        _draw_lines(axis, lines, style.color(condition), dashes, name)


def _line(run: records.Run, quantity: str) -> tuple[list, list]:
    """Steps and values of one run."""
    if quantity != "loss":
        values = [style.number(m.value(quantity)) for m in run.measured]
        return [m.step for m in run.measured], values
    losses = [record["loss"] for record in run.trained]
    steps = [record["step"] for record in run.trained]
    return steps, _smooth(losses, max(1, len(losses) // 50))


def _smooth(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and those before it, at most `width` of them."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return [
        (total[i + 1] - total[max(0, i + 1 - width)]) / min(i + 1, width)
        for i in range(len(values))
    ]


def _draw_lines(axis, lines, color: str, dashes: str, name: str) -> None:
    """Every seed thin, and thick their mean at the steps that all of them have."""
    for steps, values in lines:
        axis.plot(
            steps,
            values,
            dashes,
            color=color,
            linewidth=0.7,
            alpha=0.5 if len(lines) > 1 else 1.0,
            marker="o" if len(steps) < 15 else None,
            markersize=2,
        )
    by_step = [dict(zip(steps, values)) for steps, values in lines]
    common = sorted(set.intersection(*(set(line) for line in by_step)))
    mean = [np.mean([line[step] for line in by_step]) for step in common]
    seeds = f"{len(lines)} seed{'s' if len(lines) > 1 else ''}"
    label = f"{name} ({seeds})"
    axis.plot(
        common,
        mean,
        dashes,
        color=color,
        linewidth=2.2,
        label=label,
    )


def _draw_published(axis) -> None:
    table = paper_tables.T4
    for condition, marker in (("B3", "o"), ("B2", "s")):
        steps = [r.key["step"] for r in table.rows if r.key["condition"] == condition]
        axis.plot(
            steps,
            table.select("ei", condition=condition),
            "--",
            color=style.GREY,
            marker=marker,
            markersize=3,
            linewidth=1,
            label=f"published {condition}, mean of 8",
        )


def _finish(axis, quantity: str, title: str) -> None:
    axis.set_xlabel("step")
    axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axis.set_title(f"{_TITLES[quantity]}, {title}" if title else _TITLES[quantity])
    if quantity != "loss":
        style.zero_line(axis)


def _legend_beside(panels) -> None:
    panels[-1].legend(
        *panels[0].get_legend_handles_labels(),
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
    )


def _legend_below(drawn, axis, columns: int) -> None:
    drawn.legend(
        *axis.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
    )
