"""Damage matrices of one model, before and after training."""

from collections.abc import Mapping

import numpy as np

from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.report.plots import labels, style


def draw(results: match.ResultSet, model: str):
    """Draws the base model, then the end of each condition's first seed.

    Args:
      results: any results.
      model: the model's name in their keys.

    Returns:
      The figure, with a box around each direction's dominant concept; None where the
      model was not measured.
    """
    panels = _base(results, model) + _trained(results, model)
    if not panels:
        return None
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    height = 0.9 + 0.27 * len(panels[0][1]["damage"])
    drawn, axes = style.figure(rows, columns, width=3.0, height=height)
    # One scale for all panels.
    limit = max(
        float(np.abs(np.array(measured["damage"], float)).max())
        for _, measured in panels
    )
    for axis, (title, measured) in zip(axes.flat, panels):
        directions = [str(i + 1) for i in range(len(measured["damage"]))]
        concepts = list(measured["accuracy"])
        style.heat(axis, measured["damage"], directions, concepts, limit)
        style.box_dominant_concepts(axis, measured["own"], linewidth=1.2)
        axis.set_title(title, fontsize=9)
    for axis in list(axes.flat)[len(panels) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("direction removed")
    return drawn


def _base(results: match.ResultSet, model: str) -> list[tuple[str, Mapping]]:
    measured = table_values.base_measurements(results).get(model)
    return [("base", measured[0].record)] if measured else []


def _trained(results: match.ResultSet, model: str) -> list[tuple[str, Mapping]]:
    """Title and last measurement of the first seed of each group of runs."""
    panels = []
    seen = set()
    for result in results.finished:
        key = result.key
        group = tuple((name, value) for name, value in key.items() if name != "seed")
        if key["model"] == model and key["condition"] != "B0" and group not in seen:
            seen.add(group)
            title = f"{labels.run_label(key)}, seed {key['seed']}"
            panels.append((title, result.record.after.record))
    return panels
