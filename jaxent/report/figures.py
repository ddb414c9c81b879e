"""Which figures a report has, and what their captions say. `plots` draws them."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from jaxent.paper import models as paper_models
from jaxent.report import match
from jaxent.report import values as table_values
from jaxent.report.plots import (
    before_after,
    coding,
    crosstalk,
    csr_weight,
    damage,
    energy,
    families,
    ladder,
    reversibility,
    trajectories,
)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
      id: its name in links and files.
      caption: what it shows, in a sentence.
      drawn: the Matplotlib figure, to be saved once; None where there is nothing to
        draw.
      after: id of the table that it follows, if it follows one.
    """

    id: str
    caption: str
    drawn: Any
    after: str = ""


def paper_figures(results: match.ResultSet) -> Iterable[Figure]:
    """Draws the figures of the paper's models.

    Args:
      results: the results at the paper's models and settings.

    Yields:
      One figure at a time, so that only one is held in memory.
    """
    yield from _b3_figures(results)
    yield Figure(
        "crosstalk",
        "Recall lost between domains, and crosstalk with code (Table 8).",
        crosstalk.draw(results, published=True),
        "T8",
    )
    yield Figure(
        "humaneval",
        "HumanEval by condition; differences from the base model, ours paired by "
        "problem (Table 9).",
        coding.by_condition(results),
        "T9",
    )
    yield Figure(
        "sv-energy",
        "SV energy against HumanEval+ (Table 10).",
        energy.draw(results, published=True),
        "T10",
    )
    yield Figure(
        "lambda",
        "EI under B4 by CSR's weight (Tables 11 and 12).",
        csr_weight.draw(results, published=True),
        "T12",
    )
    yield Figure(
        "reversibility",
        "EI and SEI through B3 and B2 on top of it (Tables 13 and 14).",
        reversibility.draw(results, published=True),
        "T14",
    )
    yield from _damage_figures(results, "damage", "T7")


def _b3_figures(results: match.ResultSet) -> Iterable[Figure]:
    """Tables 2 to 6: sizes, steps and architectures."""
    yield Figure(
        "scale-ladder",
        "EI before and after B3 at three sizes (Tables 2 and 3).",
        ladder.draw(results),
        "T3",
    )
    measured = {result.key["model"] for result in results.runs}
    for model in paper_models.HUB:
        if model in measured or model == paper_models.QWEN_32B:
            yield Figure(
                f"trajectory-{model.lower().replace('.', '')}",
                f"EI, SEI and training loss of {model} over steps (Table 4): seeds "
                "thin, their mean thick.",
                trajectories.draw(results, model),
                "T4",
            )
    yield Figure(
        "cross-architecture",
        "EI before and after B3 for four 7B models (Tables 5 and 6).",
        before_after.architectures(results),
        "T6",
    )


def other_figures(
    results: match.ResultSet, of_paper: match.ResultSet = match.ResultSet()
) -> Iterable[Figure]:
    """Draws the same figures of everything that is not the paper's.

    Args:
      results: results that are not at the paper's models and settings.
      of_paper: those that are; in the ladder they join others of their families.

    Yields:
      One figure at a time.
    """
    yield Figure(
        "other-responses",
        "EI before (hollow) and after, every group of runs; bars: SD over seeds.",
        before_after.responses(results),
    )
    yield Figure(
        "other-ladder",
        "EI and CVO before (hollow) and after B3 by number of parameters, a line a "
        "family: mean and SD over seeds.",
        families.draw(results, of_paper),
    )
    models = dict.fromkeys(result.key["model"] for result in results.runs)
    for number, model in enumerate(models, 1):
        yield Figure(
            f"other-trajectory-{number}",
            f"EI, SEI and training loss of {model} over steps: seeds thin, their mean "
            "thick.",
            trajectories.draw(results, model),
        )
    yield Figure(
        "other-crosstalk",
        "Recall lost between domains, and crosstalk with code.",
        crosstalk.draw(results, published=False),
    )
    yield Figure(
        "other-humaneval",
        "HumanEval by condition; differences from the base model paired by problem.",
        coding.by_evaluation(results),
    )
    yield Figure(
        "other-sv-energy",
        "SV energy against HumanEval+.",
        energy.draw(results, published=False),
    )
    yield Figure(
        "other-lambda",
        "EI under B4 by CSR's weight.",
        csr_weight.draw(results, published=False),
    )
    yield Figure(
        "other-reversibility",
        "EI and SEI through one condition and another on top.",
        reversibility.draw(results, published=False),
    )
    yield from _damage_figures(results, "other-damage", "")


def _damage_figures(results: match.ResultSet, id: str, after: str) -> Iterable[Figure]:
    for number, model in enumerate(table_values.base_measurements(results), 1):
        yield Figure(
            f"{id}-{number}",
            f"Accuracy each concept of {model} loses when one direction is removed; "
            "boxes: the direction's own concept.",
            damage.draw(results, model),
            after,
        )
