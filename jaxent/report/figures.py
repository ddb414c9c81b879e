"""Figures of measurements, each from plain records (what metrics.jsonl and measure.json hold) to one PNG and one SVG."""

import math
import os
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np

ESTIMATORS = {
    "ei": "EI (literal)",
    "nested_ei": "nested EI",
    "sei": "SEI",
    "overlap": "overlap",
    "cvo": "CVO",
    "v_purity": "V-purity",
}
COLORS = ("#0b6e8a", "#d1602c", "#5b8c3a", "#8a4f9e", "#b8912b", "#555555")
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.dpi": 150,
    "legend.frameon": False,
    "svg.hashsalt": "jaxent",
}
plt.rcParams.update(_STYLE)


def figure(
    rows: int = 1, columns: int = 1, width: float = 4.6, height: float = 3.2, **options
):
    """A figure of rows x columns axes (a 2-D array of them) in the house style, width x height inches each."""
    size = (width * columns, height * rows)
    return plt.subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained", **options
    )


def save(drawn, stem: pathlib.Path) -> None:
    """Writes stem.png and stem.svg, each under a temporary name first, and closes the figure."""
    for kind in ("png", "svg"):
        partial = stem.with_name(f"{stem.name}.partial.{kind}")
        drawn.savefig(partial, metadata={"Date": None} if kind == "svg" else None)
        os.replace(partial, stem.with_suffix(f".{kind}"))
    plt.close(drawn)


def heat(
    axis, matrix, rows: list[str], columns: list[str], limit: float | None = None
) -> None:
    """A matrix as colours with its numbers, zero white, positive red, negative blue."""
    matrix = np.array(matrix, float)
    limit = limit or max(float(np.nanmax(np.abs(matrix))), 1e-9)
    axis.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            text = (
                "-" if math.isnan(value) else f"{round(value, 2) + 0.0:.2f}"
            )  # no "-0.00"
            axis.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                color="white" if abs(value) > 0.65 * limit else "#222222",
                fontsize=8,
            )
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def damage(measured: dict, stem: pathlib.Path) -> None:
    """Accuracy each concept loses when one direction is removed: rows are directions, their own concept boxed."""
    concepts = list(measured["accuracy"])
    drawn, ((axis,),) = figure(
        width=4.4, height=0.5 + 0.36 * len(measured["damage"]) + 0.9
    )
    heat(
        axis,
        measured["damage"],
        [f"direction {i + 1}" for i in range(len(measured["damage"]))],
        concepts,
    )
    for i, own in enumerate(measured["own"]):
        axis.add_patch(
            plt.Rectangle(
                (own - 0.5, i - 0.5),
                1,
                1,
                fill=False,
                edgecolor="#111111",
                linewidth=1.4,
            )
        )
    axis.set_title("Accuracy lost by removing a direction")
    axis.set_xlabel("concept (box: the direction's own)")
    save(drawn, stem)


def spectrum(measured: dict, stem: pathlib.Path) -> None:
    """Singular values of the ridge weights, coloured by the direction's own concept."""
    concepts = list(measured["accuracy"])
    drawn, ((axis,),) = figure()
    for j, concept in enumerate(concepts):
        at = [i for i, own in enumerate(measured["own"]) if own == j]
        axis.bar(
            [i + 1 for i in at],
            [measured["singular"][i] for i in at],
            color=COLORS[j],
            label=concept,
        )
    axis.set_xticks(range(1, len(measured["singular"]) + 1))
    axis.set_xlabel("direction")
    axis.set_ylabel("singular value of W")
    axis.set_title("Singular spectrum, by own concept")
    axis.legend()
    save(drawn, stem)


