import collections

import pytest

from jaxent.data import mix
from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.runs import questions, queue

HUB = paper_models.HUB
QWENS = [
    HUB[m] for m in (paper_models.QWEN_7B, paper_models.QWEN_14B, paper_models.QWEN_32B)
]
SEVENS = [
    HUB[m]
    for m in (
        paper_models.QWEN_7B,
        paper_models.DEEPSEEK,
        paper_models.MISTRAL,
        paper_models.CODELLAMA,
    )
]


def cells(runs) -> dict:
    """Seeds in order by (model's last word, condition)."""
    found = collections.defaultdict(list)
    for run in runs:
        found[run.model.split("/")[1], run.condition].append(run.seed)
    queue.check_unique_names(runs)
    return dict(found)


def test_published_seeds():
    """The seeds of the files are those of the paper's tables."""
    for name in ("scale_ladder", "cross_architecture"):
        for model in questions.paper_study(name).models:
            published = [
                row.key["seed"]
                for row in (*paper_tables.T3.rows, *paper_tables.T6.rows)
                if HUB[row.key["model"]] == model.name
            ]
            assert model.seeds == tuple(dict.fromkeys(published)), model.name


def test_scale_ladder_is_tables_2_to_4():
    runs = questions.scale_ladder(QWENS)
    assert cells(runs) == {
        ("Qwen2.5-Coder-7B", "B0"): [0],
        ("Qwen2.5-Coder-7B", "B3"): [42, 0, 1],
        ("Qwen2.5-Coder-14B", "B0"): [0],
        ("Qwen2.5-Coder-14B", "B3"): [42, 0, 1],
        ("Qwen2.5-Coder-32B", "B0"): [0],
        ("Qwen2.5-Coder-32B", "B3"): [0, 1, 2, 3, 4, 5, 6, 7],
        ("Qwen2.5-Coder-32B", "B2"): [0, 1, 2, 3, 4, 5, 6, 7],
    }
    assert {(r.lora_r, r.max_steps, r.measure_steps, r.max_length) for r in runs} == {
        (64, 5000, 500, 2048)
    }


def test_scale_ladder_of_other_models():
    runs = questions.scale_ladder(
        ["a/s", "a/m", "a/l"], (5, 6), ["a/s", "a/m"], {"max_steps": 7}
    )
    assert collections.Counter(r.condition for r in runs) == {
        "B0": 3,
        "B3": 6,
        "B2": 4,
    } and {r.max_steps for r in runs} == {7}
    assert {r.condition for r in questions.scale_ladder(["a/s"], compared=())} == {
        "B0",
        "B3",
    }
    with pytest.raises(
        ValueError,
        match="models 'a/x', expected one of the models a/s",
    ):
        questions.scale_ladder(["a/s"], compared=["a/x"])


def test_cross_architecture_is_tables_5_and_6():
    assert cells(questions.cross_architecture(SEVENS)) == {
        ("Qwen2.5-Coder-7B", "B0"): [0],
        ("Qwen2.5-Coder-7B", "B3"): [42, 0, 1],
        ("deepseek-coder-6.7b-base", "B0"): [0],
        ("deepseek-coder-6.7b-base", "B3"): [0, 1],
        ("Mistral-7B-v0.3", "B0"): [0],
        ("Mistral-7B-v0.3", "B3"): [42, 0, 1],
        ("CodeLlama-7b-hf", "B0"): [0],
        ("CodeLlama-7b-hf", "B3"): [0, 1],
    }
    assert set(questions.cross_architecture(QWENS[:1])) < set(
        questions.scale_ladder(QWENS)
    )  # run once for both


def test_companions_is_tables_9_and_10_and_section_6_3():
    runs = questions.companions(QWENS[2:])
    assert [(r.condition, r.intervention) for r in runs] == [("B0", "strong")] + [
        (c, i)
        for i in ("strong", "light")
        for c in ("B1", "B2", "B3", "B4", "B5", "B6")
    ]
    assert {(r.lora_r, r.max_steps, len(r.lora_target_modules)) for r in runs} == {
        (64, 5000, 7),
        (16, 2000, 4),
    } and {r.seed for r in runs} == {0}
    assert {r.curriculum_steps for r in runs} == {1000} and [
        r.csr_lambda for r in runs if r.condition == "B4"
    ] == [0.1, 0.1]
    assert runs[4] == questions.csr_lambda(QWENS[2:], lambdas=(0.1,))[0]
    queue.check_unique_names(runs)
    queue.check_unique_names(
        wide := questions.companions(
            ["a/s", "a/m"], (0, 1, 2), settings={"max_steps": 60}
        )
    )
    assert len(wide) == 2 * (1 + 3 * 12)
    assert {(r.condition == "B5", r.curriculum_steps) for r in wide} == {
        (False, 1000),
        (True, 12),
    }
    assert [
        r.condition
        for r in questions.companions(["a/s"], (0,), ("B2", "B5"), ("light",))
    ] == ["B2", "B5"]
    assert (
        questions.companions(
            ["a/s"], (0,), ("B5",), ("light",), {"curriculum_steps": 7, "max_steps": 60}
        )[0].curriculum_steps
        == 7
    )
    assert {r.condition for r in wide} == set(mix.CONDITIONS)


def test_reversibility_is_tables_13_and_14():
    first, then = questions.reversibility([QWENS[1]])
    assert (first.condition, first.seed, first.max_steps, first.adapter) == (
        "B3",
        0,
        5000,
        None,
    ) and first in questions.scale_ladder(QWENS)
    assert (then.condition, then.seed, then.max_steps, then.measure_steps) == (
        "B2",
        0,
        1500,
        500,
    )
    assert then.adapter == first.name == "qwen2.5-coder-14b/B3-strong-seed0"
    assert then.name == "qwen2.5-coder-14b/B2-strong-seed0-from-B3-strong-seed0"


def test_reversibility_at_several_seeds_and_scales():
    runs = questions.reversibility(
        ["a/s", "a/m"],
        (0, 1),
        ("B2", "B3"),
        settings={"max_steps": 60, "measure_steps": 20},
    )
    queue.check_unique_names(runs)
    assert len(runs) == 12 and {
        (r.max_steps, r.measure_steps) for r in runs if r.adapter
    } == {(18, 6)}
    assert [
        runs.index(r) > [o.name for o in runs].index(r.adapter)
        for r in runs
        if r.adapter
    ] == [True] * 8
    assert {
        (r.max_steps, r.measure_steps)
        for r in questions.reversibility(["a/s"], further=2, settings={"max_steps": 3})
        if r.adapter
    } == {(2, 1)}
