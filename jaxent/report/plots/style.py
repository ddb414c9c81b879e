"""The style of all figures: sizes, colours, and what several figures draw alike."""

import math
import os
import pathlib
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

ESTIMATORS = {
    "cvo": "CVO",
    "ei": "EI (as published)",
    "nested_ei": "nested EI",
    "v_purity": "V-purity",
    "sei": "SEI",
    "overlap": "overlap",
}
"""The title of each estimator, in the order of figures and tables."""
FIRST = ("cvo", "ei", "nested_ei", "v_purity")
"""Estimators of the first table."""
SECOND_OPINIONS = ("sei", "overlap")
"""Estimators that stand in a table of their own, below the first one."""
COLORS = ("#0b6e8a", "#d1602c", "#5b8c3a", "#8a4f9e", "#b8912b", "#555555")
GREY = "#8a8a8a"  # of published values
MUTED = "#777777"  # of remarks such as "not run"
LINE = "#bbbbbb"  # of lines at zero
_CONDITIONS = {
    "B0": "#333333",
    "B1": "#5b8c3a",
    "B2": "#0b6e8a",
    "B3": "#d1602c",
    "B4": "#8a4f9e",
    "B5": "#b8912b",
    "B6": "#b03060",
}
plt.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "figure.dpi": 150,
        "legend.frameon": False,
        "svg.hashsalt": "jaxent",  # the same drawing gives the same file
    }
)


def figure(
    rows: int = 1, columns: int = 1, width: float = 4.6, height: float = 3.2, **options
):
    """Makes an empty figure of rows x columns panels.

    Args:
      rows: number of rows of panels.
      columns: number of columns of panels.
      width: width of one panel, in inches.
      height: height of one panel, in inches.
      **options: further arguments of `matplotlib.pyplot.subplots`.

    Returns:
      The figure and its axes, an array [rows, columns].
    """
    size = (width * columns, height * rows)
    return plt.subplots(
        rows,
        columns,
        figsize=size,
        squeeze=False,
        layout="constrained",
        **options,
    )


def save(drawn, stem: pathlib.Path) -> None:
    """Writes a figure as PNG and as SVG, and closes it.

    Args:
      drawn: the figure.
      stem: path of the files without a suffix; its folder has to exist. Each file is
        written under a temporary name and then renamed.
    """
    for kind in ("png", "svg"):
        partial = stem.with_name(f"{stem.name}.partial.{kind}")
        # A date would make two files of the same drawing differ.
        drawn.savefig(partial, metadata={"Date": None} if kind == "svg" else None)
        os.replace(partial, stem.with_suffix(f".{kind}"))
    plt.close(drawn)


def heat(
    axis,
    matrix,
    rows: Sequence[str],
    columns: Sequence[str],
    limit: float | None = None,
) -> None:
    """Draws a matrix as colours with its numbers: zero white, positive red.

    Args:
      axis: where to draw.
      matrix: numbers [rows, columns]; NaN is written as "-".
      rows: names of the rows.
      columns: names of the columns.
      limit: magnitude of the darkest colours; by default the largest in the matrix.
    """
    matrix = np.array(matrix, float)
    limit = limit or max(float(np.nanmax(np.abs(matrix))), 1e-9)
    axis.imshow(
        matrix,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        aspect="auto",
    )
    for (i, j), value in np.ndenumerate(matrix):
        # Adding 0.0 turns -0.0 into 0.0.
        text = "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"
        color = "white" if abs(value) > 0.65 * limit else "#222222"
        axis.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            color=color,
            fontsize=8,
        )
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def box_dominant_concepts(axis, concepts: Sequence[int], linewidth: float) -> None:
    """Draws a box around each direction's dominant concept; rows are directions."""
    for row, concept in enumerate(concepts):
        corner = (concept - 0.5, row - 0.5)
        box = plt.Rectangle(
            corner,
            1,
            1,
            fill=False,
            edgecolor="#111111",
            linewidth=linewidth,
        )
        axis.add_patch(box)


def color(condition: str) -> str:
    """The colour of a condition, the same in every figure."""
    if ">" in condition:  # one condition on top of another
        return COLORS[3]
    return _CONDITIONS.get(condition, "#555555")


def number(value: float | str | None) -> float:
    """A number to plot: NaN, which leaves a gap, for an undefined value."""
    return math.nan if value is None else float(value)


def zero_line(axis) -> None:
    """Draws a thin horizontal line at zero, below everything else."""
    axis.axhline(0, color=LINE, linewidth=0.8, zorder=0)


def title_not_run(axis) -> None:
    """Says at the panel's upper right that nothing was measured."""
    axis.set_title(
        "measured: not run",
        loc="right",
        fontsize=8,
        color=MUTED,
        style="italic",
        weight="normal",
    )


def text_not_run(axis, x: float, text: str = "not run") -> None:
    """Says above the horizontal axis that one group was not measured."""
    axis.text(
        x,
        0.02,
        text,
        transform=axis.get_xaxis_transform(),
        ha="center",
        fontsize=8,
        color=MUTED,
        style="italic",
    )


def legend(axis, **options) -> None:
    """Adds a legend with every label once; none if nothing has a label."""
    handles, names = axis.get_legend_handles_labels()
    by_name = dict(zip(names, handles))
    if by_name:
        axis.legend(by_name.values(), by_name.keys(), fontsize=8, **options)


def finish(axis, title: str, label: str) -> None:
    """Adds the line at zero, the title, the vertical axis' label and the legend."""
    zero_line(axis)
    axis.set_title(title)
    axis.set_ylabel(label)
    legend(axis, loc="best")
