"""The paper's questions as lists of runs: pure functions of models, seeds, settings."""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any

from jaxent.data import mix
from jaxent.paper import models as paper_models
from jaxent.paper import settings as paper_settings
from jaxent.paper import tables as paper_tables
from jaxent.runs import spec as specs

_CURRICULUM = paper_settings.STRONG["curriculum_steps"]
_NO_SETTINGS: Mapping[str, Any] = types.MappingProxyType({})


def runs(
    model: str,
    condition: str,
    intervention: str,
    seeds: Sequence[int],
    settings: Mapping[str, Any],
    **more,
) -> list[specs.RunSpec]:
    """One run a seed.

    Args:
      model: a checkpoint folder or Hub id.
      condition: of Table 1.
      intervention: "strong" or "light".
      seeds: the runs'.
      settings: fields of `RunSpec` that override the intervention's.
      **more: fields that override both.

    Example:
      >>> [run.name for run in runs("m", "B2", "light", (0, 1), {"max_steps": 60})]
      ['m/B2-light-seed0', 'm/B2-light-seed1']
    """
    chosen = specs.INTERVENTIONS[intervention] | dict(settings) | more
    return [
        specs.RunSpec(
            model=model,
            condition=condition,
            intervention=intervention,
            seed=seed,
            **chosen,
        )
        for seed in seeds
    ]


def csr_lambda(
    models: Sequence[str],
    seeds: Sequence[int] = (0,),
    lambdas: Sequence[float] = (0.03, 0.1, 0.3),
    interventions: Sequence[str] = ("strong",),
    settings: Mapping[str, Any] = _NO_SETTINGS,
) -> list[specs.RunSpec]:
    """Tables 11 and 12: B4 at several weights of CSR's penalty; at weight 0 it is B2.

    Args:
      models: checkpoint folders or Hub ids.
      seeds: of each model.
      lambdas: the weights.
      interventions: "strong", "light" or both.
      settings: fields of `RunSpec` that override the interventions'.

    Example:
      >>> [run.csr_lambda for run in csr_lambda(["m"])]
      [0.03, 0.1, 0.3]
    """
    return [
        run
        for model in models
        for intervention in interventions
        for weight in lambdas
        for run in runs(model, "B4", intervention, seeds, settings, csr_lambda=weight)
    ]


def seeds(model: str) -> tuple[int, ...]:
    """A model's seeds under B3 in Tables 3 and 6; 0 for a model that is in neither.

    Example:
      >>> seeds("Qwen/Qwen2.5-Coder-7B")
      (42, 0, 1)
    """
    published = [
        row.key["seed"]
        for row in (*paper_tables.T3.rows, *paper_tables.T6.rows)
        if paper_models.HUB[row.key["model"]] == model
    ]
    return tuple(dict.fromkeys(published)) or (0,)


def _seeds(model: str, only_seeds: Sequence[int] | None) -> Sequence[int]:
    """The seeds that are asked for, or the published ones."""
    return seeds(model) if only_seeds is None else only_seeds


def scale_ladder(
    models: Sequence[str],
    only_seeds: Sequence[int] | None = None,
    compared: Sequence[str] | None = None,
    settings: Mapping[str, Any] = _NO_SETTINGS,
) -> list[specs.RunSpec]:
    """Tables 2, 3, 4 and 7: every base model, B3 on it, and B2 on some.

    B2 has the seeds of B3 (Table 4 has 8, where section 3.3 says one).

    Args:
      models: checkpoint folders or Hub ids.
      only_seeds: seeds instead of the published ones.
      compared: the models trained under B2; None for the last of the models.
      settings: fields of `RunSpec` that override the intervention's.

    Raises:
      ValueError: a compared model is none of the models.

    Example:
      >>> [run.name for run in scale_ladder(["a/s"], only_seeds=(0,))]
      ['s/B0', 's/B3-strong-seed0', 's/B2-strong-seed0']
    """
    compared = models[-1:] if compared is None else compared
    if strangers := set(compared) - set(models):
        raise ValueError(
            f"{sorted(strangers)[0]} is to be compared under B2: "
            f"expected one of the models {', '.join(models)}"
        )
    ladder = cross_architecture(models, only_seeds, settings)
    for model in compared:
        model_seeds = _seeds(model, only_seeds)
        ladder += runs(model, "B2", "strong", model_seeds, settings)
    return ladder


