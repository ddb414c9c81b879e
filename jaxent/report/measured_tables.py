"""Tables of everything that was measured, in the forms of the paper's tables."""

import dataclasses

from jaxent.paper import tables as paper_tables
from jaxent.report import coding_values, crosstalk_values, grid, match, tables
from jaxent.report import values as table_values

_C = paper_tables.Column
_QUANTITIES = (
    ("cvo", "CVO"),
    ("ei", "EI (as published)"),
    ("nested_ei", "nested EI"),
    ("v_purity", "V-purity"),
    ("domain_accuracy", "domain accuracy"),
)
_SECOND = (
    ("sei", "SEI"),
    ("ei_all_probes", "EI, one fit on all probes"),
    ("nested_ei_all_probes", "nested EI, one fit on all probes"),
    ("sei_all_probes", "SEI, one fit on all probes"),
)
_SECOND_CAPTION = (
    "SEI is to be compared at equal N and accuracy only. A fit on all probes is of "
    "more probes than a set has, and EI depends on their number: it has no interval."
)
_BEFORE_AFTER = tuple(
    _C(f"{id}_{when}", f"{title} {when}")
    for id, title in _QUANTITIES
    for when in ("before", "after")
)
_SECOND_BEFORE_AFTER = tuple(
    _C(f"{id}_{when}", f"{title}, {when}")
    for id, title in _SECOND
    for when in ("before", "after")
)
_CHANGE = (
    _C("cvo_change", "change of CVO"),
    _C("ei_change", "change of EI", 0, "%"),
    _C("response", "response", unit="text"),
)
_END = (
    _C("sv_energy", "SV energy", 4),
    _C("csr_loss", "final CSR loss"),
    _C("final_loss", "final loss"),
)
_AT_STEP = tuple(_C(id, title) for id, title in _QUANTITIES)
_SECOND_AT_STEP = tuple(_C(id, title) for id, title in _SECOND)
_CODING = (
    _C("benchmark", "problems", unit="text"),
    _C("he", "base tests", 1, "%"),
    _C("he_plus", "with + tests", 1, "%"),
    _C("he_plus_passes", "passes with + tests", 0, "count"),
    _C("he_plus_change", "with + tests, minus base model", 1, "points"),
    _C("low", "95% low", 1, "points"),
    _C("high", "95% high", 1, "points"),
    _C("sv_energy", "SV energy", 4),
)
_LIKELIHOOD = (
    _C("benchmark", "problems", unit="text"),
    _C("nats", "nats a byte"),
    _C("base_nats", "base model"),
    _C("nats_change", "difference", 4),
    _C("nats_low", "95% low", 4),
    _C("nats_high", "95% high", 4),
    _C("nats_t", "t", 1),
    _C("better", "likelier on", 0, "count"),
    _C("worse", "less likely on", 0, "count"),
    _C("sign_p", "sign test p", 4),
)
_BASE = (
    _C("cvo_before", "CVO before"),
    _C("ei_before", "EI before"),
    _C("margin", "margin", None),
    _C("weakest", "weakest concept", unit="text"),
    _C("v_purity_before", "V-purity before"),
)
_REVERSAL = (
    _C("ei_before", "EI before"),
    _C("ei_after_b3", "EI after the first"),
    _C("ei_after", "EI after both"),
    _C("outcome", "outcome", unit="text"),
)
_FORMS = (
    (
        "summary",
        "Before and after, over seeds",
        "Runs that differ in nothing but the seed.",
        (*_BEFORE_AFTER, *_CHANGE),
        table_values.group_rows,
    ),
    (
        "summary-second",
        "Second opinions before and after, over seeds",
        _SECOND_CAPTION,
        _SECOND_BEFORE_AFTER,
        table_values.group_rows,
    ),
    (
        "runs",
        "Before and after, every run",
        "As Table 3.",
        (*_BEFORE_AFTER, *_END),
        table_values.run_rows,
    ),
    (
        "steps",
        "During training, over seeds",
        "As Tables 4, 12 and 13; means ± SD over seeds.",
        _AT_STEP,
        table_values.group_step_rows,
    ),
    (
        "steps-second",
        "Second opinions during training, over seeds",
        _SECOND_CAPTION,
        _SECOND_AT_STEP,
        table_values.group_step_rows,
    ),
    (
        "bases",
        "Base models",
        "As Table 7. The margin is scale free and not the paper's, which is undefined.",
        _BASE,
        table_values.base_rows,
    ),
    (
        "crosstalk",
        "Crosstalk with code",
        "As Table 8.",
        paper_tables.T8.columns,
        crosstalk_values.crosstalk_rows,
    ),
    (
        "coding",
        "Coding",
        "pass@1, as in Tables 9 and 10; differences are paired by problem.",
        _CODING,
        coding_values.coding_rows,
    ),
    (
        "likelihood",
        "How likely the model finds the benchmark's own solutions",
        "Nats a byte of the canonical solutions after their prompts, mean over "
        "problems; less is better. The base model is the same weights without the "
        "adapter. The difference is paired by problem: t interval, and an exact sign "
        "test of the problems on which solutions became likelier. It sees changes "
        "that pass@1 is too coarse for, and says nothing of whether programs run.",
        _LIKELIHOOD,
        coding_values.likelihood_rows,
    ),
    (
        "reversal",
        "One condition on top of another",
        "As Table 14.",
        _REVERSAL,
        table_values.reversal_rows,
    ),
)
"""The end of the id, title, caption, columns and rows of each table."""


def measured_tables(results: match.ResultSet, prefix: str) -> list[grid.Grid]:
    """The same tables without published values, for every cell of some results.

    Args:
      results: any results.
      prefix: the beginning of the tables' ids.

    Returns:
      The grids that have a row.
    """
    every = [
        tables.measured(f"{prefix}-{id}", title, caption, columns, rows)
        for id, title, caption, columns, source in _FORMS
        if (rows := source(results))
    ]
    return [
        dataclasses.replace(one, folded=one.id.endswith("-second")) for one in every
    ]
