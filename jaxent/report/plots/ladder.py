"""EI before and after B3 at the paper's three sizes."""

from collections.abc import Mapping, Sequence

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.report.plots import labels, style

_MODELS = (paper_models.QWEN_7B, paper_models.QWEN_14B, paper_models.QWEN_32B)


def draw(results: match.ResultSet):
    """Draws published means and SDs beside measured seeds, means and SDs.

    Args:
      results: the results at the paper's models and settings.

    Returns:
      The figure.
    """
    drawn, ((axis,),) = style.figure(width=5.6)
    rows = table_values.group_rows(results)
    for position, model in enumerate(_MODELS):
        row = paper_tables.T2.row(model=model)
        _draw_published(axis, position, row)
        values = next((v for key, v in rows if match.matches(row.key, key)), None)
        if values is None:
            style.text_not_run(axis, position)
        else:
            group = [p for p in results.finished if match.matches(row.key, p.key)]
            _draw_measured(axis, position, group, values)
    axis.set_xticks(range(3), [labels.short_model_name(m) for m in _MODELS])
    axis.set_xlim(-0.5, 2.5)
    axis.set_ylim(bottom=-0.2)
    style.finish(axis, "EI before and after B3, by size", "EI (as published)")
    return drawn


def _draw_published(axis, position: int, row: paper_tables.Row) -> None:
    for shift, when, face in ((-0.22, "before", "white"), (0.06, "after", style.GREY)):
        axis.errorbar(
            position + shift,
            row.values[f"ei_{when}"],
            row.sd[f"ei_{when}"],
            fmt="o",
            color=style.GREY,
            markerfacecolor=face,
            capsize=3,
            label=f"published, {when} (SD)",
        )


def _draw_measured(
    axis,
    position: int,
    group: Sequence[match.KeyedResult],
    values: Mapping[str, table_values.Value],
) -> None:
    """Every seed as a small dot; the mean as a diamond with its SD."""
    color = style.color("B3")
    for shift, when in ((-0.1, "before"), (0.18, "after")):
        x = position + shift
        of_seeds = [getattr(p.record, when).value("ei") for p in group]
        seeds = [value for value in of_seeds if value is not None]
        axis.plot(
            [x] * len(seeds),
            seeds,
            "o",
            color=color,
            alpha=0.35,
            markersize=4,
        )
        value = values[f"ei_{when}"]
        if value.mean is not None:
            axis.errorbar(
                x,
                value.mean,
                value.sd or 0,
                fmt="D",
                color=color,
                markerfacecolor="white" if when == "before" else color,
                capsize=3,
                markersize=6,
                label=f"measured, {when} (SD)",
            )
