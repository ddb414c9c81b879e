"""Scale ladders of families beyond the paper's three sizes: EI and CVO before and after B3 against the number of parameters."""

import collections
import math
import re
from collections.abc import Iterable, Sequence

import matplotlib.ticker

from jaxent.paper import models as paper_models
from jaxent.report import departures, figures, match, plots
from jaxent.report import values as table_values

_SIZE = re.compile(r"[-_](\d+(?:\.\d+)?)([bm])(?=[-_]|$)", re.IGNORECASE)
_LARGE = {"b": 1e9, "m": 1e6}


def parameters(runs: Sequence[match.KeyedResult]) -> float | None:
    """Parameters of the base model of runs: "parameters" of a run.json, or else what the model's name says (None if neither)."""
    recorded = next((n for p in runs if (n := p.record.record.get("parameters"))), None)
    size = _SIZE.search(_hub_name(runs[0]))
    return recorded or (float(size[1]) * _LARGE[size[2].lower()] if size else None)


def family(placed: match.KeyedResult) -> str:
    """What models that differ in size share of their names: all but the size, or what stands before the first "-"."""
    name = _hub_name(placed)
    return _SIZE.sub("", name) if _SIZE.search(name) else name.split("-")[0]


def _hub_name(placed: match.KeyedResult) -> str:
    return paper_models.HUB.get(placed.base, placed.base).split("/")[-1]


def ladders(
    other: match.ResultSet, of_paper: match.ResultSet
) -> dict[str, list[tuple[float, list[match.KeyedResult]]]]:
    """By family of two models or more: (parameters, B3 runs) of each, by size; models of unknown size are left out.

    The paper's models join a family whose runs have the paper's settings too.
    """
    b3 = lambda shelf: [p for p in shelf.finished if p.key["condition"] == "B3"]
    named = lambda p: (
        f"{family(p)}{p.key['model'].removeprefix(p.base)}{' light' * (p.key['intervention'] == 'light')}"
    )
    groups = collections.defaultdict(list)
    for placed in b3(other):
        groups[named(placed).lower()].append(placed)
    for placed in b3(of_paper):
        members = groups.get(named(placed).lower())
        if members and not any(departures.of_run(p.record.settings) for p in members):
            members.append(placed)
    found = {}
    for members in groups.values():
        models = collections.defaultdict(list)
        for placed in members:
            models[placed.base].append(placed)
        rungs = [(size, runs) for runs in models.values() if (size := parameters(runs))]
        if len(rungs) > 1:
            found[named(members[0])] = sorted(rungs, key=lambda rung: rung[0])
    return found


def draw(other: match.ResultSet, of_paper: match.ResultSet):
    """A line a family: before dashed and hollow, after filled, seeds as dots, bars one SD over seeds."""
    found = ladders(other, of_paper)
    if not found:
        return None
    drawn, (axes,) = figures.figure(1, 2, width=4.8)
    for axis, name, title in zip(axes, ("ei", "cvo"), ("EI (literal)", "CVO")):
        for tint, (label, rungs) in zip(figures.COLORS * len(found), found.items()):
            for when, style, face in (("before", "--", "white"), ("after", "-", tint)):
                _line(
                    axis,
                    rungs,
                    name,
                    when,
                    fmt=f"o{style}",
                    color=tint,
                    markerfacecolor=face,
                    label=f"{label}, {when}",
                )
        sizes = _apart(size for rungs in found.values() for size, _ in rungs)
        axis.set_xscale("log")
        axis.set_xticks(sizes, [_text(size) for size in sizes])
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_xlabel("parameters (log scale)")
        axis.margins(x=0.12)
        plots._finish(axis, f"{title} before and after B3", title)
    return drawn


def _line(axis, rungs, name: str, when: str, **style) -> None:
    values = [
        table_values.over_seeds([getattr(p.record, when) for p in runs], name)
        for _, runs in rungs
    ]
    at = [size for size, _ in rungs]
    for size, runs in rungs:
        seeds = [
            v for p in runs if (v := getattr(p.record, when).value(name)) is not None
        ]
        axis.plot(
            [size] * len(seeds),
            seeds,
            "o",
            color=style["color"],
            alpha=0.35,
            markersize=3,
        )
    means = [math.nan if v.mean is None else v.mean for v in values]
    axis.errorbar(
        at,
        means,
        [v.sd or 0 for v in values],
        capsize=3,
        markersize=5,
        linewidth=1.4,
        **style,
    )


def _apart(sizes: Iterable[float]) -> list[float]:
    """The sizes that can be written under a logarithmic axis beside one another."""
    sizes, kept = sorted(sizes), []
    least = 0.075 * math.log(sizes[-1] / sizes[0])
    for size in sizes:
        kept += [size] if not kept or math.log(size / kept[-1]) > least else []
    return kept


def _text(size: float) -> str:
    return f"{size / 1e9:.3g}B" if size >= 1e9 else f"{size / 1e6:.3g}M"
