"""Claims against the published numbers, and against the tables they name."""

import dataclasses

import numpy as np
import pytest
from paper.printed import T

from jaxent.paper import claims, errata
from jaxent.stats import proportions


def published(claim, run):
    """The claim's metric in the first of its tables with rows of that run."""
    for id in claim.tables:
        if claim.metric in {c.id for c in T[id].columns} and (
            values := T[id].select(claim.metric, **run)
        ):
            return values
    return []


def stands(claim):
    """Whether the published numbers bear a claim out; None where they cannot say."""
    test = claims.Test
    if claim.test in (test.FALLS, test.RISES) and not claim.derived:
        pairs = []
        for run in claim.runs:
            row = [r for r in T[claim.tables[0]].rows if r.key.items() >= run.items()]
            pairs += [
                (row[0].values["ei_before"], row[0].values["ei_after"])
                if len(row) == 1
                else (row[0].values["ei"], row[-1].values["ei"])
            ]
        return all(a < b if claim.test is test.FALLS else a > b for b, a in pairs)
    seeds = (
        claim.test in (test.ZERO, test.SOME_ABOVE_ZERO, test.SPREAD_BELOW)
        and claim.metric == "ei_after"
    )
    source = dataclasses.replace(claim, tables=("T3",)) if seeds else claim
    values = [published(source, run) for run in claim.runs]
    if claim.derived or not all(values):
        return None
    first, *rest = means = [round(float(np.mean(v)), 6) for v in values]
    other = (
        [T["T9"].row(**run).values[claim.other] for run in claim.runs]
        if claim.other
        else None
    )
    return {
        test.DECREASING: lambda: all(a > b for a, b in zip(means, means[1:])),
        test.LEAST: lambda: first < min(rest),
        test.MOST: lambda: first > max(rest),
        test.GREATER: lambda: first > rest[0],
        test.LESS: lambda: first < rest[0],
        test.RATIO: lambda: first >= claim.bound * rest[0],
        test.ZERO: lambda: not any(map(any, values)),
        test.SOME_ABOVE_ZERO: lambda: all(all(v) for v in values),
        test.SPREAD_BELOW: lambda: all(np.std(v, ddof=1) < claim.bound for v in values),
        test.EQUIVALENT: lambda: round(max(means) - min(means), 6) < claim.bound,
        test.ANTICORRELATED: lambda: proportions.spearman(means, other).rho < 0,
    }[claim.test]()


def test_claims_that_the_published_numbers_do_not_bear_out_are_marked():
    verdicts = {c.id: stands(c) for c in claims.CLAIMS}
    refuted = {id for id, verdict in verdicts.items() if verdict is False}
    assert refuted == {
        "transition",
        "robust_14b",
        "only_32b_collapses",
        "creative_worst",
        "lambda_robust",
        "b2_preserves",
    }
    assert sum(v is True for v in verdicts.values()) >= 14
    for id in refuted:
        assert errata.errata_at(id), id
    others = {m.where for m in errata.ERRATA} & set(verdicts) - refuted
    assert others == {
        "creative_least_crosstalk",
        "margin_largest",
        "rank_expands",
        "crosstalk_predicts",
        "nl_twice_math",
        "irreversible",
    }


def test_claims_refer_to_tables_and_runs_that_exist():
    for c in claims.CLAIMS:
        assert (
            all(id in T for id in c.tables)
            and c.runs
            and c.sections
            and c.statement.endswith(".")
        ), c
        columns = {column.id for id in c.tables for column in T[id].columns}
        light = any(run.get("intervention") == "light" for run in c.runs)
        assert (
            c.derived
            or light
            or c.metric in columns
            or {f"{c.metric}_before", f"{c.metric}_after"} <= columns
        ), c.id
        assert (c.bound is not None) == (
            c.test in ("equivalent", "unchanged", "ratio", "spread below")
        ), c.id


def test_a_claim_that_does_not_exist():
    with pytest.raises(KeyError, match="scale"):
        claims.find_claim("nothing")


def test_keys_are_read_only():
    with pytest.raises(TypeError):
        claims.CLAIMS[0].runs[0]["model"] = "other"
