"""Figures of a report: what was measured in colour, what the paper printed in grey. Each is drawn from a shelf of records.

A figure without measured values says "not run"; one with neither is not drawn (None).
"""

import collections
import math

import matplotlib.ticker
import numpy as np

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import coding_values, figures, match
from jaxent.report import values as table_values
from jaxent.stats import proportions

GREY = "#8a8a8a"
_LADDER = (paper_models.QWEN_7B, paper_models.QWEN_14B, paper_models.QWEN_32B)
_ORDER = ("B0", "B1", "B2", "B3", "B4", "B5", "B6")
_NAMES = {"sei": "SEI", "ei": "EI (literal)"}


def color(condition: str) -> str:
    """One colour a condition, the same in every figure."""
    if ">" in condition:
        return figures.COLORS[3]
    return dict(
        zip(
            _ORDER,
            (
                "#333333",
                "#5b8c3a",
                "#0b6e8a",
                "#d1602c",
                "#8a4f9e",
                "#b8912b",
                "#b03060",
            ),
        )
    ).get(condition, "#555555")


def _absent(axis, text: str = "measured: not run") -> None:
    axis.set_title(
        text, loc="right", fontsize=8, color="#777777", style="italic", weight="normal"
    )


def _short(model: str) -> str:
    return (
        model.replace("Qwen2.5-Coder-", "Qwen-")
        .replace("-v0.3", "")
        .replace("-Coder", "")
    )


def _legend(axis, **options) -> None:
    handles, names = axis.get_legend_handles_labels()
    once = dict(zip(names, handles))
    if once:
        axis.legend(once.values(), once.keys(), fontsize=8, **options)


def ladder(shelf: match.ResultSet):
    """EI before and after B3 at three sizes: published mean and SD, measured seeds and mean."""
    drawn, ((axis,),) = figures.figure(width=5.6)
    rows = table_values.group_rows(shelf)
    found = 0
    for i, model in enumerate(_LADDER):
        row = paper_tables.T2.row(model=model)
        for dx, name, face in ((-0.22, "ei_before", "white"), (0.06, "ei_after", GREY)):
            axis.errorbar(
                i + dx,
                row.values[name],
                row.sd[name],
                fmt="o",
                color=GREY,
                markerfacecolor=face,
                capsize=3,
                label=f"published, {'before' if 'before' in name else 'after'} (SD)",
            )
        group = [p for p in shelf.finished if match.matches(row.key, p.key)]
        values = next((v for k, v in rows if match.matches(row.key, k)), None)
        if values is None:
            axis.text(
                i,
                0.02,
                "not run",
                transform=axis.get_xaxis_transform(),
                ha="center",
                fontsize=8,
                color="#777777",
                style="italic",
            )
            continue
        found += 1
        for dx, when in ((-0.1, "before"), (0.18, "after")):
            seeds = [
                v
                for p in group
                if (v := getattr(p.record, when).value("ei")) is not None
            ]
            axis.plot(
                [i + dx] * len(seeds),
                seeds,
                "o",
                color=color("B3"),
                alpha=0.35,
                markersize=4,
            )
            value = values[f"ei_{when}"]
            if value.mean is not None:
                axis.errorbar(
                    i + dx,
                    value.mean,
                    value.sd or 0,
                    fmt="D",
                    color=color("B3"),
                    markerfacecolor="white" if when == "before" else color("B3"),
                    capsize=3,
                    markersize=6,
                    label=f"measured, {when} (SD)",
                )
    axis.set_xticks(range(3), [_short(m) for m in _LADDER])
    axis.set_xlim(-0.5, 2.5)
    axis.set_ylim(bottom=-0.2)
    _finish(axis, "EI before and after B3, by size", "EI (literal)")
    return drawn


def _finish(axis, title: str, label: str) -> None:
    axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axis.set_title(title)
    axis.set_ylabel(label)
    _legend(axis, loc="best")


def architectures(shelf: match.ResultSet):
    """EI before and after B3 for four 7B models, published and measured."""
    return _bars(
        shelf,
        [(row.key, row) for row in paper_tables.T5.rows],
        "EI before and after B3, 7B models",
    )


