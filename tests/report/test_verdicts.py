"""Records of known answer, both ways, for every kind of test."""

import json
import re

import fake_runs
import pytest

from jaxent.paper import claims
from jaxent.paper import tables as paper_tables
from jaxent.report import evidence, match, verdicts
from jaxent.runs import records

HUB, SEEDS = paper_tables.HUB, range(4)


def decide(root, *ids):
    shelf = match.classify(records.read_records(root)).paper
    found = [verdicts.decide(claims.find_claim(id), shelf) for id in ids]
    return [v.outcome for v in found] if len(ids) > 1 else found[0]


def ladder(root, ends, seeds=SEEDS, before=(0.9, 0.7, 0.5), noise=0.02, **more):
    for model, start, end in zip(
        (paper_tables.QWEN_7B, paper_tables.QWEN_14B, paper_tables.QWEN_32B),
        before,
        ends,
    ):
        for seed in seeds:
            own = end + noise * (seed - 1.5) if end else 0.0
            fake_runs.run(
                root,
                HUB[model],
                "B3",
                seed,
                ((0, start), (2500, more.get("middle", start)), (5000, own)),
            )


SUPPORTED, CONTRADICTED, UNDECIDED = (
    verdicts.SUPPORTED,
    verdicts.CONTRADICTED,
    verdicts.UNDECIDED,
)


@pytest.mark.parametrize(
    "ends, before, expected",
    [
        (
            (0.6, 0.3, 0.0),
            (0.9, 0.7, 0.5),
            (SUPPORTED, SUPPORTED, SUPPORTED, CONTRADICTED, SUPPORTED),
        ),
        (
            (0.3, 0.6, 0.4),
            (0.5, 0.7, 0.9),
            (CONTRADICTED, CONTRADICTED, CONTRADICTED, CONTRADICTED, SUPPORTED),
        ),
        (
            (0.6, 0.0, 0.0),
            (0.9, 0.9, 0.9),
            (UNDECIDED, UNDECIDED, SUPPORTED, SUPPORTED, CONTRADICTED),
        ),
    ],
)
def test_the_ladder(tmp_path, ends, before, expected):
    ladder(tmp_path, ends, before=before)
    assert decide(
        tmp_path,
        "scale",
        "base_scale",
        "zero_at_32b",
        "transition",
        "only_32b_collapses",
    ) == list(expected)


def test_seeds_that_scatter_leave_it_open_whatever_the_probe_sets_say(tmp_path):
    ladder(tmp_path, (0.6, 0.55, 0.5), noise=0.15)
    verdict = decide(tmp_path, "scale")
    assert (
        verdict.outcome == UNDECIDED
        and "Welch t over 4 and 4 seeds" in verdict.test
        and "8 replicate sets" in verdict.test
    )


def test_one_seed_cannot_speak_for_every_seed(tmp_path):
    ladder(tmp_path, (0.6, 0.3, 0.0), seeds=(0,))
    assert decide(tmp_path, "zero_at_32b", "robust_14b") == [UNDECIDED, UNDECIDED]
    assert "nothing about others" in decide(tmp_path, "scale").test


def test_spread(tmp_path):
    ladder(tmp_path / "a", (0.6, 0.3, 0.2), seeds=range(8), noise=0.001)
    ladder(tmp_path / "b", (0.6, 0.6, 0.6), seeds=range(8), noise=0.12)
    assert decide(tmp_path / "a", "robust_14b").outcome == SUPPORTED
    assert decide(tmp_path / "b", "robust_14b").outcome == CONTRADICTED


def test_before_and_after(tmp_path):
    ladder(tmp_path / "a", (0.6, 0.3, 0.2), middle=1.2)
    ladder(tmp_path / "b", (0.6, 0.3, 0.2), middle=0.7)
    assert decide(
        tmp_path / "a", "late_at_7b", "v_purity_stable", "accuracy_kept", "rank_expands"
    ) == [SUPPORTED] * 3 + [CONTRADICTED]
    assert decide(tmp_path / "b", "late_at_7b").outcome == CONTRADICTED
    for folder, end, outcomes in (
        ("c", 1.2, (SUPPORTED, UNDECIDED)),
        ("d", 0.6, (CONTRADICTED, UNDECIDED)),
    ):
        for seed in SEEDS:
            fake_runs.run(
                tmp_path / folder,
                HUB[paper_tables.CODELLAMA],
                "B3",
                seed,
                ((0, 0.9), (5000, end + 0.01 * seed)),
            )
        assert decide(
            tmp_path / folder, "codellama_rises", "cross_architecture"
        ) == list(outcomes)


