"""EI under B4 by CSR's weight, after training and on the way there."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import style

_LEFT_END = 0.003  # where a weight of 0 is drawn on the logarithmic axis


def draw(results: match.ResultSet, published: bool):
    """Draws EI against the weight on the left, and against the step on the right.

    Args:
      results: any results.
      published: whether Tables 11 and 12 are drawn as well; then only the runs that
        they are of are shown.

    Returns:
      The figure, or None where there is nothing to draw.
    """
    runs = [run for run in results.finished if _is_shown(run.key, published)]
    if not runs and not published:
        return None
    runs.sort(key=lambda run: run.key["lambda"])
    drawn, ((left, right),) = style.figure(1, 2, width=4.8)
    if published:
        _draw_published(left, right)
    colors = _colors(runs)
    for run in runs:
        color = colors[run.key["lambda"]]
        _draw_end(left, run, color)
        _draw_path(right, run, color)
    _label_weights(left, runs)
    right.set_xlabel("step")
    if not runs:
        style.title_not_run(left)
        style.title_not_run(right)
    style.finish(left, "EI after B4 by CSR's weight", "EI (as published)")
    left.set_ylim(bottom=min(0, left.get_ylim()[0]))
    style.finish(right, "EI during B4", "EI (as published)")
    return drawn


def _is_shown(key: Mapping, published: bool) -> bool:
    if "lambda" not in key or key["condition"] != "B4":
        return False
    of_tables = (
        key["model"] == paper_models.QWEN_32B and key["intervention"] == "strong"
    )
    return of_tables or not published


def _draw_published(left, right) -> None:
    left.plot(
        [row.key["lambda"] for row in paper_tables.T11.rows],
        paper_tables.T11.select("ei_after"),
        "o",
        color=style.GREY,
        markerfacecolor="white",
        label="published, one seed",
    )
    table = paper_tables.T12
    for weight, dashes, remark in (
        (0.03, "--", ", the same as at .3"),
        (0.10, ":", ""),
    ):
        steps = [row.key["step"] for row in table.rows if row.key["lambda"] == weight]
        right.plot(
            steps,
            table.select("ei", **{"lambda": weight}),
            dashes,
            color=style.GREY,
            linewidth=1,
            label=f"published λ {weight:g}{remark}",
        )


def _colors(runs: Sequence[match.KeyedResult]) -> dict:
    """A colour for each weight, from dark to light."""
    weights = sorted({run.key["lambda"] for run in runs})
    shades = np.linspace(0.05, 0.8, len(weights))
    return {w: plt.get_cmap("viridis")(shade) for w, shade in zip(weights, shades)}


def _is_light(run: match.KeyedResult) -> bool:
    return run.key.get("intervention") == "light"


def _position(run: match.KeyedResult) -> float:
    return max(run.key["lambda"], _LEFT_END)


def _draw_end(axis, run: match.KeyedResult, color) -> None:
    value = run.record.after.value("ei")
    if value is None:
        return
    light = " light" if _is_light(run) else ""
    axis.plot(
        _position(run),
        value,
        "s" if light else "D",
        color=color,
        label=f"measured{light}, a seed each",
    )


def _draw_path(axis, run: match.KeyedResult, color) -> None:
    measured = run.record.measured
    axis.plot(
        [m.step for m in measured],
        [style.number(m.value("ei")) for m in measured],
        "--" if _is_light(run) else "-",
        color=color,
        linewidth=1.4,
        label=f"λ {run.key['lambda']:g}",
    )


def _label_weights(axis, runs: Sequence[match.KeyedResult]) -> None:
    """Ticks at the paper's weights and at those of the runs."""
    axis.set_xscale("log")
    ticks = sorted({0.03, 0.1, 0.3} | {_position(run) for run in runs})
    axis.set_xticks(ticks, [f"{t:g}" if t > _LEFT_END else "0" for t in ticks])
    axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    without = any(run.key["lambda"] == 0 for run in runs)
    axis.set_xlabel(f"λ (log scale{'; 0 at the left end' if without else ''})")
