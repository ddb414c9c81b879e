"""SV energy of the weight change against HumanEval+."""

from collections.abc import Mapping

from jaxent.paper import tables as paper_tables
from jaxent.report import coding_values, match
from jaxent.report import values as table_values
from jaxent.report.plots import style


def draw(results: match.ResultSet, published: bool):
    """Draws a point for each evaluated adapter.

    Args:
      results: any results.
      published: whether Table 10 is drawn as well; then only its conditions are shown.

    Returns:
      The figure, or None where there is nothing to draw.
    """
    rows = _rows(results, published)
    if not rows and not published:
        return None
    drawn, ((axis,),) = style.figure(width=5.2)
    for row in paper_tables.T10.rows if published else ():
        _draw_published(axis, row)
    for key, values in rows:
        point = (values["sv_energy"].mean, values["he_plus"].mean)
        if published:
            _draw_condition(axis, key, point)
        else:
            _draw_seed(axis, key, point)
    axis.set_xscale("log")
    axis.set_xlabel("SV energy (log scale)")
    axis.margins(0.12)
    if not rows:
        style.title_not_run(axis)
    axis.set_title("SV energy of the weight change and coding")
    axis.set_ylabel("HumanEval+ (%)")
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom=min(-2, bottom), top=max(10, top))
    if published:
        style.legend(axis, loc="lower left", ncols=1)
    else:
        style.legend(axis, loc="upper left", ncols=3)
    return drawn


def _rows(results: match.ResultSet, published: bool) -> table_values.Rows:
    """The evaluations with an energy above 0, which a logarithmic axis needs."""
    rows = []
    for key, values in coding_values.coding_rows(results):
        energy = values.get("sv_energy")
        if energy is None or not energy.mean or "he_plus" not in values:
            continue
        in_table = any(match.matches(row.key, key) for row in paper_tables.T10.rows)
        if in_table or not published:
            rows.append((key, values))
    return rows


def _draw_published(axis, row: paper_tables.Row) -> None:
    point = (row.values["sv_energy"], row.values["he_plus"])
    axis.plot(
        *point,
        "o",
        color=style.GREY,
        markerfacecolor="white",
        label="published",
    )
    _annotate(axis, row.key["condition"], point, (4, 4), "#666666")


def _draw_condition(axis, key: Mapping, point) -> None:
    color = style.color(key["condition"])
    axis.plot(*point, "D", color=color, label="measured")
    _annotate(axis, key["condition"], point, (5, -10), color)


def _draw_seed(axis, key: Mapping, point) -> None:
    """A point without its name beside it: there are too many of them."""
    light = key.get("intervention") == "light"
    axis.plot(
        *point,
        "s" if light else "D",
        color=style.color(key["condition"]),
        alpha=0.7,
        label=f"{key['condition']} light" if light else key["condition"],
    )


def _annotate(axis, text: str, point, offset, color: str) -> None:
    axis.annotate(
        text,
        point,
        offset,
        textcoords="offset points",
        fontsize=8,
        color=color,
    )
