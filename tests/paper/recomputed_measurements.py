"""Recomputes what the printed measurements allow."""

import math

import numpy as np
import pytest
from paper.printed import Q, cell, equal, half, text

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.stats import intervals


def means_of_seeds():
    """Tables 2 and 5 against 3 and 6: mean and SD (n - 1) of rounded values."""
    for summary, seeds in (
        (paper_tables.T2, paper_tables.T3),
        (paper_tables.T5, paper_tables.T6),
    ):
        for row in summary.rows:
            for column in summary.columns:
                if column.id in ("response", "ei_change"):
                    continue
                values = seeds.select(column.id, model=row.key["model"])
                assert len(values) == row.n
                found = intervals.over_seeds(values)
                yield cell(
                    summary,
                    row,
                    column.id,
                    abs(found.mean - row.values[column.id]) <= 2 * half(3),
                )
                if (
                    column.id in row.sd
                ):  # |SD(x + e) - SD(x)| <= max |e| sqrt(n / (n - 1))
                    slack = half(3) * (1 + math.sqrt(row.n / (row.n - 1)))
                    yield cell(
                        summary,
                        row,
                        f"{column.id}.sd",
                        abs(found.sd - row.sd[column.id]) <= slack,
                    )


def relative_changes():
    def agrees(before, after, printed, digits=3):
        low = (after - half(digits)) / (before + half(digits)) if after else 0.0
        high = (after + half(digits)) / (before - half(digits)) if after else 0.0
        return 100 * (low - 1) - half(0) <= printed <= 100 * (high - 1) + half(0)

    for row in paper_tables.T5.rows:
        yield cell(
            paper_tables.T5,
            row,
            "ei_change",
            agrees(
                row.values["ei_before"], row.values["ei_after"], row.values["ei_change"]
            ),
        )
    for size, model in (
        ("7b", paper_models.QWEN_7B),
        ("14b", paper_models.QWEN_14B),
        ("32b", paper_models.QWEN_32B),
    ):
        before, after = (
            paper_tables.T2.row(model=model).values[c]
            for c in ("ei_before", "ei_after")
        )
        yield text(
            f"reduction_{size}",
            agrees(before, after, -Q[f"reduction_{size}"]),
            round(100 * (1 - after / before)),
        )
    yield text(
        "light_reduction_b4",
        agrees(Q["light_ei_base"], Q["light_ei_b4"], -Q["light_reduction_b4"]),
    )


def base_models_do_not_depend_on_the_seed():
    for table in (paper_tables.T3, paper_tables.T6):
        for row in table.rows:
            yield cell(
                table,
                row,
                "ei_before",
                len(set(table.select("ei_before", model=row.key["model"]))) == 1,
            )


def base_models_are_one_number():
    known = {
        row.key["model"]: row.values["ei_before"]
        for t in (paper_tables.T2, paper_tables.T5)
        for row in t.rows
    }
    known_seed_0 = paper_tables.T3.row(model=paper_models.QWEN_14B, seed=0).values[
        "ei_before"
    ]
    for table in (paper_tables.T7, paper_tables.T11, paper_tables.T14):
        for row in table.rows:
            expected = known[row.key["model"]]
            if table is paper_tables.T14 and row.key["model"] == paper_models.QWEN_14B:
                expected = known_seed_0
            yield cell(
                table, row, "ei_before", row.values["ei_before"] == expected, expected
            )
    for condition in ("B3", "B2"):
        row = paper_tables.T4.row(condition=condition, step=0)
        yield cell(
            paper_tables.T4, row, "ei", row.values["ei"] == known[paper_models.QWEN_32B]
        )
    for id, model in (
        ("base_7b", paper_models.QWEN_7B),
        ("base_14b", paper_models.QWEN_14B),
        ("base_32b", paper_models.QWEN_32B),
        ("light_ei_base", paper_models.QWEN_32B),
    ):
        yield text(id, Q[id] == known[model], known[model])
    start = paper_tables.T3.row(model=paper_models.QWEN_7B, seed=1).values["ei_before"]
    yield text("start_7b", round(start, 1) == Q["start_7b"], start)
    yield text(
        "margin_14b_before",
        abs(
            Q["margin_14b_before"]
            - paper_tables.T7.row(model=paper_models.QWEN_14B).values["margin"]
        )
        <= half(6),
    )


def shares_of(probes):
    return {round(k / probes, 3) for k in range(probes + 1)}


def accuracies_are_shares_of_48_probes():
    for table, column in (
        (paper_tables.T3, "domain_accuracy_after"),
        (paper_tables.T6, "domain_accuracy_after"),
        (paper_tables.T11, "domain_accuracy_after"),
        (paper_tables.T13, "domain_accuracy"),
    ):
        for row in table.rows:
            assert row.values[column] in shares_of(60)
            yield cell(table, row, column, row.values[column] in shares_of(48))
    yield text("probes", Q["probes"] == 60, 60)
    yield text("probes_per_domain", Q["probes_per_domain"] == 4 * 4, 16)
    yield text("probes_total", Q["probes_total"] == 6 * Q["probes_per_domain"], 576)


