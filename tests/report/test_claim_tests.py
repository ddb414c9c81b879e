"""Records of known answer, both ways, for every kind of test."""

import json

import fake_runs
import pytest
from known_verdicts import (
    CONTRADICTED,
    HUB,
    SEEDS,
    SUPPORTED,
    UNDECIDED,
    decide,
    ladder,
)

from jaxent.paper import models as paper_models


@pytest.mark.parametrize(
    ("ends", "before", "expected"),
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
                HUB[paper_models.CODELLAMA],
                "B3",
                seed,
                ((0, 0.9), (5000, end + 0.01 * seed)),
            )
        assert decide(
            tmp_path / folder, "codellama_rises", "cross_architecture"
        ) == list(outcomes)


def test_crosstalk(tmp_path):
    wide = {"creative": (0.0, -0.2, 0.2)} | dict.fromkeys(
        ("math", "logic", "medical", "legal"), (0.1, 0.0, 0.2)
    )
    above = {"creative": (0.5, 0.4, 0.6)} | dict.fromkeys(
        ("math", "logic", "medical", "legal"), (0.1, 0.0, 0.2)
    )
    for name, found, expected in (("a", wide, UNDECIDED), ("b", above, CONTRADICTED)):
        fake_runs.crosstalk(tmp_path / name, HUB[paper_models.QWEN_7B], found)
        assert decide(tmp_path / name, "creative_least_crosstalk").outcome == expected
    assert (
        "no domain of the crosstalk probes"
        in decide(tmp_path / "b", "crosstalk_predicts").why
    )


def test_b3_and_b2_on_their_way(tmp_path):
    for name, early, expected in (
        ("a", 0.4, [SUPPORTED, SUPPORTED, SUPPORTED]),
        ("b", 0.8, [CONTRADICTED, SUPPORTED, SUPPORTED]),
    ):
        for seed in SEEDS:
            noise = 0.005 * seed

            def path(*values, noise=noise):
                return [
                    (s, v + noise if v else v)
                    for s, v in zip((0, 1500, 2000, 5000), (0.6, *values))
                ]

            fake_runs.run(
                tmp_path / name,
                HUB[paper_models.QWEN_32B],
                "B3",
                seed,
                path(0.4, 0.1, 0.0),
            )
            fake_runs.run(
                tmp_path / name,
                HUB[paper_models.QWEN_32B],
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
                HUB[paper_models.QWEN_14B],
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
    ("ends", "passes", "expected"),
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
            HUB[paper_models.QWEN_32B],
            condition,
            0,
            [(0, 0.622), (2000, end)],
            "light",
        )
        fake_runs.evaluation(
            tmp_path,
            HUB[paper_models.QWEN_32B],
            number,
            folder / "adapter",
            name=f"he-{condition}",
        )
    assert decide(tmp_path, "csr_light", "csr_light_cost", "dissociation") == expected


@pytest.mark.parametrize(
    ("seeds", "at_1000", "expected"),
    [(3, 0.0, SUPPORTED), (1, 0.0, UNDECIDED), (3, 0.1, CONTRADICTED)],
)
def test_zero_after_a_thousand_further_steps(tmp_path, seeds, at_1000, expected):
    for seed in range(seeds):
        fake_runs.run(
            tmp_path, HUB[paper_models.QWEN_14B], "B3", seed, name=f"first{seed}"
        )
        further = {"adapter": f"first{seed}", "max_steps": 1500}
        fake_runs.run(
            tmp_path,
            HUB[paper_models.QWEN_14B],
            "B2",
            seed,
            ((0, 0.3), (1000, at_1000), (1500, 0.0)),
            name=f"then{seed}",
            settings=further,
        )
    assert decide(tmp_path, "zero_within_1000").outcome == expected


def test_equivalence_of_weights(tmp_path):
    for name, ends, expected in (
        ("a", (0.3, 0.5, 0.7), CONTRADICTED),
        ("b", (0.5, 0.5, 0.5), UNDECIDED),
    ):
        for weight, end in zip((0.03, 0.1, 0.3), ends):
            for seed in (0, 1):
                fake_runs.run(
                    tmp_path / name,
                    HUB[paper_models.QWEN_32B],
                    "B4",
                    seed,
                    ((0, 0.6), (5000, end + 0.004 * seed)),
                    settings={"csr_lambda": weight},
                )
        assert decide(tmp_path / name, "lambda_robust").outcome == expected
