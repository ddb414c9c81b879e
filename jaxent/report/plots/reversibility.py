"""EI and SEI through a first condition and through a second one on top of it."""

from collections.abc import Sequence

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import style
from jaxent.runs import quantities, records


def draw(results: match.ResultSet, published: bool):
    """Draws both trainings of each run that continues another.

    Args:
      results: any results.
      published: whether Table 13 is drawn as well; then only B2 on top of B3 is shown.

    Returns:
      The figure, or None where there is nothing to draw.
    """
    runs = [
        (run, results.origin[run.of])
        for run in results.runs
        if run.of is not None
        and run.of in results.origin
        and (not published or run.key["condition"] == "B3>B2")
    ]
    if not runs and not published:
        return None
    drawn, (axes,) = style.figure(1, 2 if runs else 1, width=4.8)
    for axis, quantity, title in zip(axes, ("ei", "sei"), ("EI (as published)", "SEI")):
        if published and quantity == "ei":
            _draw_published(axis)
        for run, origin in runs:
            _draw_run(axis, run, origin, quantity)
        axis.axvline(0, color="#555555", linewidth=0.8, linestyle=":")
        axis.set_xlabel("step of the second training (left of 0: the first)")
        if not runs:
            style.title_not_run(axis)
        style.finish(axis, title, quantity.upper())
    return drawn


def _draw_published(axis) -> None:
    axis.plot(
        [row.key["step"] for row in paper_tables.T13.rows],
        paper_tables.T13.select("ei"),
        "--o",
        color=style.GREY,
        markersize=4,
        label="published B2 after B3 (14B, seed 0)",
    )


def _draw_run(axis, run: match.KeyedResult, origin: records.Run, quantity: str) -> None:
    """The first training left of step 0, the second right of it."""
    first, second = run.key["condition"].split(">")
    end = origin.after.step
    axis.plot(
        [m.step - end for m in origin.measured],
        _values(origin.measured, quantity),
        "-",
        linewidth=1.2,
        color=style.color(first),
        label=first,
    )
    axis.plot(
        [m.step for m in run.record.measured],
        _values(run.record.measured, quantity),
        "-o",
        markersize=3,
        linewidth=1.8,
        color=style.color(second),
        label=f"{second} on top",
    )


def _values(measured: Sequence[quantities.Measured], quantity: str) -> list[float]:
    return [style.number(m.value(quantity)) for m in measured]
