"""The grid of intervals: drawn setting by setting, kept, and shown as tables.

`estimator_validity.py --coverage_only` runs it. A setting that is drawn is a file of
the folder, so that a killed run continues.
"""

import collections
import dataclasses
import math
import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm

from jaxent.measure import coverage, noise
from jaxent.report.plots import style
from jaxent.runs import console

_DRAW = {"cvo": coverage.draw_cvo, "fits": coverage.draw_fits}
_KINDS = {
    "of_expectation": "share of intervals that hold the expectation",
    "of_truth": "share of intervals that hold the planted overlap",
    "defined": "share of draws with an interval",
    "mean": "mean estimate",
}


def draw(
    settings: Sequence[coverage.Setting],
    parts: Sequence[str],
    draws: int,
    seed: int,
    folder: pathlib.Path,
) -> None:
    """Draws what the folder does not hold yet.

    Args:
        settings: of the grid.
        parts: "cvo", "fits" or both; CVO is by far the cheaper half.
        draws: of each setting.
        seed: of the draws.
        folder: gets a file a setting and part.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        for setting in tqdm.tqdm(settings, desc=part, unit="setting"):
            file = folder / f"{setting.name}_{part}.npz"
            if file.exists():
                continue
            drawn = _DRAW[part](setting, draws, seed)
            partial = file.with_name(f"{file.name}.partial")
            with partial.open("wb") as stream:
                np.savez_compressed(stream, **drawn)
            partial.replace(file)


def rows(settings: Sequence[coverage.Setting], folder: pathlib.Path) -> list[dict]:
    """Coverage of every metric at every setting that is drawn.

    Args:
        settings: of the grid.
        folder: of `draw`.

    Returns:
        By metric and setting: noise, snr, overlap, draws, and what `coverage.cover`
        gives.
    """
    found = []
    for setting in settings:
        about = dataclasses.asdict(setting)
        for part, drawn in _drawn(setting, folder).items():
            if part == "cvo":
                every = {"cvo": coverage.contributions_of_cvo(drawn)}
            else:
                every = coverage.contributions_of_fits(drawn)
            for metric, contributions in every.items():
                truth = setting.overlap if metric == "cvo" else None
                shares = coverage.cover(contributions, truth)
                number = {"metric": metric, "draws": len(contributions)}
                found.append(number | about | shares)
    return found


def _drawn(setting: coverage.Setting, folder: pathlib.Path) -> dict[str, dict]:
    """The arrays of each part that the folder holds."""
    parts = {}
    for part in _DRAW:
        file = folder / f"{setting.name}_{part}.npz"
        if file.exists():
            with np.load(file) as arrays:
                parts[part] = dict(arrays)
    return parts


def format_rows(found: list[dict]) -> str:
    """Markdown tables a metric: SNR by shape of noise, a number an overlap.

    Args:
        found: of `rows`.

    Returns:
        The tables; "-" where no draw has an interval, "not run" where none was drawn.
    """
    blocks = ["### All metrics by SNR", format_summary(found)]
    for metric in dict.fromkeys(row["metric"] for row in found):
        mine = [row for row in found if row["metric"] == metric]
        kinds = [kind for kind in _KINDS if kind != "of_truth" or metric == "cvo"]
        for kind in kinds:
            title = style.ESTIMATORS.get(metric, metric)
            blocks += [f"### {title}: {_KINDS[kind]}", _format_kind(mine, kind)]
    return "\n\n".join(blocks)


def format_summary(found: list[dict]) -> str:
    """A Markdown table: lowest, mean and highest coverage of a metric at an SNR.

    Settings in which fewer than a third of the draws have an interval do not count.

    Args:
        found: of `rows`.

    Returns:
        The table, overlap 0 apart, with the share of draws that have an interval.
    """
    points: dict[tuple, list[dict]] = collections.defaultdict(list)
    for row in found:
        points[row["metric"], row["snr"]].append(row)
    lines = []
    for (metric, snr), mine in sorted(points.items(), key=_by_metric):
        at_zero = [row for row in mine if row["overlap"] == 0]
        above = [row for row in mine if row["overlap"] > 0]
        defined = float(np.mean([row["defined"] for row in mine]))
        title = style.ESTIMATORS.get(metric, metric)
        cells = [title, f"{snr:g}", str(len(mine)), f"{defined:.2f}"]
        cells += [_range(at_zero, "of_expectation"), _range(above, "of_expectation")]
        lines.append([*cells, _range(above, "of_truth")])
    header = ["interval of", "SNR", "settings", "defined in", "overlap 0"]
    return console.format_markdown([*header, "overlap above 0", "of the truth"], lines)


def _by_metric(item: tuple) -> tuple:
    (metric, snr), _ = item
    titles = list(style.ESTIMATORS)
    return titles.index(metric) if metric in titles else 99, metric, snr


def _range(mine: list[dict], kind: str) -> str:
    values = [row[kind] for row in mine if row["defined"] > 1 / 3]
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    return f"{min(values):.3f} to {max(values):.3f}, mean {np.mean(values):.3f}"


def _format_kind(mine: list[dict], kind: str) -> str:
    by_point = {(row["snr"], row["noise"], row["overlap"]): row[kind] for row in mine}
    lines = []
    for snr in coverage.SNRS:
        line = [f"{snr:g}"]
        for title in noise.KINDS:
            points = [(snr, title, truth) for truth in coverage.OVERLAPS]
            values = [by_point.get(point, math.nan) for point in points]
            missing = all(value is not None and math.isnan(value) for value in values)
            shown = " / ".join(map(_format_share, values))
            line.append("not run" if missing else shown)
        lines.append(line)
    overlaps = " / ".join(f"{truth:g}" for truth in coverage.OVERLAPS)
    return console.format_markdown([f"SNR (overlap {overlaps})", *noise.KINDS], lines)


def _format_share(value: float | None) -> str:
    if value is None:
        return "-"
    return "." if math.isnan(value) else f"{value:.3f}"