def test_the_first_step_at_zero(tmp_path):
    for model, first in ((paper_tables.QWEN_14B, 4000), (paper_tables.QWEN_32B, 2000)):
        for seed in SEEDS:
            fake_runs.run(
                tmp_path,
                HUB[model],
                "B3",
                seed,
                [
                    (s, 0.0 if s >= first + 500 * (seed % 2) else 0.4)
                    for s in range(0, 5001, 500)
                ],
            )
    assert decide(tmp_path, "larger_is_faster").outcome == SUPPORTED
    run = records.read_records(tmp_path).runs[0]
    assert evidence.steps_to_zero(run) == 4000.0


def conditions(
    root, passes, energies={}, model=paper_tables.QWEN_32B, intervention="strong"
):
    fake_runs.evaluation(root, HUB[model], 96, name="B0")
    for condition, number in passes.items():
        folder = fake_runs.run(
            root,
            HUB[model],
            condition,
            0,
            intervention=intervention,
            energy=energies.get(condition, 0.01),
        )
        fake_runs.evaluation(
            root, HUB[model], number, folder / "adapter", name=f"he-{condition}"
        )


def test_coding_is_compared_problem_by_problem(tmp_path):
    conditions(
        tmp_path,
        {"B1": 78, "B2": 79, "B3": 40, "B4": 90, "B5": 10, "B6": 60},
        {"B1": 0.01, "B2": 0.009, "B3": 1.0, "B4": 0.001, "B5": 5.0, "B6": 0.5},
    )
    ids = (
        "math_beats_nl",
        "nl_twice_math",
        "creative_hurts",
        "creative_worst",
        "csr_best",
        "curriculum_catastrophic",
    )
    assert decide(tmp_path, *ids) == [
        SUPPORTED,
        SUPPORTED,
        SUPPORTED,
        CONTRADICTED,
        SUPPORTED,
        SUPPORTED,
    ]
    assert decide(tmp_path, "nl_displaces", "csr_least_displaced") == [
        SUPPORTED,
        SUPPORTED,
    ]
    energy = decide(tmp_path, "energy_anticorrelates")
    assert energy.outcome == SUPPORTED and "rho = -1.00 of 6" in energy.test
    assert "39 against 0 problems" in decide(tmp_path, "math_beats_nl").test


def test_coding_the_other_way_round(tmp_path):
    conditions(
        tmp_path,
        {"B1": 40, "B2": 40, "B3": 79, "B4": 20, "B5": 96, "B6": 120},
        {"B1": 1, "B2": 2, "B3": 3, "B4": 0.5, "B5": 4, "B6": 5},
    )
    ids = (
        "math_beats_nl",
        "nl_twice_math",
        "creative_hurts",
        "creative_worst",
        "csr_best",
        "curriculum_catastrophic",
        "nl_displaces",
        "energy_anticorrelates",
    )
    assert decide(tmp_path, *ids) == [CONTRADICTED] * 8


def test_few_differing_problems_decide_nothing(tmp_path):
    conditions(tmp_path, {"B2": 79, "B3": 77})
    assert decide(tmp_path, "math_beats_nl").outcome == UNDECIDED


def test_crosstalk(tmp_path):
    wide = {"creative": (0.0, -0.2, 0.2)} | dict.fromkeys(
        ("math", "logic", "medical", "legal"), (0.1, 0.0, 0.2)
    )
    above = {"creative": (0.5, 0.4, 0.6)} | dict.fromkeys(
        ("math", "logic", "medical", "legal"), (0.1, 0.0, 0.2)
    )
    for name, found, expected in (("a", wide, UNDECIDED), ("b", above, CONTRADICTED)):
        fake_runs.crosstalk(tmp_path / name, HUB[paper_tables.QWEN_7B], found)
        assert decide(tmp_path / name, "creative_least_crosstalk").outcome == expected
    assert (
        "no domain of the crosstalk probes"
        in decide(tmp_path / "b", "crosstalk_predicts").why
    )


