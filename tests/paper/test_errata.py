"""Recomputes what the printed numbers allow; exactly the errata may disagree."""

import numpy as np
import pytest
import scipy.stats
from paper import recomputed_coding, recomputed_measurements
from paper.printed import COUNTS, Q, T, equal

from jaxent.paper import claims, errata
from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables

CHECKS = (
    recomputed_measurements.means_of_seeds,
    recomputed_measurements.relative_changes,
    recomputed_measurements.base_models_do_not_depend_on_the_seed,
    recomputed_measurements.base_models_are_one_number,
    recomputed_measurements.accuracies_are_shares_of_48_probes,
    recomputed_measurements.trajectories,
    recomputed_measurements.csr_weights_change_the_run,
    recomputed_measurements.one_adapter_one_measurement,
    recomputed_coding.percentages_and_differences_of_counts,
    recomputed_coding.z_and_rank_correlation,
    recomputed_coding.numbers_of_models,
)


def marked(mark):
    """The cells a mark covers."""
    if mark.where not in T or not mark.column:
        return {(mark.where, mark.column, frozenset())}
    rows = [row for row in T[mark.where].rows if row.key.items() >= mark.key.items()]
    return {(mark.where, mark.column, frozenset(row.key.items())) for row in rows}


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_a_number_that_disagrees_is_marked_with_the_value_expected(check):
    found = list(check())
    assert any(c.agrees for c in found)
    for c in (c for c in found if not c.agrees):
        at = [
            m
            for m in errata.errata_at(c.where, c.column, dict(c.key))
            if m.kind != "words"
        ]
        assert at, f"{c} is not marked"
        assert c.expected is None or any(
            m.expected is not None and equal(m.expected, c.expected) for m in at
        ), f"{c}: marked {at}"


def test_exactly_the_marked_numbers_disagree():
    found = [c for check in CHECKS for c in check()]
    disagreeing = {c.cell for c in found if not c.agrees}
    numbers = [
        m
        for m in errata.ERRATA
        if m.kind != "words" and m.where not in {c.id for c in claims.CLAIMS}
    ]
    assert disagreeing == set().union(*map(marked, numbers))
    assert (
        len({c.cell for c in found}) > 200
        and len({c.cell for c in found if c.agrees} - disagreeing) > 120
    )


def falls_from(before, after):
    return 1 - after / before


def first_steps(condition):
    """EI at steps 0 and 500 of Table 4."""
    rows = [paper_tables.T4.row(condition=condition, step=s) for s in (0, 500)]
    return [row.values["ei"] for row in rows]


def penalised_path(weight):
    rows = [row for row in paper_tables.T12.rows if row.key["lambda"] == weight]
    return [row.values["ei"] for row in rows]


WORDS = {  # what each mark of words says, from the numbers
    ("T1", "rationale"): lambda: (
        "nl" not in {row.key["companion"] for row in paper_tables.T8.rows}
    ),
    ("T3", ""): lambda: (
        sorted(paper_tables.T3.select("ei_after", model=paper_models.QWEN_14B))
        == [0, 0, 0.188]
    ),
    ("T5", ""): lambda: (
        paper_tables.T3.select("ei_after", model=paper_models.QWEN_14B).count(0) == 2
    ),
    ("T7", ""): lambda: (
        paper_tables.T3.select("ei_after", model=paper_models.QWEN_14B).count(0) == 2
    ),
    ("T8", ""): lambda: all(
        paper_tables.T8.row(companion="legal").values[c]
        > paper_tables.T8.row(companion="medical").values[c]
        for c in ("ct", "bdr")
    ),
    ("T11", ""): lambda: np.ptp(paper_tables.T11.select("ei_after")) > 0.01 - 1e-9,
    ("transition", ""): lambda: (
        max(paper_tables.T3.select("ei_after", model=paper_models.QWEN_14B)) > 0
    ),
    ("robust_14b", ""): lambda: (
        paper_tables.T2.row(model=paper_models.QWEN_14B).sd["ei_after"]
        > paper_tables.T2.row(model=paper_models.QWEN_7B).sd["ei_after"]
    ),
    ("only_32b_collapses", ""): lambda: (
        min(paper_tables.T3.select("ei_after", model=paper_models.QWEN_14B)) == 0
    ),
    ("crosstalk_predicts", ""): lambda: (
        {row.key["model"] for row in paper_tables.T8.rows}
        != {row.key["model"] for row in paper_tables.T9.rows}
    ),
    ("creative_worst", ""): lambda: (
        sorted(COUNTS, key=COUNTS.get)[:3] == ["B5", "B3", "B6"]
    ),
    ("nl_twice_math", ""): lambda: (
        (COUNTS["B0"] - COUNTS["B3"]) / (COUNTS["B0"] - COUNTS["B2"]) > 2
    ),
    ("lambda_robust", ""): lambda: (
        np.ptp(paper_tables.T11.select("ei_after")) > 0.01 - 1e-9
    ),
    ("b2_preserves", ""): lambda: falls_from(0.622, 0.350) > falls_from(0.945, 0.641),
    ("T4", ""): lambda: (
        [round(100 * falls_from(*first_steps(c))) for c in ("B3", "B2")] == [41, 47]
    ),
    ("T10", ""): lambda: (
        paper_tables.T10.row(condition="B4").values["sv_energy"]
        != paper_tables.T10.row(condition="B2").values["sv_energy"]
        and penalised_path(0.03) == penalised_path(0.3)
    ),
    ("energy_ratio", ""): lambda: (
        [round(1.0955 / 0.0015), round(1.0965 / 0.0005)] == [730, 2193]
        and paper_tables.T10.row(condition="B3").values["sv_energy"] == 1.096
        and paper_tables.T10.row(condition="B4").values["sv_energy"] == 0.001
    ),
    ("p_b6_b0", ""): lambda: (
        round(scipy.stats.norm.sf(3.09), 3) == Q["p_b6_b0"]
        and round(2 * scipy.stats.norm.sf(3.09), 3) == 0.002
    ),
    ("light_ei_b2", ""): lambda: (
        round(100 * (Q["light_ei_b2"] / Q["light_ei_base"] - 1)) == 44
    ),
    ("creative_least_crosstalk", ""): lambda: (
        paper_tables.T8.row(companion="creative").values["asymmetry"] == 1
        and paper_tables.T8.row(companion="creative").values["ct"] < 1 / 80 / 2
    ),
    ("margin_largest", ""): lambda: (
        paper_models.MISTRAL not in {row.key["model"] for row in paper_tables.T7.rows}
        and paper_models.MISTRAL in {row.key["model"] for row in paper_tables.T5.rows}
    ),
}


@pytest.mark.parametrize("at", WORDS, ids=lambda at: "-".join(filter(None, at)))
def test_marked_words_contradict_the_numbers(at):
    assert WORDS[at]() and len(errata.errata_at(*at, {"condition": "B3"})) == 1


def test_every_mark_stands_somewhere_and_gives_a_reason():
    assert {(m.where, m.column) for m in errata.ERRATA if m.kind == "words"} == set(
        WORDS
    )
    places = set(T) | set(Q) | {c.id for c in claims.CLAIMS}
    assert len(places) == len(T) + len(Q) + len(claims.CLAIMS)
    for m in errata.ERRATA:
        assert m.where in places and marked(m) and m.reason.endswith((".", ").")), m
        if m.where in T and m.column not in ("", "n"):
            T[m.where].column(m.column.removesuffix(".sd"))
    assert len(
        {(m.where, m.column, *sorted(m.key.items(), key=str)) for m in errata.ERRATA}
    ) == len(errata.ERRATA)
