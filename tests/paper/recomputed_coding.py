"""Recomputes what the printed scores and counts allow."""

import math

from paper.printed import COUNTS, Q, cell, equal, half, text

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.stats import proportions


def percentages_and_differences_of_counts():
    base, n = COUNTS["B0"], Q["problems"]
    for row in paper_tables.T9.rows:
        v = row.values
        passes = v["he_plus_passes"]
        yield cell(
            paper_tables.T9,
            row,
            "he_plus",
            equal(v["he_plus"], round(100 * passes / n, 1)),
        )
        yield cell(
            paper_tables.T9,
            row,
            "he",
            sum(equal(v["he"], round(100 * k / n, 1)) for k in range(passes, n + 1))
            == 1,
        )
        if row.key["condition"] == "B0":
            continue
        change = (passes - base) / n
        wald = 1.959964 * math.sqrt(
            passes * (n - passes) / n**3 + base * (n - base) / n**3
        )
        for column, expected in (
            ("he_plus_change", change),
            ("low", change - wald),
            ("high", change + wald),
        ):
            expected = round(100 * expected, 1)
            yield cell(
                paper_tables.T9, row, column, equal(v[column], expected), expected
            )
    for row in paper_tables.T10.rows:
        yield cell(
            paper_tables.T10,
            row,
            "he_plus",
            row.values["he_plus"]
            == paper_tables.T9.row(condition=row.key["condition"]).values["he_plus"],
        )
    yield text(
        "gap_b2_b3",
        equal(Q["gap_b2_b3"], round(100 * (COUNTS["B2"] - COUNTS["B3"]) / n, 1)),
    )
    yield text(
        "drop_b6",
        equal(Q["drop_b6"], round(100 * (base - COUNTS["B6"]) / n, 1)),
        round(100 * (base - COUNTS["B6"]) / n, 1),
    )
    yield text(
        "light_cost_b4",
        equal(
            Q["light_cost_b4"], round(Q["light_he_plus_b2"] - Q["light_he_plus_b4"], 1)
        ),
    )
    for id in ("light_he_plus_b2", "light_he_plus_b4"):
        yield text(id, Q[id] in {round(100 * k / n, 1) for k in range(n + 1)})


def z_and_rank_correlation():
    for pair, a, b in (("b2_b3", "B2", "B3"), ("b6_b0", "B6", "B0")):
        found = proportions.two_proportion_z(COUNTS[a], 164, COUNTS[b], 164)
        yield text(
            f"z_{pair}", equal(Q[f"z_{pair}"], round(found.z, 2)), round(found.z, 2)
        )
        yield text(
            f"p_{pair}",
            equal(Q[f"p_{pair}"], round(found.one_tailed, 3)),
            round(found.one_tailed, 3),
        )
    yield text(
        "pooled_b2_b3",
        equal(Q["pooled_b2_b3"], round((COUNTS["B2"] + COUNTS["B3"]) / 328, 3)),
    )
    rho = proportions.spearman(
        paper_tables.T10.select("sv_energy"), paper_tables.T10.select("he_plus")
    ).rho
    yield text("spearman", equal(Q["spearman"], round(rho, 2)))
    most, least = (
        paper_tables.T10.row(condition=c).values["sv_energy"] for c in ("B3", "B4")
    )
    yield text(
        "energy_ratio",
        (most - half(3)) / (least + half(3))
        < Q["energy_ratio"]
        < (most + half(3)) / (least - half(3)),
    )


def numbers_of_models():
    named = {"Qwen", "Mistral", "DeepSeek", "CodeLlama"}
    assert all(
        sum(model.startswith(name) for name in named) == 1 for model in paper_models.HUB
    )
    yield text("models", Q["models"] == len(paper_models.HUB))
    yield text(
        "families", Q["families"] == Q["families_abstract"], Q["families_abstract"]
    )
    yield text(
        "families_abstract", Q["families_abstract"] == Q["families"], Q["families"]
    )
