"""Do the estimators measure overlap? Tables and figures of estimator_validity.py."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.ticker
import numpy as np

from jaxent.paper import tables as paper_tables
from jaxent.report import figures, grid, tables
from jaxent.report import values as table_values
from jaxent.report.plots import style
from jaxent.runs import records

_C = paper_tables.Column
_POINTS = (
    _C("truth", "truth"),
    *(_C(name, title) for name, title in style.ESTIMATORS.items()),
)
_COVERAGE = (
    _C("of_expectation", "holds the expectation"),
    _C("of_truth", "holds the truth"),
    _C("width", "mean width"),
)
_VARIED = {
    "overlap": "overlap",
    "snr": "signal to noise",
    "scale": "scale",
    "sets": "replicate sets",
    "decay": "decay of noise",
    "rotated": "overlap, real activations",
}
_DRAWN = ("ei", "nested_ei", "sei", "cvo")  # CVO last, on top of the others


def validity_tables(studies: Sequence[records.Validity]) -> list[grid.Grid]:
    """Every estimator at every point of every panel, and coverage of the intervals.

    Args:
      studies: the records of estimator_validity.py.

    Returns:
      The grids that have a row.
    """
    points, covered = [], []
    for study in studies:
        key = {"folder": study.folder} if len(studies) > 1 else {}
        for panel in study.content["panels"]:
            points += _point_rows(panel, key)
        covered += [_coverage_row(row, key) for row in study.content["coverage"]]
    every = (
        (
            "own-validity",
            "Estimators against a known truth",
            "Mean ± SD over n independent draws of activations; panel by panel of the "
            "figure.",
            _POINTS,
            points,
        ),
        (
            "own-coverage",
            "Coverage of the 95% intervals over replicate sets",
            "Share of n draws in which the interval holds the estimator’s expectation, "
            "and for CVO the true overlap; of crosstalk all pairs of domains together.",
            _COVERAGE,
            covered,
        ),
    )
    return [tables.measured(*one) for one in every if one[-1]]


def validity_figures(studies: Iterable[records.Validity]) -> Iterable[figures.Figure]:
    """Draws each study, a panel a question.

    Args:
      studies: the records of estimator_validity.py.

    Yields:
      One figure at a time.
    """
    for number, study in enumerate(studies, 1):
        yield figures.Figure(
            f"own-validity-{number}",
            "Estimators against a known truth (dashed): a panel a question; bands are "
            "one SD over draws.",
            draw(study.content["panels"]),
        )


def _point_rows(panel: Mapping, key: Mapping) -> table_values.Rows:
    rows: table_values.Rows = []
    for point in panel["points"]:
        varied = {"varied": _VARIED[panel["axis"]], "at": f"{point['value']:g}"}
        values = {"truth": table_values.Value(point["truth"])}
        for name in style.ESTIMATORS:
            if name in point:
                values[name] = _over_draws(point[name], panel["draws"])
        rows.append(({**key, **varied}, values))
    return rows


def _over_draws(estimate: Mapping, draws: int) -> table_values.Value:
    defined = estimate["defined"]
    why = f"undefined in {draws - defined} of {draws} draws"
    return table_values.Value(
        estimate["mean"],
        estimate["sd"] if defined > 1 else None,
        defined,
        why=None if defined == draws else why,
    )


def _coverage_row(
    row: Mapping, key: Mapping
) -> tuple[Mapping, Mapping[str, table_values.Value]]:
    estimator = row["estimator"]
    names = {
        "95% interval of": style.ESTIMATORS.get(estimator, estimator),
        "design": row["design"],
        "signal to noise": f"{row['snr']:g}",
    }
    values = {
        column.id: table_values.Value(row[column.id], n=row["defined"])
        for column in _COVERAGE
        if row[column.id] is not None
    }
    return {**key, **names}, values


def draw(panels: Sequence[Mapping]):
    """Draws estimators against a known truth, which is dashed, a panel a question.

    Bands are one SD over draws. A hollow marker is undefined in some draws; its mean is
    then of the others.

    Args:
      panels: the panels of a validity.json.

    Returns:
      The figure.
    """
    drawn, axes = style.figure(2, 3, width=4.1, height=3.2)
    for axis, letter, panel in zip(axes.flat, "abcdef", panels):
        _draw_panel(axis, panel)
        axis.set_title(f"{letter}  {panel['title']}")
        axis.set_xlabel(panel["label"])
    for axis in axes[:, 0]:
        axis.set_ylabel("estimate")
    handles, names = axes[0, 0].get_legend_handles_labels()
    caption = (
        f"bands: 1 SD over {panels[0]['draws']} draws; hollow: undefined in some of "
        "them; no marker: in all"
    )
    drawn.legend(
        handles[::-1],
        names[::-1],
        loc="outside lower center",
        ncols=5,
        title=caption,
        title_fontsize=8,
    )
    return drawn


def _draw_panel(axis, panel: Mapping) -> None:
    points = panel["points"]
    at = [point["value"] for point in points]
    for name in _DRAWN:
        estimates = [point[name] for point in points]
        _draw_estimator(axis, at, estimates, panel["draws"], name)
    truth = [point["truth"] for point in points]
    axis.plot(
        at,
        truth,
        "--",
        color="#111111",
        linewidth=1.2,
        label="truth",
    )
    if panel["log"]:
        axis.set_xscale("log")
        axis.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axis.set_xticks(at, [f"{value:g}" for value in at])
    style.zero_line(axis)
    means = [point[n]["mean"] or 0 for point in points for n in ("sei", "nested_ei")]
    axis.set_ylim(-0.1, max(1.6, *(1.1 * mean for mean in means)))


def _draw_estimator(
    axis, at: Sequence[float], estimates: Sequence[Mapping], draws: int, name: str
) -> None:
    color = style.COLORS[list(style.ESTIMATORS).index(name)]
    mean = np.array([style.number(estimate["mean"]) for estimate in estimates])
    sd = np.array([style.number(estimate["sd"]) for estimate in estimates])
    axis.fill_between(
        at,
        mean - sd,
        mean + sd,
        color=color,
        alpha=0.25 if name in ("cvo", "sei") else 0.12,
        linewidth=0,
    )
    axis.plot(
        at,
        mean,
        "-",
        color=color,
        linewidth=2.2 if name == "cvo" else 1.2,
        label=style.ESTIMATORS[name],
    )
    for x, y, estimate in zip(at, mean, estimates):
        face = color if estimate["defined"] == draws else "white"
        axis.plot(
            x,
            y,
            "o",
            color=color,
            markersize=3.5,
            markerfacecolor=face,
        )
