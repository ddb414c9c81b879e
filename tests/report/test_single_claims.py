"""Records of known answer for the claims with a test of their own."""

import fake_runs
from known_verdicts import CONTRADICTED, HUB, SEEDS, SUPPORTED, UNDECIDED, decide

from jaxent.paper import models as paper_models
from jaxent.report import evidence
from jaxent.runs import records


def test_the_first_step_at_zero(tmp_path):
    for model, first in ((paper_models.QWEN_14B, 4000), (paper_models.QWEN_32B, 2000)):
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


def test_which_way_crosstalk_leans(tmp_path):
    for name, lean, expected in (
        ("a", (-0.9, -1.2, -0.6), SUPPORTED),
        ("b", (0.5, 0.2, 0.8), CONTRADICTED),
        ("c", (-0.5, -1.2, 0.2), UNDECIDED),
    ):
        fake_runs.crosstalk(
            tmp_path / name,
            HUB[paper_models.QWEN_7B],
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
            HUB[paper_models.QWEN_7B],
            {"math": (0.1, 0.0, 0.2)},
            lean=lean,
        )
        verdict = decide(tmp_path / name, "one_way")
        assert verdict.outcome == UNDECIDED and why in verdict.why
    fake_runs.crosstalk(
        tmp_path / "f", HUB[paper_models.QWEN_7B], {"legal": (0.1, 0.0, 0.2)}
    )
    assert "was not measured" in decide(tmp_path / "f", "one_way").why


def test_seeds_that_leave_zero_again(tmp_path):
    def path(middle, end):
        return (0, 0.6), (2000, 0.0), (2500, middle), (5000, end)

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
                tmp_path / name, HUB[paper_models.QWEN_32B], "B3", seed, steps
            )
        assert decide(tmp_path / name, "recoveries").outcome == expected
    assert "1 of 4 seeds" in decide(tmp_path / "a", "recoveries").numbers