def estimates(measured: dict, stem: pathlib.Path) -> None:
    """Every estimator: replicate sets as dots, their mean and 95% interval, and the value on all probes."""
    drawn, ((axis,),) = figure(width=6.4, height=3.0)
    for row, (name, title) in enumerate(ESTIMATORS.items()):
        values = [
            v
            for v in (measured["set_values"].get(name) or [])
            if v is not None and name != "cvo"
        ]  # one set has no CVO
        axis.plot(
            values,
            [row] * len(values),
            "o",
            color=COLORS[row],
            alpha=0.35,
            markersize=4,
        )
        found = measured["intervals"].get(name)
        if found and found["low"] is not None:
            axis.plot(
                [found["low"], found["high"]],
                [row, row],
                color=COLORS[row],
                linewidth=2,
            )
            axis.plot(found["mean"], row, "o", color=COLORS[row], markersize=7)
        if measured[name] is None:
            axis.annotate(
                "undefined on all probes",
                (0, row),
                (4, -11),
                textcoords="offset points",
                fontsize=7,
                color="#777777",
            )
        else:
            axis.plot(
                measured[name],
                row,
                "D",
                markerfacecolor="white",
                markeredgecolor="#111111",
                markersize=6,
            )
    mean, deviation = measured["v_purity_null"]
    row = list(ESTIMATORS).index("v_purity")
    axis.barh(
        row,
        4 * deviation,
        left=mean - 2 * deviation,
        height=0.62,
        color="#dddddd",
        zorder=0,
    )
    axis.annotate(
        "random loadings",
        (mean, row),
        (0, 11),
        textcoords="offset points",
        fontsize=7,
        color="#777777",
        ha="center",
    )
    axis.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axis.set_yticks(range(len(ESTIMATORS)), ESTIMATORS.values())
    axis.set_ylim(len(ESTIMATORS) - 0.4, -0.6)
    axis.set_title("Estimators")
    axis.set_xlabel(
        "diamond: all probes; dots: replicate sets, their mean and its 95% interval"
    )
    save(drawn, stem)


def depth(layers: list[dict], stem: pathlib.Path) -> None:
    """Estimators and accuracies against the layer; CVO's band is its 95% interval over replicate sets.

    The others' intervals are of single sets, which are smaller samples than the line's, and are left to the table.
    """
    drawn, ((left, right),) = figure(1, 2, width=5.0)
    at = [m["layer"] for m in layers]
    number = lambda value: math.nan if value is None else value
    for color, name in zip(COLORS, ESTIMATORS):
        if name in ("ei", "nested_ei", "sei", "cvo"):
            left.plot(
                at,
                [number(m[name]) for m in layers],
                "-o",
                color=color,
                markersize=3,
                label=ESTIMATORS[name],
            )
    found = [m["intervals"].get("cvo") or {} for m in layers]
    low, high = ([number(f.get(k)) for f in found] for k in ("low", "high"))
    band = COLORS[list(ESTIMATORS).index("cvo")]
    left.fill_between(
        at, low, high, color=band, alpha=0.2, linewidth=0, label="CVO, 95% interval"
    )
    left.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    left.set_title("Entanglement by depth")
    for color, concept in zip(COLORS, layers[0]["accuracy"]):
        right.plot(
            at,
            [m["accuracy"][concept] for m in layers],
            "-o",
            color=color,
            markersize=3,
            label=concept,
        )
    right.set_ylim(0, 1.02)
    right.set_title("Leave-one-out accuracy by depth")
    for axis in (left, right):
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        axis.set_xlabel("layer (0: embedding)")
        axis.legend(fontsize=8)
    save(drawn, stem)


def crosstalk(measured: dict, stem: pathlib.Path) -> None:
    """Damage between domains, rows removed: recall and recall margin."""
    names = list(measured["domains"])
    drawn, ((left, right),) = figure(1, 2, width=5.0, height=3.8)
    for axis, kind, title in (
        (left, "raw", "Recall lost"),
        (right, "continuous", "Recall margin lost"),
    ):
        heat(axis, measured["damage"][kind]["matrix"], names, names)
        axis.set_title(title)
        axis.set_xlabel("domain that loses")
        axis.tick_params(axis="x", rotation=30)
    left.set_ylabel("domain removed")
    save(drawn, stem)
