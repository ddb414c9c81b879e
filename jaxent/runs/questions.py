"""The paper's questions as lists of runs: pure functions of models, seeds and settings."""

import dataclasses
from collections.abc import Sequence

from jaxent.data import mix
from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.runs import spec as specs

_CURRICULUM = 1000  # B5's steps of math (Table 1)


def runs(
    model: str,
    condition: str,
    intervention: str,
    seeds: Sequence[int],
    settings: dict,
    **more,
) -> list[specs.RunSpec]:
    """One run a seed; settings override the intervention's, more overrides both."""
    chosen = specs.INTERVENTIONS[intervention] | settings | more
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
    settings: dict = {},
) -> list[specs.RunSpec]:
    """Tables 11 and 12: B4 at several weights of CSR's penalty. At weight 0 it is B2."""
    return [
        run
        for model in models
        for intervention in interventions
        for weight in lambdas
        for run in runs(model, "B4", intervention, seeds, settings, csr_lambda=weight)
    ]


def seeds(model: str) -> tuple[int, ...]:
    """A model's seeds under B3 in Tables 3 and 6; 0 for a model that is in neither."""
    rows = (*paper_tables.T3.rows, *paper_tables.T6.rows)
    return tuple(
        dict.fromkeys(
            r.key["seed"] for r in rows if paper_models.HUB[r.key["model"]] == model
        )
    ) or (0,)


def scale_ladder(
    models: Sequence[str],
    only_seeds: Sequence[int] | None = None,
    compared: Sequence[str] | None = None,
    settings: dict = {},
) -> list[specs.RunSpec]:
    """Tables 2, 3, 4 and 7: every base model, B3 on it, and B2 on those `compared` (default: the last of the models).

    Seeds are the published ones unless `only_seeds` are given; B2 has those of B3 (Table 4 has 8, where section 3.3 says one).
    """
    compared = models[-1:] if compared is None else compared
    if strangers := set(compared) - set(models):
        raise ValueError(
            f"{sorted(strangers)[0]} is to be compared under B2: expected one of the models {', '.join(models)}"
        )
    found = cross_architecture(models, only_seeds, settings)
    of = lambda model: seeds(model) if only_seeds is None else only_seeds
    return found + [
        run
        for model in compared
        for run in runs(model, "B2", "strong", of(model), settings)
    ]


def cross_architecture(
    models: Sequence[str], only_seeds: Sequence[int] | None = None, settings: dict = {}
) -> list[specs.RunSpec]:
    """Tables 5 and 6, and 7's base models: every base model and B3 on it, seeds as in `scale_ladder`."""
    return [
        run
        for model in models
        for run in (
            *runs(model, "B0", "strong", (0,), settings),
            *runs(
                model,
                "B3",
                "strong",
                seeds(model) if only_seeds is None else only_seeds,
                settings,
            ),
        )
    ]


def companions(
    models: Sequence[str],
    only_seeds: Sequence[int] = (0,),
    conditions: Sequence[str] = mix.CONDITIONS,
    interventions: Sequence[str] = ("strong", "light"),
    settings: dict = {},
) -> list[specs.RunSpec]:
    """Tables 9 and 10, section 6.3: the conditions under both interventions; the base model (B0) once.

    B5's math takes the published 1000 steps, a fifth of the run where that is no longer than those.
    """
    found = []
    for model in models:
        found += (
            runs(model, "B0", "strong", (0,), settings) if "B0" in conditions else []
        )
        for intervention in interventions:
            for condition in (c for c in conditions if c != "B0"):
                made = runs(model, condition, intervention, only_seeds, settings)
                found += (
                    [_curriculum(run) for run in made] if condition == "B5" else made
                )
    return found


def _curriculum(run: specs.RunSpec) -> specs.RunSpec:
    short = run.curriculum_steps == _CURRICULUM and run.max_steps <= _CURRICULUM
    return (
        dataclasses.replace(run, curriculum_steps=max(1, run.max_steps // 5))
        if short
        else run
    )


def reversibility(
    models: Sequence[str],
    only_seeds: Sequence[int] = (0,),
    then: Sequence[str] = ("B2",),
    further: int | None = None,
    settings: dict = {},
) -> list[specs.RunSpec]:
    """Tables 13 and 14: B3, and its adapter trained on under each condition of `then`, with a fresh optimizer and schedule.

    further: steps of that; default three tenths of B3's, the published 1500 of 5000. They are measured three times at least.
    """
    found = []
    for model in models:
        for seed in only_seeds:
            (first,) = runs(model, "B3", "strong", (seed,), settings)
            steps = max(1, first.max_steps * 3 // 10) if further is None else further
            more = {
                "adapter": first.name,
                "max_steps": steps,
                "measure_steps": max(1, min(first.measure_steps, steps // 3)),
            }
            found += [
                first,
                *(
                    run
                    for condition in then
                    for run in runs(
                        model, condition, "strong", (seed,), settings, **more
                    )
                ),
            ]
    return found
