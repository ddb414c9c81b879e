"""Figures of one measurement, from what measure.json and crosstalk.json hold.

Each function writes one PNG and one SVG.
"""

import pathlib
from collections.abc import Mapping, Sequence

import matplotlib.ticker

from jaxent.report.plots import style


def damage(measured: Mapping, stem: pathlib.Path) -> None:
    """Draws the accuracy that each concept loses when one direction is removed.

    Args:
      measured: one layer's record of a measure.json; its damage is
        [directions, concepts].
      stem: path of the files without a suffix.
    """
    concepts = list(measured["accuracy"])
    number = len(measured["damage"])
    drawn, ((axis,),) = style.figure(width=4.4, height=0.5 + 0.36 * number + 0.9)
    names = [f"direction {i + 1}" for i in range(number)]
    style.heat(axis, measured["damage"], names, concepts)
    style.box_dominant_concepts(axis, measured["own"], linewidth=1.4)
    axis.set_title("Accuracy lost by removing a direction")
    axis.set_xlabel("concept (box: the direction's own)")
    style.save(drawn, stem)


def spectrum(measured: Mapping, stem: pathlib.Path) -> None:
    """Draws the singular values of the ridge weights by dominant concept.

    Args:
      measured: one layer's record of a measure.json.
      stem: path of the files without a suffix.
    """
    drawn, ((axis,),) = style.figure()
    for j, concept in enumerate(measured["accuracy"]):
        at = [i for i, dominant in enumerate(measured["own"]) if dominant == j]
        axis.bar(
            [i + 1 for i in at],
            [measured["singular"][i] for i in at],
            color=style.COLORS[j],
            label=concept,
        )
    axis.set_xticks(range(1, len(measured["singular"]) + 1))
    axis.set_xlabel("direction")
    axis.set_ylabel("singular value of W")
    axis.set_title("Singular spectrum, by own concept")
    axis.legend()
    style.save(drawn, stem)


def estimates(measured: Mapping, stem: pathlib.Path) -> None:
    """Draws every estimator with its interval, its sets, and the fit on all probes.

    Args:
      measured: one layer's record of a measure.json.
      stem: path of the files without a suffix.
    """
    drawn, ((axis,),) = style.figure(width=6.4, height=3.0)
    for row, name in enumerate(style.ESTIMATORS):
        _draw_sets(axis, row, name, measured)
        _draw_value(axis, row, measured[name])
        if name != "cvo":  # CVO compares sets: no fit on all probes
            _draw_all_probes(axis, row, measured["all_probes"].get(name))
    _draw_random_loadings(axis, *measured["v_purity_null"])
    axis.axvline(0, color=style.LINE, linewidth=0.8, zorder=0)
    axis.set_yticks(range(len(style.ESTIMATORS)), style.ESTIMATORS.values())
    axis.set_ylim(len(style.ESTIMATORS) - 0.4, -0.6)
    axis.set_title("Estimators")
    axis.set_xlabel(
        "dot: value over the replicate sets and its 95% interval (small: the sets' "
        "contributions)\ndiamond: one fit on all probes"
    )
    style.save(drawn, stem)


def _draw_sets(axis, row: int, name: str, measured: Mapping) -> None:
    """The sets' contributions as small dots, and the interval."""
    color = style.COLORS[row]
    per_set = measured["set_values"].get(name) or []
    values = [v for v in per_set if v is not None]
    axis.plot(
        values,
        [row] * len(values),
        "o",
        color=color,
        alpha=0.35,
        markersize=4,
    )
    interval = measured["intervals"].get(name)
    if interval and interval["low"] is not None:
        ends = [interval["low"], interval["high"]]
        axis.plot(ends, [row, row], color=color, linewidth=2)


def _draw_value(axis, row: int, value: float | None) -> None:
    """The value over the sets, or a remark that it is undefined."""
    if value is None:
        _annotate(axis, "undefined", (0, row), (4, -11))
    else:
        axis.plot(value, row, "o", color=style.COLORS[row], markersize=7)


def _draw_all_probes(axis, row: int, value: float | None) -> None:
    """The one fit on all probes as a diamond, where it is defined."""
    if value is None:
        return
    axis.plot(
        value,
        row,
        "D",
        markerfacecolor="white",
        markeredgecolor="#111111",
        markersize=6,
    )


def _draw_random_loadings(axis, mean: float, deviation: float) -> None:
    """The V-purity of random loadings, two standard deviations to each side."""
    row = list(style.ESTIMATORS).index("v_purity")
    axis.barh(
        row,
        4 * deviation,
        left=mean - 2 * deviation,
        height=0.62,
        color="#dddddd",
        zorder=0,
    )
    _annotate(axis, "random loadings", (mean, row), (0, 11), ha="center")


def _annotate(axis, text: str, point, offset, **options) -> None:
    axis.annotate(
        text,
        point,
        offset,
        textcoords="offset points",
        fontsize=7,
        color=style.MUTED,
        **options,
    )


def depth(layers: Sequence[Mapping], stem: pathlib.Path) -> None:
    """Draws estimators and accuracies against the layer.

    CVO's band is its 95% interval over replicate sets; the intervals of the others are
    in the table.

    Args:
      layers: the records of a measure.json, one a layer.
      stem: path of the files without a suffix.
    """
    drawn, ((left, right),) = style.figure(1, 2, width=5.0)
    at = [m["layer"] for m in layers]
    for color, name in zip(style.COLORS, style.ESTIMATORS):
        if name in ("ei", "nested_ei", "sei", "cvo"):
            values = [style.number(m[name]) for m in layers]
            title = style.ESTIMATORS[name]
            left.plot(
                at,
                values,
                "-o",
                color=color,
                markersize=3,
                label=title,
            )
    _draw_cvo_band(left, at, layers)
    style.zero_line(left)
    left.set_title("Entanglement by depth")
    for color, concept in zip(style.COLORS, layers[0]["accuracy"]):
        values = [m["accuracy"][concept] for m in layers]
        right.plot(
            at,
            values,
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
    style.save(drawn, stem)


def _draw_cvo_band(axis, at: Sequence[int], layers: Sequence[Mapping]) -> None:
    intervals = [m["intervals"].get("cvo") or {} for m in layers]
    axis.fill_between(
        at,
        [style.number(interval.get("low")) for interval in intervals],
        [style.number(interval.get("high")) for interval in intervals],
        color=style.COLORS[list(style.ESTIMATORS).index("cvo")],
        alpha=0.2,
        linewidth=0,
        label="CVO, 95% interval",
    )


def crosstalk(measured: Mapping, stem: pathlib.Path) -> None:
    """Draws the damage between domains: recall, and the margin of recall.

    Args:
      measured: the record of a crosstalk.json; its matrices are [domains, domains],
        the removed domain first.
      stem: path of the files without a suffix.
    """
    names = list(measured["domains"])
    drawn, ((left, right),) = style.figure(1, 2, width=5.0, height=3.8)
    panels = (
        (left, "raw", "Recall lost"),
        (right, "continuous", "Recall margin lost"),
    )
    for axis, kind, title in panels:
        style.heat(axis, measured["damage"][kind]["matrix"], names, names)
        axis.set_title(title)
        axis.set_xlabel("domain that loses")
        axis.tick_params(axis="x", rotation=30)
    left.set_ylabel("domain removed")
    style.save(drawn, stem)