def test_which_way_crosstalk_leans(tmp_path):
    for name, lean, expected in (
        ("a", (-0.9, -1.2, -0.6), SUPPORTED),
        ("b", (0.5, 0.2, 0.8), CONTRADICTED),
        ("c", (-0.5, -1.2, 0.2), UNDECIDED),
    ):
        fake_runs.crosstalk(
            tmp_path / name,
            HUB[paper_tables.QWEN_7B],
            {"math": (0.1, 0.0, 0.2)},
            lean=lean,
        )  # of code, math
        assert decide(tmp_path / name, "one_way").outcome == expected
    for name, lean, why in (
        ("d", (0.2, None, None), "no interval"),
        ("e", (None, None, None), "undefined"),
    ):
        fake_runs.crosstalk(
            tmp_path / name,
            HUB[paper_tables.QWEN_7B],
            {"math": (0.1, 0.0, 0.2)},
            lean=lean,
        )
        verdict = decide(tmp_path / name, "one_way")
        assert verdict.outcome == UNDECIDED and why in verdict.why
    fake_runs.crosstalk(
        tmp_path / "f", HUB[paper_tables.QWEN_7B], {"legal": (0.1, 0.0, 0.2)}
    )
    assert "was not measured" in decide(tmp_path / "f", "one_way").why


def test_seeds_that_leave_zero_again(tmp_path):
    path = lambda middle, end: ((0, 0.6), (2000, 0.0), (2500, middle), (5000, end))
    steady, back, undefined, late, never = (
        path(0.0, 0.0),
        path(0.2, 0.0),
        path(None, 0.0),
        path(0.0, 0.2),
        ((0, 0.6), (5000, 0.1)),
    )
    for name, paths, expected in (
        ("a", [steady] * 3 + [back], SUPPORTED),
        ("b", [steady, never, undefined, late] * 3, CONTRADICTED),
        ("c", [steady] * 4, UNDECIDED),
    ):
        for seed, steps in enumerate(paths):
            fake_runs.run(
                tmp_path / name, HUB[paper_tables.QWEN_32B], "B3", seed, steps
            )
        assert decide(tmp_path / name, "recoveries").outcome == expected
    assert "1 of 4 seeds" in decide(tmp_path / "a", "recoveries").numbers


def test_b3_and_b2_on_their_way(tmp_path):
    for name, early, expected in (
        ("a", 0.4, [SUPPORTED, SUPPORTED, SUPPORTED]),
        ("b", 0.8, [CONTRADICTED, SUPPORTED, SUPPORTED]),
    ):
        for seed in SEEDS:
            noise = 0.005 * seed
            path = lambda *values: [
                (s, v + noise if v else v)
                for s, v in zip((0, 1500, 2000, 5000), (0.6, *values))
            ]
            fake_runs.run(
                tmp_path / name,
                HUB[paper_tables.QWEN_32B],
                "B3",
                seed,
                path(0.4, 0.1, 0.0),
            )
            fake_runs.run(
                tmp_path / name,
                HUB[paper_tables.QWEN_32B],
                "B2",
                seed,
                path(early, 0.4, 0.4),
            )
        assert (
            decide(
                tmp_path / name,
                "nl_math_alike_early",
                "nl_math_part",
                "nl_beats_math_at_collapse",
            )
            == expected
        )
    assert (
        "Welch t" in decide(tmp_path / "a", "nl_math_alike_early").test
    )  # of different runs: not paired


def test_the_margin_during_training(tmp_path):
    for name, after, expected in (("a", 0.5, SUPPORTED), ("b", 0.001, CONTRADICTED)):
        for seed in SEEDS:
            folder = fake_runs.run(
                tmp_path / name,
                HUB[paper_tables.QWEN_14B],
                "B3",
                seed,
                ((0, 0.6), (5000, 0.3)),
            )
            grown = fake_runs.measurement(5000, 0.3, margin=after, seed=seed)
            (folder / "metrics.jsonl").write_text(
                "".join(
                    f"{json.dumps(m)}\n"
                    for m in (fake_runs.measurement(0, 0.6, seed=seed), grown)
                )
            )
        assert decide(tmp_path / name, "margin_grows_14b").outcome == expected