def responses(shelf: match.ResultSet):
    """EI before and after, every group of runs of a section."""
    keys = [
        (key, None)
        for key, _ in table_values.group_rows(shelf)
        if key["condition"] != "B0"
    ]
    return (
        _bars(shelf, keys, "EI before and after, every group of runs") if keys else None
    )


def _bars(shelf, keys, title: str):
    abreast = -(-len(keys) // -(-len(keys) // _ABREAST))  # lines of like length
    lines = [keys[at : at + abreast] for at in range(0, len(keys), abreast)]
    drawn, grid = figures.figure(
        len(lines), 1, width=max(5.0, 1.5 * len(lines[0]) + 2), height=3.6, sharey=True
    )
    rows, places = (
        table_values.group_rows(shelf),
        [
            (axis, i, *one)
            for (axis,), line in zip(grid, lines)
            for i, one in enumerate(line)
        ],
    )
    for axis, i, key, row in places:
        own = next(
            (v for k, v in rows if (match.matches(key, k) if row else k == key)), None
        )
        sides = [("published", row.values, row.sd)] if row else []
        if own:
            number = lambda name: math.nan if own[name].mean is None else own[name].mean
            ours = {name: number(name) for name in ("ei_before", "ei_after")}
            sides.append(
                (
                    "measured",
                    ours,
                    {name: own[name].sd for name in ours if own[name].sd},
                )
            )
        width = 0.2
        for side, values, sd in sides:
            left = i - 2 * width if side == "published" else i - (0 if row else width)
            for k, name in enumerate(("ei_before", "ei_after")):
                tint = GREY if side == "published" else color(key["condition"])
                axis.bar(
                    left + (k + 0.5) * width,
                    values[name],
                    width * 0.92,
                    yerr=sd.get(name),
                    color=tint if k else "white",
                    edgecolor=tint,
                    capsize=2,
                    label=f"{side}, {'after' if k else 'before'}" if row else None,
                )
        if row and not own:
            axis.text(
                i + width,
                0.02,
                "not\nrun",
                transform=axis.get_xaxis_transform(),
                ha="center",
                fontsize=8,
                color="#777777",
                style="italic",
            )
    top = grid[0][0].get_ylim()[1]  # the same of all: they share it
    grid[0][0].set_ylim(top=top * (1.25 if keys[0][1] else 1.05))
    for number, ((axis,), line) in enumerate(zip(grid, lines)):
        names = [_short(k["model"]) if row else _group_name(k) for k, row in line]
        axis.set_xticks(range(len(line)), names, fontsize=8)
        axis.set_xlim(-0.6, len(lines[0]) - 0.4)
        _finish(
            axis,
            "" if number else title + ("" if keys[0][1] else " (hollow: before)"),
            "EI (literal)",
        )
    return drawn


_ABREAST = 8  # groups of bars side by side, at most


def _group_name(key) -> str:
    weight = f"\nλ {key['lambda']:g}" if "lambda" in key else ""
    return f"{_wrapped(_short(key['model']))}\n{key['condition']} {key.get('intervention', '')}{weight}"


def _wrapped(text: str, width: int = 22) -> str:
    words, lines = text.split(" "), [""]
    for word in words:
        lines = (
            [*lines[:-1], f"{lines[-1]} {word}".strip()]
            if len(lines[-1]) + len(word) < width
            else [*lines, word]
        )
    return "\n".join(lines)


def trajectories(shelf: match.ResultSet, model: str):
    """EI, SEI and training loss over steps: seeds thin, their mean thick, the paper's means dashed where it prints them."""
    runs = [
        p
        for p in shelf.runs
        if p.key["model"] == model
        and p.key["condition"] != "B0"
        and ">" not in p.key["condition"]
    ]
    printed = model == paper_models.QWEN_32B
    if not runs and not printed:
        return None
    groups = collections.defaultdict(list)
    for placed in runs:
        label = placed.key["condition"] + (
            " light" if placed.key.get("intervention") == "light" else ""
        )
        groups[
            label + (f" λ {placed.key['lambda']:g}" if "lambda" in placed.key else "")
        ].append(placed)
    rows = _apart(sorted(groups)) if runs else {"": []}
    drawn, grid = figures.figure(
        len(rows), 3 if runs else 1, width=4.2 if runs else 5.6, height=3.4
    )
    for axes, (title, labels) in zip(grid, rows.items()):
        for axis, name in zip(axes, ("ei", "sei", "loss")):
            for label in labels:
                lines = [_line(p.record, name) for p in groups[label]]
                style = ("-", "--", ":", "-.")[
                    [g for g in labels if g.split()[0] == label.split()[0]].index(label)
                    % 4
                ]
                _draw_lines(axis, lines, color(label.split()[0]), style, label)
            if name == "ei" and printed and title in ("", "strong"):
                _draw_published(axis)
            axis.set_xlabel("step")
            axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
            axis.set_title(
                {
                    "ei": "EI (literal)",
                    "sei": "SEI",
                    "loss": "training loss (nats a token)",
                }[name]
                + (f", {title}" if title else "")
            )
            if name != "loss":
                axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
            if not runs:
                _absent(axis)
        if len(rows) > 1:
            axes[-1].legend(
                *axes[0].get_legend_handles_labels(),
                fontsize=8,
                loc="upper left",
                bbox_to_anchor=(1.01, 1),
            )
    if len(rows) == 1:
        handles, names = grid[0][0].get_legend_handles_labels()
        drawn.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=6 if runs else 2,
            fontsize=8,
        )
    drawn.suptitle(_short(model), fontsize=10, x=0.01, ha="left")
    return drawn


