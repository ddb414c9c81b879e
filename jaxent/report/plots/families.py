"""Scale ladders of other families: EI and CVO before and after B3 by parameters."""

import collections
import math
import re
from collections.abc import Iterable, Sequence

import matplotlib.ticker

from jaxent.paper import models as paper_models
from jaxent.report import departures, match
from jaxent.report import values as table_values
from jaxent.report.plots import style

_SIZE = re.compile(r"[-_](\d+(?:\.\d+)?)([bm])(?=[-_]|$)", re.IGNORECASE)
_UNIT = {"b": 1e9, "m": 1e6}
Ladder = list[tuple[float, list[match.KeyedResult]]]
"""(parameters, runs) of each model of a family, by size."""


def parameters(runs: Sequence[match.KeyedResult]) -> float | None:
    """The number of parameters of the base model of some runs.

    Args:
      runs: runs of one base model.

    Returns:
      What a run.json records, or else what the model's name says; None if neither.
    """
    for run in runs:
        if recorded := run.record.record.get("parameters"):
            return recorded
    size = _SIZE.search(_hub_name(runs[0]))
    return float(size[1]) * _UNIT[size[2].lower()] if size else None


def family(run: match.KeyedResult) -> str:
    """What the names of models that differ in size share.

    That is all but the size, or, in a name without one, the part before the first "-".
    """
    name = _hub_name(run)
    return _SIZE.sub("", name) if _SIZE.search(name) else name.split("-")[0]


def _hub_name(run: match.KeyedResult) -> str:
    return paper_models.HUB.get(run.base, run.base).split("/")[-1]


def ladders(other: match.ResultSet, of_paper: match.ResultSet) -> dict[str, Ladder]:
    """The families of two models or more.

    Args:
      other: results that are not at the paper's models and settings.
      of_paper: those that are. They join a family whose runs all have the paper's
        settings too.

    Returns:
      A ladder a family, by the family's name. A model of unknown size is left out.
    """
    groups = collections.defaultdict(list)
    for run in _b3_runs(other):
        groups[_ladder_name(run).lower()].append(run)
    for run in _b3_runs(of_paper):
        members = groups.get(_ladder_name(run).lower())
        if members and not any(departures.of_run(p.record.settings) for p in members):
            members.append(run)
    by_size = {_ladder_name(group[0]): _by_size(group) for group in groups.values()}
    return {name: ladder for name, ladder in by_size.items() if len(ladder) > 1}


def _b3_runs(results: match.ResultSet) -> list[match.KeyedResult]:
    return [run for run in results.finished if run.key["condition"] == "B3"]


def _ladder_name(run: match.KeyedResult) -> str:
    """The family, what a label adds to the model's name, and the intervention."""
    label = run.key["model"].removeprefix(run.base)
    light = " light" if run.key["intervention"] == "light" else ""
    return f"{family(run)}{label}{light}"


def _by_size(runs: Iterable[match.KeyedResult]) -> Ladder:
    models = collections.defaultdict(list)
    for run in runs:
        models[run.base].append(run)
    sizes = [(parameters(group), group) for group in models.values()]
    known = [(size, group) for size, group in sizes if size]
    return sorted(known, key=lambda rung: rung[0])


def draw(other: match.ResultSet, of_paper: match.ResultSet):
    """Draws a line a family: before dashed and hollow, after filled.

    Seeds are dots, bars one SD over seeds.

    Args:
      other: results that are not at the paper's models and settings.
      of_paper: those that are.

    Returns:
      The figure, or None where no family has two models.
    """
    by_family = ladders(other, of_paper)
    if not by_family:
        return None
    drawn, (axes,) = style.figure(1, 2, width=4.8)
    for axis, name, title in zip(axes, ("ei", "cvo"), ("EI (as published)", "CVO")):
        colors = style.COLORS * len(by_family)
        for color, (label, ladder) in zip(colors, by_family.items()):
            _draw_line(axis, ladder, name, "before", color, label)
            _draw_line(axis, ladder, name, "after", color, label)
        sizes = [size for ladder in by_family.values() for size, _ in ladder]
        ticks = _spaced(sizes)
        axis.set_xscale("log")
        axis.set_xticks(ticks, [_format_size(size) for size in ticks])
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_xlabel("parameters (log scale)")
        axis.margins(x=0.12)
        style.finish(axis, f"{title} before and after B3", title)
    return drawn


def _draw_line(
    axis, ladder: Ladder, name: str, when: str, color: str, label: str
) -> None:
    """One family at one moment: seeds as dots, a line through their means."""
    means, deviations = [], []
    for size, runs in ladder:
        measured = [getattr(run.record, when) for run in runs]
        seeds = [v for m in measured if (v := m.value(name)) is not None]
        axis.plot(
            [size] * len(seeds),
            seeds,
            "o",
            color=color,
            alpha=0.35,
            markersize=3,
        )
        value = table_values.over_seeds(measured, name)
        means.append(style.number(value.mean))
        deviations.append(value.sd or 0)
    axis.errorbar(
        [size for size, _ in ladder],
        means,
        deviations,
        fmt="o--" if when == "before" else "o-",
        color=color,
        markerfacecolor="white" if when == "before" else color,
        label=f"{label}, {when}",
        capsize=3,
        markersize=5,
        linewidth=1.4,
    )


def _spaced(sizes: Iterable[float]) -> list[float]:
    """The sizes that fit beside one another under a logarithmic axis."""
    ordered = sorted(sizes)
    distance = 0.075 * math.log(ordered[-1] / ordered[0])
    kept = ordered[:1]
    for size in ordered:
        if math.log(size / kept[-1]) > distance:
            kept.append(size)
    return kept


def _format_size(size: float) -> str:
    return f"{size / 1e9:.3g}B" if size >= 1e9 else f"{size / 1e6:.3g}M"
