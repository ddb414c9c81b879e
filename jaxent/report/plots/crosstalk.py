"""Crosstalk between domains: a matrix of damage, and each domain's pair with code."""

from collections.abc import Mapping, Sequence

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import crosstalk_values, match
from jaxent.report import values as table_values
from jaxent.report.plots import labels, style

_SHORT = {"formal_logic": "logic"}


def draw(results: match.ResultSet, published: bool):
    """Draws a row of panels for each measurement of crosstalk.

    Args:
      results: any results.
      published: whether Table 8 is drawn as well; then only the base model that it is
        of is shown.

    Returns:
      The figure, or None where there is nothing to draw.
    """
    measured = [
        result
        for result in results.crosstalks
        if not published or _is_of_table_8(result.key)
    ]
    if not measured:
        return _draw_published_alone() if published else None
    drawn, axes = style.figure(len(measured), 2, width=5.0, height=3.9)
    for (left, right), result in zip(axes, measured):
        _draw_matrix(left, result)
        _draw_pairs(right, _with_code(result), published)
    return drawn


def _is_of_table_8(key: Mapping) -> bool:
    return key["condition"] == "B0" and key["model"] == paper_models.QWEN_7B


def _draw_published_alone():
    drawn, ((axis,),) = style.figure(width=5.0, height=3.0)
    _draw_pairs(axis, {}, published=True)
    return drawn


def _draw_matrix(axis, result: match.KeyedResult) -> None:
    """Recall that each domain loses when another one's direction is removed."""
    record = result.record.content
    names = list(record["domains"])
    matrix = record["damage"]["raw"]["matrix"]
    style.heat(axis, [[style.number(v) for v in row] for row in matrix], names, names)
    axis.tick_params(axis="x", rotation=30)
    axis.set_xlabel("domain that loses")
    axis.set_ylabel("domain removed")
    model = labels.short_model_name(result.key["model"])
    axis.set_title(f"Recall lost, {model} {result.key['condition']}")


def _with_code(result: match.KeyedResult) -> dict[str, table_values.Value]:
    """The crosstalk of code with each other domain."""
    rows = crosstalk_values.crosstalk_rows(match.ResultSet(crosstalks=(result,)))
    return {key["companion"]: values["ct"] for key, values in rows}


def _draw_pairs(
    axis, measured: Mapping[str, table_values.Value], published: bool
) -> None:
    """Crosstalk with code, a line a domain: published above, measured below."""
    names = [row.key["companion"] for row in paper_tables.T8.rows]
    if published:
        _draw_published(axis, paper_tables.T8.rows)
    names += [name for name in measured if name not in names]
    for name, value in measured.items():
        _draw_measured(axis, names.index(name) - 0.15, value)
    if not measured:
        style.title_not_run(axis)
    axis.set_ylim(-0.5, len(names) - 0.4)
    axis.set_yticks(range(len(names)), [_SHORT.get(name, name) for name in names])
    axis.axvline(0, color=style.LINE, linewidth=0.8, zorder=0)
    axis.set_xlabel("symmetric crosstalk with code")
    axis.set_title("Crosstalk with code")
    style.legend(axis, loc="best")


def _draw_published(axis, rows: Sequence[paper_tables.Row]) -> None:
    for position, row in enumerate(rows):
        axis.plot(
            row.values["ct"],
            position + 0.15,
            "o",
            color=style.GREY,
            markerfacecolor="white",
            label="published",
        )


def _draw_measured(axis, y: float, value: table_values.Value) -> None:
    color = style.COLORS[0]
    if value.mean is None:
        axis.text(
            0.02,
            y,
            "undefined",
            fontsize=7,
            color=style.MUTED,
            va="center",
        )
        return
    if value.low is not None:
        axis.plot([value.low, value.high], [y] * 2, color=color, linewidth=1.5)
    label = "measured (95% over sets)"
    axis.plot(value.mean, y, "D", color=color, label=label)