_TOGETHER = 7  # groups of runs that one panel of trajectories shows clearly


def _apart(labels: list[str]) -> dict[str, list[str]]:
    """The groups by row of panels: one row if they are few, otherwise strong, light and, of several weights, B4's."""
    light = [g for g in labels if " light" in g]
    weights = [g for g in labels if g.startswith("B4 ") and g not in light]
    strong = [
        g
        for g in labels
        if g not in light and (g not in weights or len(weights) == 1 or g == "B4 λ 0.1")
    ]
    rows = {
        "strong": strong,
        "light": light,
        "B4 by CSR's weight": weights if len(weights) > 1 else [],
    }
    return (
        {title: row for title, row in rows.items() if row}
        if len(labels) > _TOGETHER
        else {"": labels}
    )


def _draw_published(axis) -> None:
    for condition in ("B3", "B2"):
        steps = [
            r.key["step"]
            for r in paper_tables.T4.rows
            if r.key["condition"] == condition
        ]
        values, marker = (
            paper_tables.T4.select("ei", condition=condition),
            "os"[condition == "B2"],
        )
        axis.plot(
            steps,
            values,
            "--",
            color=GREY,
            marker=marker,
            markersize=3,
            linewidth=1,
            label=f"published {condition}, mean of 8",
        )


