"""Figures of the studies that the paper lacks, each from its record."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.ticker
import numpy as np

from jaxent.report import figures


def companions(found: Mapping):
    """Crosstalk across, both measures of transfer up (mean and SD over seeds): a good companion is at the upper left."""
    question, drawn_axes = found["question"], ("alignment", "drop")
    drawn, (panels,) = figures.figure(1, 2, width=4.4, height=3.6)
    labels = (
        f"gradient alignment with {question['target']}",
        f"drop of held-out {question['target']} loss (nats a token)",
    )
    for panel, name, label in zip(panels, drawn_axes, labels):
        across = sorted(
            question["companions"], key=lambda companion: found["axes"][companion]["ct"]
        )
        for color, companion in zip(figures.COLORS, question["companions"]):
            axis = found["axes"][companion]
            values = [v for v in axis[name] if v is not None]
            if values:
                sd = np.std(values, ddof=1) if len(values) > 1 else 0
                panel.errorbar(
                    axis["ct"], np.mean(values), sd, fmt="o", color=color, capsize=3
                )
                beside = (6, -13 if across.index(companion) % 2 else 5)
                panel.annotate(
                    companion,
                    (axis["ct"], np.mean(values)),
                    beside,
                    textcoords="offset points",
                    color=color,
                )
        panel.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        panel.margins(x=0.25, y=0.2)
        panel.set_xlabel(f"crosstalk with {question['target']} (interference)")
        panel.set_ylabel(label)
    panels[0].set_title("Companions (± SD over seeds): upper left is best")
    return drawn


def validity(panels: Sequence[Mapping]):
    """Estimators against a known truth (dashed), a panel a question; bands are one SD over draws.

    Hollow markers: undefined in some of the draws, whose mean is then of the others.
    """
    drawn, axes = figures.figure(2, 3, width=4.1, height=3.2)
    for axis, letter, panel in zip(axes.flat, "abcdef", panels):
        at = [p["value"] for p in panel["points"]]
        for name in ("ei", "nested_ei", "sei", "cvo"):  # CVO on top
            _estimate(
                axis, at, [p[name] for p in panel["points"]], panel["draws"], name
            )
        axis.plot(
            at,
            [p["truth"] for p in panel["points"]],
            "--",
            color="#111111",
            linewidth=1.2,
            label="truth",
        )
        if panel["log"]:
            axis.set_xscale("log")
            axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
        axis.set_xticks(at, [f"{v:g}" for v in at])
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        axis.set_ylim(
            -0.1,
            max(
                1.6,
                *(
                    1.1 * (p[n]["mean"] or 0)
                    for p in panel["points"]
                    for n in ("sei", "nested_ei")
                ),
            ),
        )
        axis.set_title(f"{letter}  {panel['title']}")
        axis.set_xlabel(panel["label"])
    for axis in axes[:, 0]:
        axis.set_ylabel("estimate")
    handles, names = axes[0, 0].get_legend_handles_labels()
    caption = f"bands: 1 SD over {panels[0]['draws']} draws; hollow: undefined in some of them; no marker: in all"
    drawn.legend(
        handles[::-1],
        names[::-1],
        loc="outside lower center",
        ncols=5,
        title=caption,
        title_fontsize=8,
    )
    return drawn


def _estimate(axis, at, points: Sequence[Mapping], draws: int, name: str) -> None:
    color, width = (
        figures.COLORS[list(figures.ESTIMATORS).index(name)],
        2.2 if name == "cvo" else 1.2,
    )
    mean, sd = (
        np.array([math.nan if p[k] is None else p[k] for p in points])
        for k in ("mean", "sd")
    )
    axis.fill_between(
        at,
        mean - sd,
        mean + sd,
        color=color,
        alpha=0.25 if name in ("cvo", "sei") else 0.12,
        linewidth=0,
    )
    axis.plot(
        at, mean, "-", color=color, linewidth=width, label=figures.ESTIMATORS[name]
    )
    for x, y, point in zip(at, mean, points):
        axis.plot(
            x,
            y,
            "o",
            color=color,
            markersize=3.5,
            markerfacecolor=color if point["defined"] == draws else "white",
        )