def cross_architecture(
    models: Sequence[str],
    only_seeds: Sequence[int] | None = None,
    settings: Mapping[str, Any] = _NO_SETTINGS,
) -> list[specs.RunSpec]:
    """Tables 5 and 6, and 7's base models: every base model and B3 on it.

    Args:
      models: checkpoint folders or Hub ids.
      only_seeds: seeds instead of the published ones.
      settings: fields of `RunSpec` that override the intervention's.

    Example:
      >>> [run.name for run in cross_architecture(["a/s"], only_seeds=(0,))]
      ['s/B0', 's/B3-strong-seed0']
    """
    chosen = []
    for model in models:
        chosen += runs(model, "B0", "strong", (0,), settings)
        chosen += runs(model, "B3", "strong", _seeds(model, only_seeds), settings)
    return chosen


def companions(
    models: Sequence[str],
    only_seeds: Sequence[int] = (0,),
    conditions: Sequence[str] = mix.CONDITIONS,
    interventions: Sequence[str] = ("strong", "light"),
    settings: Mapping[str, Any] = _NO_SETTINGS,
) -> list[specs.RunSpec]:
    """Tables 9 and 10, section 6.3: the conditions under both interventions.

    The base model (B0) is there once. B5's math takes the published 1000 steps, a
    fifth of the run where that is no longer than those.

    Args:
      models: checkpoint folders or Hub ids.
      only_seeds: of each condition.
      conditions: of Table 1.
      interventions: "strong", "light" or both.
      settings: fields of `RunSpec` that override the interventions'.

    Example:
      >>> [run.name for run in companions(["a/s"], (0,), ("B0", "B2"), ("light",))]
      ['s/B0', 's/B2-light-seed0']
    """
    chosen = []
    trained = [condition for condition in conditions if condition != "B0"]
    for model in models:
        if "B0" in conditions:
            chosen += runs(model, "B0", "strong", (0,), settings)
        for intervention in interventions:
            for condition in trained:
                some = runs(model, condition, intervention, only_seeds, settings)
                if condition == "B5":
                    some = [_shorten_curriculum(run) for run in some]
                chosen += some
    return chosen


def _shorten_curriculum(run: specs.RunSpec) -> specs.RunSpec:
    """The run, its math a fifth of a run that is no longer than the published math."""
    if run.curriculum_steps != _CURRICULUM or run.max_steps > _CURRICULUM:
        return run
    return dataclasses.replace(run, curriculum_steps=max(1, run.max_steps // 5))


def reversibility(
    models: Sequence[str],
    only_seeds: Sequence[int] = (0,),
    then: Sequence[str] = ("B2",),
    further: int | None = None,
    settings: Mapping[str, Any] = _NO_SETTINGS,
) -> list[specs.RunSpec]:
    """Tables 13 and 14: B3, and its adapter trained on under other conditions.

    Those runs have a fresh optimizer and schedule and are measured at least thrice.

    Args:
      models: checkpoint folders or Hub ids.
      only_seeds: of each model.
      then: the conditions that follow B3.
      further: their steps; None for three tenths of B3's, the published 1500 of 5000.
      settings: fields of `RunSpec` that override the intervention's.

    Example:
      >>> first, then = reversibility(["a/s"])
      >>> then.name, then.adapter == first.name, then.max_steps
      ('s/B2-strong-seed0-from-B3-strong-seed0', True, 1500)
    """
    chosen = []
    for model in models:
        for seed in only_seeds:
            (first,) = runs(model, "B3", "strong", (seed,), settings)
            steps = max(1, first.max_steps * 3 // 10) if further is None else further
            continued = {
                "adapter": first.name,
                "max_steps": steps,
                "measure_steps": max(1, min(first.measure_steps, steps // 3)),
            }
            chosen.append(first)
            for condition in then:
                chosen += runs(
                    model, condition, "strong", (seed,), settings, **continued
                )
    return chosen