def trajectories():
    one_left = {
        2500: Q["recovery_seed5"],
        3000: Q["recovery_seed6"],
    }  # the other seven seeds are at 0 (section 4.3)
    for step, value in one_left.items():
        row = paper_tables.T4.row(condition="B3", step=step)
        found = intervals.over_seeds([value] + [0.0] * 7)
        yield cell(
            paper_tables.T4,
            row,
            "ei",
            abs(found.mean - row.values["ei"]) <= 2 * half(3),
        )
        yield cell(
            paper_tables.T4,
            row,
            "ei.sd",
            abs(found.sd - row.sd["ei"]) <= 2 * half(3),
            round(found.sd, 3),
        )
        assert row.sd["ei"] == pytest.approx(
            np.std([value] + [0.0] * 7), abs=2 * half(3)
        )  # ddof 0
    yield text("recovering", Q["recovering"] == 100 * 2 / 8)
    yield text(
        "plateau_b2",
        round(np.mean(paper_tables.T4.select("ei", condition="B2")[3:]), 2)
        == Q["plateau_b2"],
    )
    for row in paper_tables.T4.rows:
        if row.key["condition"] == "B2":
            yield cell(paper_tables.T4, row, "n", row.n == Q["seeds_b2"], Q["seeds_b2"])
    yield text(
        "seeds_b2", Q["seeds_b2"] == paper_tables.T4.row(condition="B2", step=0).n, 8
    )
    for row in paper_tables.T4.rows:
        if row.key["condition"] == "B3" and row.key["step"] == 5000:
            yield cell(
                paper_tables.T4,
                row,
                "ei",
                row.values["ei"]
                == paper_tables.T2.row(model=paper_models.QWEN_32B).values["ei_after"],
            )


def csr_weights_change_the_run():
    for row in paper_tables.T12.rows:
        twin = {0.03: 0.30, 0.30: 0.03}.get(row.key["lambda"])
        same = twin and paper_tables.T12.select(
            "ei", **{"lambda": twin}
        ) == paper_tables.T12.select("ei", **{"lambda": row.key["lambda"]})
        yield cell(paper_tables.T12, row, "ei", not same)
        if row.key["step"] == 5000:
            end = paper_tables.T11.row(**{"lambda": row.key["lambda"]})
            assert end.values["ei_after"] == row.values["ei"]
            for column in ("ei_after", "v_purity_after"):
                yield cell(
                    paper_tables.T11,
                    end,
                    column,
                    not same
                    or paper_tables.T11.row(**{"lambda": twin}).values[column]
                    != end.values[column],
                )
    per_weight = paper_tables.T11.row(**{"lambda": 0.03}).values["csr_loss"] / 0.03
    for row in paper_tables.T11.rows:
        expected = round(per_weight * row.key["lambda"], 2)
        yield cell(
            paper_tables.T11,
            row,
            "csr_loss",
            abs(row.values["csr_loss"] - expected) < 0.006,
            expected,
        )
    final = paper_tables.T11.select("ei_after")
    yield text("csr_spread", equal(Q["csr_spread"], max(final) - min(final)))
    yield text("csr_complement", Q["csr_complement"] == 5120 - Q["csr_rank"])


def one_adapter_one_measurement():
    end, start = (
        paper_tables.T3.row(model=paper_models.QWEN_14B, seed=0),
        paper_tables.T13.row(step=0),
    )
    for here, there in (
        ("ei", "ei_after"),
        ("v_purity", "v_purity_after"),
        ("domain_accuracy", "domain_accuracy_after"),
    ):
        yield cell(
            paper_tables.T13,
            start,
            here,
            start.values[here] == end.values[there],
            end.values[there],
        )
    for row in paper_tables.T14.rows:
        expected = (
            end.values["ei_after"] if row.key["model"] == paper_models.QWEN_14B else 0.0
        )
        yield cell(
            paper_tables.T14,
            row,
            "ei_after_b3",
            row.values["ei_after_b3"] == expected,
            expected,
        )
    yield cell(
        paper_tables.T14,
        paper_tables.T14.rows[0],
        "ei_after",
        paper_tables.T14.rows[0].values["ei_after"]
        == paper_tables.T13.rows[-1].values["ei"],
    )
    yield text(
        "reversal_start",
        Q["reversal_start"] == end.values["ei_after"],
        end.values["ei_after"],
    )
    yield text(
        "reversal_steps",
        paper_tables.T13.row(step=Q["reversal_steps"]).values["ei"]
        == 0
        < paper_tables.T13.row(step=500).values["ei"],
    )
    yield text(
        "reversal_accuracy",
        Q["reversal_accuracy"] == paper_tables.T13.rows[-1].values["domain_accuracy"],
    )
    yield text(
        "reversal_purity",
        Q["reversal_purity"] == paper_tables.T13.rows[-1].values["v_purity"],
    )
