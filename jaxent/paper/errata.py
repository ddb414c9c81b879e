"""Published figures and statements that do not agree with the rest of the paper, each with the reason.

`tests/report/test_paper.py` recomputes what the printed numbers allow and requires that exactly the marked ones disagree.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Literal

Kind = Literal["arithmetic", "conflict", "impossible", "words"]
"""arithmetic: other printed numbers give another value; conflict: the same quantity is printed otherwise elsewhere;
impossible: cannot come out of the procedure described; words: a sentence or caption contradicts the numbers."""


@dataclasses.dataclass(frozen=True)
class Erratum:
    """One disagreement.

    where: id of a table ("T9"), quoted number ("z_b2_b3") or claim ("creative_worst"). column: a column's id, "n", or the
    id with ".sd" for its SD; "" for a caption, quoted number or claim. key: the rows whose key holds all of it (all rows,
    if empty). expected: the recomputed value in the printed unit, None where there is none.
    """

    where: str
    column: str
    key: Mapping
    kind: Kind
    reason: str
    expected: float | None = None


def _mark(where, column, kind, reason, expected=None, **key) -> Erratum:
    return Erratum(where, column, types.MappingProxyType(key), kind, reason, expected)


_7B, _14B, _32B = "Qwen2.5-Coder-7B", "Qwen2.5-Coder-14B", "Qwen2.5-Coder-32B"
_SEED_FREE = (
    "A LoRA adapter starts at B = 0, so a base model's EI cannot differ between seeds."
)
_BASE = "The same base model's EI is {} in {}."
_SIXTIETHS = (
    "Not a multiple of 1/48, the stated number of probes, but of 1/60 (and of 1/480)."
)
_SAME_RUN = "Identical at weights .03 and .30 at every step, which a penalty with a gradient cannot be."
_ROUNDED = "Subtracts rounded percentages; the counts give the expected value."
_INTERVAL = "Not the unpaired interval of these counts, which row B6 (but for its centre) gives; Wald's is expected here{}."
_DIVISOR = "Divides by n, where Tables 2 and 5 divide by n - 1: by section 4.3 one seed of eight is not 0 here."
_OTHER_RUN = "Table 3 gives another value for the 14B model's seed 0 after B3."

_BASES = (
    *(
        _mark(t, "ei_before", "impossible", _SEED_FREE, model=m)
        for t, m in (("T3", _7B), ("T3", _14B), ("T6", _7B))
    ),
    *(
        _mark("T6", "ei_before", "impossible", _SEED_FREE, model=m)
        for m in ("Mistral-7B-v0.3", "DeepSeek-Coder-6.7B")
    ),
    *(
        _mark("T7", "ei_before", "conflict", _BASE.format(ei, where), ei, model=m)
        for m, ei, where in (
            (_7B, 0.945, "Table 2"),
            (_14B, 0.810, "Table 2"),
            (_32B, 0.622, "Table 2"),
            ("DeepSeek-Coder-6.7B", 1.374, "Table 5"),
            ("CodeLlama-7B", 0.874, "Table 5"),
        )
    ),
    _mark(
        "T11",
        "ei_before",
        "conflict",
        _BASE.format(0.622, "Table 2, and no two runs may differ before training"),
        0.622,
    ),
    _mark(
        "T14",
        "ei_before",
        "conflict",
        "Seed 0, the one continued, is .816 in Table 3; .799 is seed 42's.",
        0.816,
        model=_14B,
    ),
    _mark(
        "T14",
        "ei_before",
        "conflict",
        _BASE.format(0.622, "Table 2"),
        0.622,
        model=_32B,
    ),
    _mark(
        "base_7b",
        "",
        "conflict",
        _BASE.format(0.945, "Table 2; .926 is seed 42's"),
        0.945,
    ),
    _mark(
        "base_14b",
        "",
        "conflict",
        _BASE.format(0.810, "Table 2; .799 is seed 42's"),
        0.810,
    ),
    _mark("light_ei_base", "", "conflict", _BASE.format(0.622, "Table 2"), 0.622),
    _mark("start_7b", "", "conflict", "Table 3 has seed 1 start at .955.", 0.955),
)

_PROBES = (
    *(
        _mark(
            "T3", "domain_accuracy_after", "impossible", _SIXTIETHS, model=_7B, seed=s
        )
        for s in (42, 0, 1)
    ),
    *(
        _mark(
            "T3", "domain_accuracy_after", "impossible", _SIXTIETHS, model=_14B, seed=s
        )
        for s in (0, 1)
    ),
    *(
        _mark(
            "T3", "domain_accuracy_after", "impossible", _SIXTIETHS, model=_32B, seed=s
        )
        for s in range(1, 7)
    ),
    *(
        _mark(
            "T6", "domain_accuracy_after", "impossible", _SIXTIETHS, model=_7B, seed=s
        )
        for s in (42, 0, 1)
    ),
    _mark(
        "T6",
        "domain_accuracy_after",
        "impossible",
        _SIXTIETHS,
        model="Mistral-7B-v0.3",
        seed=42,
    ),
    *(
        _mark(
            "T6",
            "domain_accuracy_after",
            "impossible",
            _SIXTIETHS,
            model="CodeLlama-7B",
            seed=s,
        )
        for s in (0, 1)
    ),
    *(
        _mark("T13", "domain_accuracy", "impossible", _SIXTIETHS, step=s)
        for s in (500, 1500)
    ),
    _mark(
        "probes",
        "",
        "conflict",
        "Every printed accuracy is a multiple of 1/60, most are none of 1/48; section 6.1 uses 480.",
        60,
    ),
    _mark(
        "probes_per_domain",
        "",
        "arithmetic",
        "6 x 4 x 4 = 96 cells are all of the design, 16 a domain; 96 a domain make 576.",
        16,
    ),
    _mark(
        "probes_total",
        "",
        "arithmetic",
        "Not 6 domains of 96 (576) but the 96 cells five times over.",
        576,
    ),
)

_TRAJECTORIES = (
    *(
        _mark("T4", "ei.sd", "arithmetic", _DIVISOR, sd, condition="B3", step=s)
        for s, sd in ((2500, 0.071), (3000, 0.160))
    ),
    _mark("T4", "n", "conflict", "Section 3.3 has one seed of B2.", 1, condition="B2"),
    _mark("seeds_b2", "", "conflict", "Table 4 averages B2 over 8 seeds.", 8),
    *(
        _mark("T12", "ei", "impossible", _SAME_RUN, **{"lambda": weight})
        for weight in (0.03, 0.30)
    ),
    *(
        _mark("T11", column, "impossible", _SAME_RUN, **{"lambda": weight})
        for column in ("ei_after", "v_purity_after")
        for weight in (0.03, 0.30)
    ),
    _mark(
        "T11",
        "csr_loss",
        "conflict",
        "As at weight .03, yet said to scale with the weight: 7.221 / .03 x .10.",
        24.07,
        **{"lambda": 0.10},
    ),
    _mark(
        "T11",
        "",
        "words",
        "The printed values .105 and .115 differ by .010, which is not less than .01.",
    ),
    *(
        _mark("T13", c, "conflict", _OTHER_RUN, v, step=0)
        for c, v in (("ei", 0.0), ("v_purity", 0.638), ("domain_accuracy", 0.967))
    ),
    _mark("T14", "ei_after_b3", "conflict", _OTHER_RUN, 0.0, model=_14B),
    _mark("reversal_start", "", "conflict", _OTHER_RUN, 0.0),
)

_CODING = (
    *(
        _mark("T9", "he_plus_change", "arithmetic", _ROUNDED, change, condition=c)
        for c, change in (
            ("B2", -10.4),
            ("B1", -11.0),
            ("B6", -17.1),
            ("B3", -22.0),
            ("B5", -48.2),
        )
    ),
    *(
        _mark(
            "T9",
            side,
            "arithmetic",
            _INTERVAL.format(" and holds 0" if high > 0 else ""),
            value,
            condition=c,
        )
        for c, low, high in (
            ("B4", -19.9, 1.6),
            ("B2", -21.1, 0.4),
            ("B1", -21.7, -0.2),
            ("B3", -32.5, -11.4),
            ("B5", -57.0, -39.3),
        )
        for side, value in (("low", low), ("high", high))
    ),
    _mark(
        "T9",
        "high",
        "arithmetic",
        "Wald's interval, but around the rounded difference.",
        -6.4,
        condition="B6",
    ),
    _mark(
        "drop_b6",
        "",
        "arithmetic",
        "28 of 164 are 17.1 points; 17.0 subtracts rounded percentages.",
        17.1,
    ),
    _mark(
        "z_b2_b3",
        "",
        "arithmetic",
        "79 against 60 of 164 give 2.12 (2.13 from the rounded rates in the printed formula).",
        2.12,
    ),
    _mark(
        "p_b2_b3", "", "arithmetic", "One-tailed p of z = 2.12; two-tailed .034.", 0.017
    ),
    _mark(
        "z_b6_b0",
        "",
        "arithmetic",
        "68 against 96 of 164 give -3.09; -3.08 comes from rounded rates.",
        -3.09,
    ),
)

_WORDS = (
    _mark(
        "reduction_14b",
        "",
        "arithmetic",
        "1 - .063 / .810, and 1 minus the ratio of Table 3's means, are 92%.",
        92,
    ),
    _mark(
        "families",
        "",
        "conflict",
        "The abstract counts four: Qwen, Mistral, DeepSeek and CodeLlama.",
        4,
    ),
    _mark("families_abstract", "", "conflict", "Section 3.1 counts three.", 3),
    _mark(
        "T1",
        "rationale",
        "words",
        "Called high, but Table 8 does not measure NL's crosstalk.",
        condition="B3",
    ),
    _mark(
        "T3",
        "",
        "words",
        "Not the same pattern in all 14B seeds: one stays at .188, two reach .000.",
    ),
    _mark(
        "T5",
        "",
        "words",
        "No model but the 32B collapses, it says: two of three 14B seeds do in Table 3.",
    ),
    _mark(
        "T7",
        "",
        "words",
        "Calls the 32B the only model that disentangles completely: two of three 14B seeds do in Table 3.",
    ),
    _mark(
        "T8",
        "",
        "words",
        "Lower crosstalk is not always more block-diagonal: legal is above medical in both columns.",
    ),
    _mark(
        "transition",
        "",
        "words",
        "Section 8.2 puts the size from which collapse is reliable between 14B and 32B.",
    ),
    _mark(
        "robust_14b",
        "",
        "words",
        "The three 14B seeds end at .188, .000 and .000: SD .109, more than the 7B's .099.",
    ),
    _mark(
        "only_32b_collapses",
        "",
        "words",
        "Two of three 14B seeds are at .000 in Table 3.",
    ),
    _mark(
        "rank_expands",
        "",
        "impossible",
        "The probe design fixes the rank for every model: sum of (classes - 1), 8 for 3 x 4 x 4.",
    ),
    _mark(
        "crosstalk_predicts",
        "",
        "words",
        "NL is not in the crosstalk table, and crosstalk is the 7B's while coding is the 32B's.",
    ),
    _mark(
        "creative_worst",
        "",
        "words",
        "B3 passes 60 of 164, B6 68: third-worst in all, and not second-worst (5.2) either.",
    ),
    _mark(
        "nl_twice_math",
        "",
        "words",
        "36 problems lost against 17 are 2.1 times as many, more than twice.",
    ),
    _mark(
        "lambda_robust",
        "",
        "words",
        "The spread is .010, not below .01, and two of the three runs are the same run.",
    ),
    _mark(
        "b2_preserves",
        "",
        "words",
        "B2 ends at .350 from .622, 44% lower; 32% lower at 7B is called disentanglement.",
    ),
    _mark(
        "irreversible",
        "",
        "conflict",
        "Starts from .279 after B3, where Table 3 has the same seed at .000.",
    ),
)

ERRATA = (*_BASES, *_PROBES, *_TRAJECTORIES, *_CODING, *_WORDS)


def errata_at(
    where: str, column: str = "", key: Mapping = types.MappingProxyType({})
) -> tuple[Erratum, ...]:
    """Marks of one cell (column and the row's key), or of a caption, quoted number or claim (neither)."""
    return tuple(
        m
        for m in ERRATA
        if m.where == where and m.column == column and key.items() >= m.key.items()
    )
