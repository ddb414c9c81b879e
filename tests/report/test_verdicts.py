"""What every verdict says, decided or not."""

import re

import fake_runs
from known_verdicts import HUB, SEEDS, UNDECIDED, decide, ladder

from jaxent.paper import claims
from jaxent.paper import models as paper_models
from jaxent.report import match, verdicts


def test_an_undefined_ei_is_not_zero(tmp_path):
    for seed in SEEDS:
        fake_runs.run(
            tmp_path,
            HUB[paper_models.QWEN_32B],
            "B3",
            seed,
            ((0, 0.6), (5000, None if seed == 2 else 0.0)),
        )
    verdict = decide(tmp_path, "zero_at_32b")
    assert (
        verdict.outcome == UNDECIDED and "undefined: 4 own-concept flips" in verdict.why
    )


def test_without_runs_nothing_is_decided_and_the_missing_run_is_named(tmp_path):
    found = verdicts.decide_all(match.ResultSet())
    assert len(found) == len(claims.CLAIMS) and all(
        v.outcome == UNDECIDED and v.why for v in found
    )
    assert found[0].why == "Qwen-7B B3 was not run."


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


def test_one_seed_cannot_speak_for_every_seed(tmp_path):
    ladder(tmp_path, (0.6, 0.3, 0.0), seeds=(0,))
    assert decide(tmp_path, "zero_at_32b", "robust_14b") == [UNDECIDED, UNDECIDED]
    assert "nothing about others" in decide(tmp_path, "scale").test
