import dataclasses

import pytest

from jaxent.runs import queue, spec, study_spec
from jaxent.runs.study_spec import Cell, Model, StudySpec, Table

MODELS = (Model("a/s"), Model("a/m", (3,), {"micro_batch_size": 2}))


def study(*cells, **more) -> StudySpec:
    return StudySpec("own", more.pop("models", MODELS), cells, **more)


def names(one) -> list[str]:
    runs = study_spec.expand(one)
    queue.check_unique_names(runs)
    return [run.name for run in runs]


def test_models_cells_values_and_seeds_in_order():
    cell = Cell({"condition": ("B2", "B3"), "intervention": ("strong", "light")})
    assert names(study(Cell({"condition": ("B0",)}), cell, seeds=(1, 0))) == [
        "s/B0",
        *(
            f"s/{condition}-{label}-seed{seed}"
            for condition in ("B2", "B3")
            for label in ("strong", "light")
            for seed in (1, 0)
        ),
        "m/B0",
        "m/B2-strong-seed3",
        "m/B2-light-seed3",
        "m/B3-strong-seed3",
        "m/B3-light-seed3",
    ]


def test_the_more_special_setting_wins():
    """Intervention, study, model, cell, in this order."""
    cells = (
        Cell({"condition": ("B3",), "intervention": ("light",)}),
        Cell({"condition": ("B2",), "max_steps": (7,)}),
    )
    models = (Model("a/s", settings={"max_steps": 8, "batch_size": 4}),)
    one = study(*cells, models=models, settings={"lora_r": 3, "batch_size": 2})
    first, second = study_spec.expand(one)
    assert (first.lora_r, first.lora_alpha, first.max_steps) == (3, 32.0, 8)
    assert (second.lora_r, second.max_steps, second.batch_size) == (3, 7, 4)
    changed = one.with_settings({"lora_r": 5}, {"lora_alpha": 1.0, "lora_dropout": 0.2})
    first, _ = study_spec.expand(changed)
    assert (first.lora_r, first.lora_alpha, first.lora_dropout) == (5, 1.0, 0.2)


def test_interventions_of_its_own_and_swept_settings_are_in_the_names():
    own = {"small": {"lora_r": 8, "max_steps": 9}}
    cell = Cell({"intervention": ("small",), "learning_rate": (1e-4, 3e-4)})
    one = study(cell, models=MODELS[:1], interventions=own, settings={"lora_r": 2})
    runs = study_spec.expand(one)
    assert [run.name for run in runs] == [
        "s/B3-small-learning_rate0.0001-seed0",
        "s/B3-small-learning_rate0.0003-seed0",
    ]
    assert {(run.lora_r, run.max_steps) for run in runs} == {(8, 9)}
    modules = Cell({"lora_target_modules": (("q_proj",), ("q_proj", "v_proj"))})
    assert names(study(modules, models=MODELS[:1])) == [
        "s/B3-strong-lora_target_modulesq_proj-seed0",
        "s/B3-strong-lora_target_modulesq_proj-v_proj-seed0",
    ]
    weights = Cell({"condition": ("B4",), "csr_lambda": (0.03, 0.1)})
    assert names(study(weights, models=MODELS[:1])) == [
        "s/B4-strong-seed0-lambda0.03",
        "s/B4-strong-seed0-lambda0.1",
    ]


def test_runs_that_begin_from_the_adapter_of_others():
    first = Cell({"condition": ("B3",), "intervention": ("strong", "light")})
    then = Cell(
        {"condition": ("B2",), "intervention": ("strong", "light")},
        begin_from={"condition": "B3"},
    )
    runs = study_spec.expand(study(first, then, seeds=(0, 1)))
    continued = [run for run in runs if run.adapter]
    assert len(continued) == 2 * (2 + 1)
    for run in continued:
        expected = dataclasses.replace(run, condition="B3", adapter=None)
        assert run.adapter == expected.name
    with pytest.raises(ValueError, match=r"runs.adapter .*: 0 runs of a/s, seed 0"):
        study_spec.expand(study(then))


def test_models_and_seeds_of_the_command_line():
    one = study(Cell({"condition": ("B3",)}), Cell({"condition": ("B2",)}, seeds=(9,)))
    assert names(one.with_models(["a/m", "a/x"])) == [
        "m/B3-strong-seed3",
        "m/B2-strong-seed9",
        "x/B3-strong-seed0",
        "x/B2-strong-seed9",
    ]
    assert names(one.with_models(["a/m"]).with_seeds([5])) == [
        "m/B3-strong-seed5",
        "m/B2-strong-seed5",
    ]


def test_a_run_that_two_cells_ask_for_is_there_once():
    both = (Cell({"condition": ("B3",)}), Cell({"condition": ("B2", "B3")}))
    assert names(study(*both, models=MODELS[:1])) == [
        "s/B3-strong-seed0",
        "s/B2-strong-seed0",
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            [Cell({"lora_r": (4,)}), Cell({"lora_r": (8,)}, where="runs[1]")],
            r"own.json: runs\[1\]: a run with lora_r 8 and one with 4 would both be in",
        ),
        (
            [Cell({}, models=("a/x",))],
            "runs.models 'a/x', expected one of the models a/",
        ),
        (
            [Cell({"intervention": ("mild",)})],
            "runs.intervention 'mild', expected one of",
        ),
        ([Cell({"condition": ("B9",)})], "runs: condition 'B9': expected one of B0"),
        (
            [Cell({"micro_batch_size": (3,)})],
            "runs: --micro_batch_size 3: expected a div",
        ),
        (
            [Cell({"lora_dropout": (2.0,)})],
            "runs: LoRA rank 64, alpha 128.0, dropout 2.0",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_place(cells, message):
    with pytest.raises(ValueError, match=message):
        study_spec.expand(study(*cells, source="own.json"))


def test_a_table_selects_runs():
    runs = [
        spec.RunSpec("m", "B3"),
        spec.RunSpec("m", "B2"),
        spec.RunSpec("m", "B2", adapter="x"),
    ]
    bare = {"adapter": (None,)}
    chosen = Table(("model",), (), where={"condition": ("B2", "B4")}, unless=bare)
    assert [chosen.selects(run) for run in runs] == [False, False, True]
    first, second = study_spec.default_tables(runs)
    assert [first.selects(run) for run in runs] == [True, True, False]
    assert [second.selects(run) for run in runs] == [False, False, True]
    assert len(study_spec.default_tables(runs[:2])) == 1


def test_a_field_that_a_run_gets_later_needs_no_change_here(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class LaterRun(spec.RunSpec):
        share: tuple[tuple[str, int], ...] = ()

    monkeypatch.setattr(spec, "RunSpec", LaterRun)
    cell = Cell({"share": ((("law", 30),), (("law", 70),))})
    runs = study_spec.expand(study(cell, models=MODELS[:1]))
    assert [run.share for run in runs] == [(("law", 30),), (("law", 70),)]
    assert len({run.name for run in runs}) == 2
