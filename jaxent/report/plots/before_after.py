"""EI before and after training as bars, a group of bars for each group of runs."""

from collections.abc import Mapping, Sequence

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.report.plots import labels, style

_MOST_IN_A_ROW = 8  # groups of bars side by side
_WIDTH = 0.2  # of a bar, where groups are 1 apart
_NAMES = ("ei_before", "ei_after")
_Group = tuple[Mapping, paper_tables.Row | None]
"""The key of some runs, and the published row for them, if there is one."""


def architectures(results: match.ResultSet):
    """Draws the four 7B models of Table 5, published and measured.

    Args:
      results: the results at the paper's models and settings.

    Returns:
      The figure.
    """
    groups: list[_Group] = [(row.key, row) for row in paper_tables.T5.rows]
    drawn, axes = _draw(results, groups)
    _finish(axes, groups, "EI before and after B3, 7B models", headroom=1.25)
    return drawn


def responses(results: match.ResultSet):
    """Draws every group of runs that differ in nothing but the seed.

    Args:
      results: any results.

    Returns:
      The figure, or None where no adapter was trained.
    """
    keys = [key for key, _ in table_values.group_rows(results)]
    groups: list[_Group] = [(key, None) for key in keys if key["condition"] != "B0"]
    if not groups:
        return None
    drawn, axes = _draw(results, groups)
    title = "EI before and after, every group of runs (hollow: before)"
    _finish(axes, groups, title, headroom=1.05)
    return drawn


def _rows(groups: Sequence[_Group]) -> list[Sequence[_Group]]:
    """The groups in as few rows as possible, of about the same length."""
    number = -(-len(groups) // _MOST_IN_A_ROW)
    length = -(-len(groups) // number)
    return [groups[at : at + length] for at in range(0, len(groups), length)]


def _draw(results: match.ResultSet, groups: Sequence[_Group]):
    rows = _rows(groups)
    width = max(5.0, 1.5 * len(rows[0]) + 2)
    drawn, axes = style.figure(
        len(rows),
        1,
        width=width,
        height=3.6,
        sharey=True,
    )
    summary = table_values.group_rows(results)
    for (axis,), row in zip(axes, rows):
        for position, (key, published) in enumerate(row):
            if published:
                _draw_published(axis, position, published)
            values = _measured(summary, key, published)
            if values is None:
                style.text_not_run(axis, position + _WIDTH, "not\nrun")
                continue
            left = position if published else position - _WIDTH
            side = "measured" if published else ""
            _draw_bars(axis, left, values, style.color(key["condition"]), side)
    return drawn, axes


def _measured(
    summary: table_values.Rows, key: Mapping, published: paper_tables.Row | None
) -> Mapping[str, table_values.Value] | None:
    for measured_key, values in summary:
        same = match.matches(key, measured_key) if published else key == measured_key
        if same:
            return values
    return None


def _draw_published(axis, position: int, row: paper_tables.Row) -> None:
    values = {
        name: table_values.Value(row.values[name], row.sd.get(name)) for name in _NAMES
    }
    _draw_bars(axis, position - 2 * _WIDTH, values, style.GREY, "published")


def _draw_bars(
    axis,
    left: float,
    values: Mapping[str, table_values.Value],
    color: str,
    side: str,
) -> None:
    """Two bars from `left` on, before hollow and after filled, with their SDs."""
    for k, name in enumerate(_NAMES):
        when = "after" if k else "before"
        axis.bar(
            left + (k + 0.5) * _WIDTH,
            style.number(values[name].mean),
            _WIDTH * 0.92,
            yerr=values[name].sd or None,
            color=color if k else "white",
            edgecolor=color,
            capsize=2,
            label=f"{side}, {when}" if side else None,
        )


def _finish(axes, groups: Sequence[_Group], title: str, headroom: float) -> None:
    """Titles, names of the groups, and room above the bars."""
    first = axes[0][0]
    first.set_ylim(top=first.get_ylim()[1] * headroom)  # all panels share it
    rows = _rows(groups)
    for number, ((axis,), row) in enumerate(zip(axes, rows)):
        names = [
            labels.short_model_name(key["model"])
            if published
            else labels.group_name(key)
            for key, published in row
        ]
        axis.set_xticks(range(len(row)), names, fontsize=8)
        axis.set_xlim(-0.6, len(rows[0]) - 0.4)
        style.finish(axis, "" if number else title, "EI (as published)")
