"""Figures of a report, continued: crosstalk, CSR's weight, reversibility, damage matrices."""

import math

import matplotlib.pyplot as plt
import matplotlib.ticker
import numpy as np

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import crosstalk_values, figures, match, plots
from jaxent.report import values as table_values

_SHORT = {"formal_logic": "logic"}


def crosstalk(shelf: match.ResultSet, published: bool):
    """Recall each domain loses when another's direction is removed, and the crosstalk with code beside the paper's."""
    found = [
        p
        for p in shelf.crosstalks
        if not published
        or (p.key["condition"] == "B0" and p.key["model"] == paper_models.QWEN_7B)
    ]
    if not found and not published:
        return None
    drawn, axes = figures.figure(
        max(1, len(found)), 2 if found else 1, width=5.0, height=3.9 if found else 3.0
    )
    for row, placed in zip(axes, found or [None]):
        _crosstalk_row(None if placed is None else row[0], row[-1], placed, published)
    return drawn


def _crosstalk_row(left, right, placed, published: bool) -> None:
    if placed is not None:
        record = placed.record.content
        figures.heat(
            left,
            [[_nan(v) for v in row] for row in record["damage"]["raw"]["matrix"]],
            list(record["domains"]),
            list(record["domains"]),
        )
        left.tick_params(axis="x", rotation=30)
        left.set_xlabel("domain that loses")
        left.set_ylabel("domain removed")
        left.set_title(
            f"Recall lost, {plots._short(placed.key['model'])} {placed.key['condition']}"
        )
    names = [r.key["companion"] for r in paper_tables.T8.rows]
    for i, row in enumerate(paper_tables.T8.rows if published else ()):
        right.plot(
            row.values["ct"],
            i + 0.15,
            "o",
            color=plots.GREY,
            markerfacecolor="white",
            label="published",
        )
    own = (
        {
            k["companion"]: v["ct"]
            for k, v in crosstalk_values.crosstalk_rows(
                match.ResultSet(crosstalks=(placed,))
            )
        }
        if placed
        else {}
    )
    names += [n for n in own if n not in names]
    for name, value in own.items():
        i = names.index(name)
        if value.mean is None:
            right.text(
                0.02, i - 0.15, "undefined", fontsize=7, color="#777777", va="center"
            )
            continue
        if value.low is not None:
            right.plot(
                [value.low, value.high],
                [i - 0.15] * 2,
                color=figures.COLORS[0],
                linewidth=1.5,
            )
        right.plot(
            value.mean,
            i - 0.15,
            "D",
            color=figures.COLORS[0],
            label="measured (95% over sets)",
        )
    if not own:
        plots._absent(right)
    right.set_ylim(-0.5, len(names) - 0.4)
    right.set_yticks(range(len(names)), [_SHORT.get(n, n) for n in names])
    right.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    right.set_xlabel("symmetric crosstalk with code")
    right.set_title("Crosstalk with code")
    plots._legend(right, loc="best")


def _nan(value) -> float:
    return math.nan if value is None else value


def lambdas(shelf: match.ResultSet, published: bool):
    """EI after training against CSR's weight, and on the way there."""
    printed = lambda key: (
        key["model"] == paper_models.QWEN_32B and key["intervention"] == "strong"
    )
    runs = [
        p
        for p in shelf.finished
        if "lambda" in p.key
        and p.key["condition"] == "B4"
        and (not published or printed(p.key))
    ]
    if not runs and not published:
        return None
    drawn, ((left, right),) = figures.figure(1, 2, width=4.8)
    weights = sorted({p.key["lambda"] for p in runs})
    shades = {
        w: plt.get_cmap("viridis")(x)
        for w, x in zip(weights, np.linspace(0.05, 0.8, len(weights)))
    }
    runs.sort(key=lambda p: p.key["lambda"])
    if published:
        left.plot(
            paper_lambdas(),
            paper_tables.T11.select("ei_after"),
            "o",
            color=plots.GREY,
            markerfacecolor="white",
            label="published, one seed",
        )
        for weight, style in ((0.03, "--"), (0.10, ":")):
            steps = [
                r.key["step"]
                for r in paper_tables.T12.rows
                if r.key["lambda"] == weight
            ]
            also = ", the same as at .3" if weight == 0.03 else ""
            right.plot(
                steps,
                paper_tables.T12.select("ei", **{"lambda": weight}),
                style,
                color=plots.GREY,
                linewidth=1,
                label=f"published λ {weight:g}{also}",
            )
    for p in runs:
        value, x = p.record.after.value("ei"), max(p.key["lambda"], 0.003)
        mark = "D" if p.key.get("intervention") != "light" else "s"
        if value is not None:
            left.plot(
                x,
                value,
                mark,
                color=shades[p.key["lambda"]],
                label=f"measured{' light' if mark == 's' else ''}, a seed each",
            )
        light = p.key.get("intervention") == "light"
        right.plot(
            [m.step for m in p.record.measured],
            [_nan(m.value("ei")) for m in p.record.measured],
            "--" if light else "-",
            color=shades[p.key["lambda"]],
            linewidth=1.4,
            label=f"λ {p.key['lambda']:g}",
        )
    left.set_xscale("log")
    ticks = sorted({0.03, 0.1, 0.3} | {max(p.key["lambda"], 0.003) for p in runs})
    left.set_xticks(ticks, [f"{t:g}" if t > 0.003 else "0" for t in ticks])
    left.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    left.set_xlabel(
        "λ (log scale"
        + ("; 0 at the left end)" if any(p.key["lambda"] == 0 for p in runs) else ")")
    )
    right.set_xlabel("step")
    if not runs:
        plots._absent(left)
        plots._absent(right)
    plots._finish(left, "EI after B4 by CSR's weight", "EI (literal)")
    left.set_ylim(bottom=min(0, left.get_ylim()[0]))
    plots._finish(right, "EI during B4", "EI (literal)")
    return drawn