def _line(run, name: str) -> tuple[list, list]:
    if name == "loss":
        steps, values = (
            [r["step"] for r in run.trained],
            [r["loss"] for r in run.trained],
        )
        return steps, _smooth(values, max(1, len(values) // 50))
    return [m.step for m in run.measured], [
        math.nan if m.value(name) is None else m.value(name) for m in run.measured
    ]


def _smooth(values: list[float], width: int) -> list[float]:
    """The mean over the last `width` values, as far as there are so many."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return [
        (total[i + 1] - total[max(0, i + 1 - width)]) / min(i + 1, width)
        for i in range(len(values))
    ]


def _draw_lines(axis, lines, tint: str, style: str, label: str) -> None:
    for x, y in lines:
        axis.plot(
            x,
            y,
            style,
            color=tint,
            linewidth=0.7,
            alpha=0.5 if len(lines) > 1 else 1.0,
            marker="o" if len(x) < 15 else None,
            markersize=2,
        )
    common = sorted(set.intersection(*(set(x) for x, _ in lines)))
    at = [dict(zip(x, y)) for x, y in lines]
    mean = [np.mean([d[s] for d in at]) for s in common]
    axis.plot(
        common,
        mean,
        style,
        color=tint,
        linewidth=2.2,
        label=f"{label} ({len(lines)} seed{'s' * (len(lines) > 1)})",
    )


def coding(shelf: match.ResultSet):
    """HumanEval and HumanEval+ by condition with Wilson intervals; differences from the base model, paired by problem."""
    ours = [
        p
        for p in shelf.evaluations
        if any(match.matches(row.key, p.key) for row in paper_tables.T9.rows)
    ]
    labels = [r.key["condition"] for r in paper_tables.T9.rows]
    labels += [
        c for c in dict.fromkeys(p.key["condition"] for p in ours) if c not in labels
    ]
    drawn, ((left, right),) = figures.figure(
        1, 2, width=max(4.6, 0.65 * len(labels) + 1), height=3.4
    )
    for row in paper_tables.T9.rows:
        i = labels.index(row.key["condition"])
        left.bar(
            i - 0.3,
            row.values["he"],
            0.18,
            color="white",
            edgecolor=GREY,
            label="published HumanEval",
        )
        left.bar(
            i - 0.12,
            row.values["he_plus"],
            0.18,
            color=GREY,
            label="published HumanEval+",
        )
        if row.values["he_plus_change"] is not None:
            change, low, high = (
                row.values[n] for n in ("he_plus_change", "low", "high")
            )
            right.errorbar(
                i - 0.12,
                change,
                [[change - low], [high - change]],
                fmt="s",
                color=GREY,
                capsize=3,
                markersize=4,
                label="published (as printed)",
            )
    for one in ours:
        i, tint = labels.index(one.key["condition"]), color(one.key["condition"])
        for dx, suite, face in ((0.1, "base", "white"), (0.28, "plus", tint)):
            share, ends = _passed(one, suite)
            left.bar(
                i + dx,
                share,
                0.18,
                yerr=ends,
                capsize=2,
                color=face,
                edgecolor=tint,
                error_kw={"linewidth": 0.8},
                label="measured (95% Wilson)" if suite == "plus" else None,
            )
        if found := _from_base(shelf, one):
            right.errorbar(
                i + 0.12,
                *found,
                fmt="D",
                color=tint,
                capsize=3,
                markersize=5,
                label="measured (95%, paired)",
            )
    for axis in (left, right):
        axis.set_xticks(range(len(labels)), labels, fontsize=8)
        axis.set_xlim(-0.6, len(labels) - 0.4)
        if not ours:
            _absent(axis)
    _finish(left, "pass@1 (hollow: HumanEval; filled: HumanEval+)", "%")
    left.set_ylim(top=1.3 * left.get_ylim()[1])
    _finish(right, "HumanEval+ minus the base model", "points")
    return drawn


def other_coding(shelf: match.ResultSet):
    """The same of everything that is not the paper's, a line an evaluation."""
    ours = shelf.evaluations
    if not ours:
        return None
    drawn, ((left, right),) = figures.figure(
        1, 2, width=4.8, height=0.24 * len(ours) + 1.2, sharey=True
    )
    for i, one in enumerate(ours):
        tint = color(one.key["condition"])
        for dy, suite, face in ((-0.15, "base", "white"), (0.15, "plus", tint)):
            share, ends = _passed(one, suite)
            left.errorbar(
                share,
                i + dy,
                xerr=ends,
                fmt="o",
                color=tint,
                markerfacecolor=face,
                capsize=2,
                markersize=4,
                elinewidth=0.8,
            )
        if found := _from_base(shelf, one):
            right.errorbar(
                found[0],
                i,
                xerr=found[1],
                fmt="D",
                color=tint,
                capsize=2,
                markersize=4,
                elinewidth=0.8,
            )
    problems = {len(one.record.passed["plus"]) for one in ours}
    names = [
        _group_name(one.key).replace("\n", " ")
        + (f" seed {one.key['seed']}" if "seed" in one.key else "")
        for one in ours
    ]
    if len(problems) > 1:
        names = [
            f"{name} ({len(one.record.passed['plus'])} problems)"
            for name, one in zip(names, ours)
        ]
    left.set_yticks(range(len(ours)), names, fontsize=8)
    left.invert_yaxis()
    strange = any(map(coding_values.count_foreign_problems, ours))
    counted = (
        f" of {problems.pop()} problems" + " that are not HumanEval" * strange
        if len(problems) == 1
        else ""
    )
    right.set_xlim(*(f(x, y) for f, x, y in zip((min, max), right.get_xlim(), (-5, 5))))
    for axis, title, unit in (
        (left, "pass@1 (hollow: base tests; filled: plus)", f"%{counted} (95% Wilson)"),
        (right, "plus, minus the base model", "points (95%, paired by problem)"),
    ):
        axis.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(unit)
    return drawn


def _passed(one: match.KeyedResult, suite: str) -> tuple[float, list[list[float]]]:
    """Per cent passed, and how far the Wilson interval reaches below and above it."""
    passed = list(one.record.passed[suite].values())
    found = proportions.wilson(round(sum(passed)), len(passed))
    return 100 * found.estimate, [
        [max(0, 100 * (found.estimate - found.low))],
        [100 * (found.high - found.estimate)],
    ]


def _from_base(
    shelf: match.ResultSet, one: match.KeyedResult
) -> tuple[float, list[list[float]]] | None:
    """Points from the base model on the plus tests, and how far their interval reaches; None without the base model's evaluation."""
    paired = coding_values.compare_with_base(shelf, one)
    if not paired:
        return None
    d = paired.difference
    return 100 * d.estimate, [[0], [0]] if math.isnan(d.low) else [
        [100 * (d.estimate - d.low)],
        [100 * (d.high - d.estimate)],
    ]


def energy(shelf: match.ResultSet, published: bool):
    """SV energy of the weight change against HumanEval+."""
    rows = [
        (k, v)
        for k, v in coding_values.coding_rows(shelf)
        if "sv_energy" in v and "he_plus" in v and v["sv_energy"].mean
    ]
    rows = [
        (k, v)
        for k, v in rows
        if not published
        or any(match.matches(row.key, k) for row in paper_tables.T10.rows)
    ]
    if not rows and not published:
        return None
    drawn, ((axis,),) = figures.figure(width=5.2)
    for row in paper_tables.T10.rows if published else ():
        axis.plot(
            row.values["sv_energy"],
            row.values["he_plus"],
            "o",
            color=GREY,
            markerfacecolor="white",
            label="published",
        )
        axis.annotate(
            row.key["condition"],
            (row.values["sv_energy"], row.values["he_plus"]),
            (4, 4),
            textcoords="offset points",
            fontsize=8,
            color="#666666",
        )
    for key, values in rows:
        at, tint, light = (
            (values["sv_energy"].mean, values["he_plus"].mean),
            color(key["condition"]),
            key.get("intervention") == "light",
        )
        if published:
            axis.plot(*at, "D", color=tint, label="measured")
            axis.annotate(
                key["condition"],
                at,
                (5, -10),
                textcoords="offset points",
                fontsize=8,
                color=tint,
            )
        else:  # every seed's: too many for a name each
            axis.plot(
                *at,
                "s" if light else "D",
                color=tint,
                alpha=0.7,
                label=key["condition"] + " light" * light,
            )
    axis.set_xscale("log")
    axis.set_xlabel("SV energy (log scale)")
    axis.margins(0.12)
    if not rows:
        _absent(axis)
    axis.set_title("SV energy of the weight change and coding")
    axis.set_ylabel("HumanEval+ (%)")
    axis.set_ylim(bottom=min(-2, axis.get_ylim()[0]), top=max(10, axis.get_ylim()[1]))
    _legend(
        axis,
        loc="lower left" if published else "upper left",
        ncols=1 if published else 3,
    )
    return drawn
