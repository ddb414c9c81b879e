"""The paper's questions as lists of runs: its studies on other models and seeds."""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any

from jaxent.data import mix
from jaxent.paper import settings as paper_settings
from jaxent.runs import spec as specs
from jaxent.runs import study_file, study_spec

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


def paper_study(name: str) -> study_spec.StudySpec:
    """A study of the paper as `study_file.FOLDER` holds it.

    Args:
      name: such as "csr_lambda".

    Example:
      >>> [model.seeds for model in paper_study("scale_ladder").models]
      [(42, 0, 1), (42, 0, 1), (0, 1, 2, 3, 4, 5, 6, 7)]
    """
    return study_file.read_study(study_file.FOLDER / f"{name}.json")


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
    study = paper_study("csr_lambda").with_cell(
        0,
        values={
            "intervention": tuple(interventions),
            "csr_lambda": tuple(lambdas),
        },
    )
    return _expand(study, models, seeds, settings)


def _expand(
    study: study_spec.StudySpec,
    models: Sequence[str],
    only_seeds: Sequence[int] | None,
    settings: Mapping[str, Any],
) -> list[specs.RunSpec]:
    """The runs of a study on these models, with its own seeds or these."""
    study = study.with_models(models).with_settings(settings)
    if only_seeds is not None:
        study = study.with_seeds(only_seeds)
    return study_spec.expand(study)


def _ladder(name: str) -> study_spec.StudySpec:
    """A study whose published models are those of Tables 3 and 6, with their seeds."""
    both = [paper_study(one) for one in ("scale_ladder", "cross_architecture")]
    known = {model.name: model for study in both for model in study.models}
    return dataclasses.replace(paper_study(name), models=tuple(known.values()))


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
    study = _ladder("scale_ladder").with_cell(2, models=tuple(compared))
    return _expand(study, models, only_seeds, settings)


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
    return _expand(_ladder("cross_architecture"), models, only_seeds, settings)


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
    trained = tuple(condition for condition in conditions if condition != "B0")
    study = paper_study("companions").with_cell(
        1, values={"intervention": tuple(interventions), "condition": trained}
    )
    chosen = _expand(study, models, only_seeds, settings)
    return [_shorten_curriculum(run) for run in chosen if run.condition in conditions]


def _shorten_curriculum(run: specs.RunSpec) -> specs.RunSpec:
    """B5, its math a fifth of a run that is no longer than the published math."""
    is_long = run.curriculum_steps != _CURRICULUM or run.max_steps > _CURRICULUM
    if run.condition != "B5" or is_long:
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
    study = paper_study("reversibility").with_models(models).with_settings(settings)
    first = study_spec.expand(study)[0]
    steps = max(1, first.max_steps * 3 // 10) if further is None else further
    continued = {
        "condition": tuple(then),
        "max_steps": (steps,),
        "measure_steps": (max(1, min(first.measure_steps, steps // 3)),),
    }
    study = study.with_cell(1, values=continued)
    return _expand(study, models, only_seeds, settings)