def paper_lambdas() -> list[float]:
    return [row.key["lambda"] for row in paper_tables.T11.rows]


def reversibility(shelf: match.ResultSet, published: bool):
    """EI and SEI through a first condition and the one on top of it."""
    runs = [
        p
        for p in shelf.runs
        if p.of in shelf.origin and (not published or p.key["condition"] == "B3>B2")
    ]
    if not runs and not published:
        return None
    drawn, (axes,) = figures.figure(1, 2 if runs else 1, width=4.8)
    for axis, name in zip(axes, ("ei", "sei")):
        if published and name == "ei":
            axis.plot(
                [r.key["step"] for r in paper_tables.T13.rows],
                paper_tables.T13.select("ei"),
                "--o",
                color=plots.GREY,
                markersize=4,
                label="published B2 after B3 (14B, seed 0)",
            )
        for placed in runs:
            origin, run = shelf.origin[placed.of], placed.record
            first, second = placed.key["condition"].split(">")
            last = origin.after.step
            axis.plot(
                [m.step - last for m in origin.measured],
                [_nan(m.value(name)) for m in origin.measured],
                "-",
                linewidth=1.2,
                color=plots.color(first),
                label=first,
            )
            axis.plot(
                [m.step for m in run.measured],
                [_nan(m.value(name)) for m in run.measured],
                "-o",
                markersize=3,
                linewidth=1.8,
                color=plots.color(second),
                label=f"{second} on top",
            )
        axis.axvline(0, color="#555555", linewidth=0.8, linestyle=":")
        axis.set_xlabel("step of the second training (left of 0: the first)")
        if not runs:
            plots._absent(axis)
        plots._finish(axis, {"ei": "EI (literal)", "sei": "SEI"}[name], name.upper())
    return drawn


def damage(shelf: match.ResultSet, model: str):
    """Damage matrices of a model: the base, then the end of each condition's first seed; boxes are a direction's own concept."""
    panels = [
        ("base", every[0].record)
        for m, every in table_values.base_measurements(shelf).items()
        if m == model
    ]
    seen = set()
    for placed in shelf.finished:
        key = placed.key
        group = tuple((n, v) for n, v in key.items() if n != "seed")
        if key["model"] == model and key["condition"] != "B0" and group not in seen:
            seen.add(group)
            weight = f" λ {key['lambda']:g}" if "lambda" in key else ""
            light = " light" if key.get("intervention") == "light" else ""
            panels.append(
                (
                    f"{key['condition']}{light}{weight}, seed {key['seed']}",
                    placed.record.after.record,
                )
            )
    if not panels:
        return None
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    drawn, axes = figures.figure(
        rows, columns, width=3.0, height=0.9 + 0.27 * len(panels[0][1]["damage"])
    )
    limit = max(
        float(np.abs(np.array(found["damage"], float)).max()) for _, found in panels
    )
    for axis, (title, found) in zip(axes.flat, panels):
        concepts = list(found["accuracy"])
        figures.heat(
            axis,
            found["damage"],
            [str(i + 1) for i in range(len(found["damage"]))],
            concepts,
            limit,
        )
        for i, own in enumerate(found["own"]):
            axis.add_patch(
                plt.Rectangle(
                    (own - 0.5, i - 0.5),
                    1,
                    1,
                    fill=False,
                    edgecolor="#111111",
                    linewidth=1.2,
                )
            )
        axis.set_title(title, fontsize=9)
    for axis in list(axes.flat)[len(panels) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("direction removed")
    return drawn