@pytest.mark.parametrize(
    "ends, passes, expected",
    [
        ((0.56, 0.17), (94, 93), [SUPPORTED, SUPPORTED, UNDECIDED]),
        ((0.56, 0.17), (110, 80), [SUPPORTED, CONTRADICTED, SUPPORTED]),
        ((0.17, 0.56), (110, 80), [CONTRADICTED, CONTRADICTED, CONTRADICTED]),
    ],
)
def test_light_runs(tmp_path, ends, passes, expected):
    for condition, end, number in zip(("B2", "B4"), ends, passes):
        folder = fake_runs.run(
            tmp_path,
            HUB[paper_tables.QWEN_32B],
            condition,
            0,
            [(0, 0.622), (2000, end)],
            "light",
        )
        fake_runs.evaluation(
            tmp_path,
            HUB[paper_tables.QWEN_32B],
            number,
            folder / "adapter",
            name=f"he-{condition}",
        )
    assert decide(tmp_path, "csr_light", "csr_light_cost", "dissociation") == expected


@pytest.mark.parametrize(
    "seeds, at_1000, expected",
    [(3, 0.0, SUPPORTED), (1, 0.0, UNDECIDED), (3, 0.1, CONTRADICTED)],
)
def test_zero_after_a_thousand_further_steps(tmp_path, seeds, at_1000, expected):
    for seed in range(seeds):
        fake_runs.run(
            tmp_path, HUB[paper_tables.QWEN_14B], "B3", seed, name=f"first{seed}"
        )
        further = {"adapter": f"first{seed}", "max_steps": 1500}
        fake_runs.run(
            tmp_path,
            HUB[paper_tables.QWEN_14B],
            "B2",
            seed,
            ((0, 0.3), (1000, at_1000), (1500, 0.0)),
            name=f"then{seed}",
            settings=further,
        )
    assert decide(tmp_path, "zero_within_1000").outcome == expected


def test_a_statement_names_no_number_that_its_test_does_not_use():
    quoted = {
        "recoveries",
        "margin_grows_14b",
        "nl_twice_math",
        "nl_displaces",
        "csr_light_cost",
    }  # "in the paper", beside what is tested
    for claim in claims.CLAIMS:
        assert ("in the paper" in claim.statement) == (claim.id in quoted), claim.id
        assert not re.search(r"\d%|p = |points, p", claim.statement), claim.id
        if claim.bound is not None:
            assert f"{claim.bound:g}".lstrip("0") in claim.statement, claim.id


def test_equivalence_of_weights(tmp_path):
    for name, ends, expected in (
        ("a", (0.3, 0.5, 0.7), CONTRADICTED),
        ("b", (0.5, 0.5, 0.5), UNDECIDED),
    ):
        for weight, end in zip((0.03, 0.1, 0.3), ends):
            for seed in (0, 1):
                fake_runs.run(
                    tmp_path / name,
                    HUB[paper_tables.QWEN_32B],
                    "B4",
                    seed,
                    ((0, 0.6), (5000, end + 0.004 * seed)),
                    settings={"csr_lambda": weight},
                )
        assert decide(tmp_path / name, "lambda_robust").outcome == expected


def test_an_undefined_ei_is_not_zero(tmp_path):
    for seed in SEEDS:
        fake_runs.run(
            tmp_path,
            HUB[paper_tables.QWEN_32B],
            "B3",
            seed,
            ((0, 0.6), (5000, None if seed == 2 else 0.0)),
        )
    verdict = decide(tmp_path, "zero_at_32b")
    assert (
        verdict.outcome == UNDECIDED and "undefined: 4 own-concept flips" in verdict.why
    )


def test_without_runs_nothing_is_decided_and_the_missing_run_is_named(tmp_path):
    found = verdicts.every(match.ResultSet())
    assert len(found) == len(claims.CLAIMS) and all(
        v.outcome == UNDECIDED and v.why for v in found
    )
    assert found[0].why == "Qwen-7B B3 was not run."
