"""What the paper claims, and what decides each claim: data for a verdict, which is given elsewhere."""

import dataclasses
import enum
import types
from collections.abc import Mapping

from jaxent.paper import tables as paper_tables


class Test(enum.StrEnum):
    """What must hold of `metric` over `runs` for the claim to stand (mean over seeds where a run names none)."""

    __test__ = False  # no pytest class

    DECREASING = "decreasing"  # from each run to the next
    LEAST = "least"  # the first run's is the lowest
    MOST = "most"  # the first run's is the highest
    GREATER = "greater"  # the first run's exceeds the second's, and so does `other` if any; on per-problem outcomes, where there are
    LESS = "less"  # the first run's is below the second's; likewise
    RATIO = "ratio"  # the first run's over the second's is at least `bound`
    ZERO = "zero"  # 0 in every seed of every run
    SOME_ABOVE_ZERO = "some above zero"  # more than 0 in a seed of every run
    EQUIVALENT = "equivalent"  # any two runs differ by less than `bound`
    SPREAD_BELOW = "spread below"  # SD over seeds below `bound` in every run
    FALLS = "falls"  # after below before in every run
    RISES = "rises"  # after above before in every run
    UNCHANGED = "unchanged"  # after within `bound` of before in every run
    ANTICORRELATED = (
        "anticorrelated"  # rank correlation with `other` over the runs is negative
    )


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim: id, statement in our words, sections, the tables behind it, and what decides it.

    metric: id of the quantity, a column of the tables or a quantity a verdict must derive (derived: True). runs: keys in
    the order the test reads them. bound: the test's number, in the metric's unit; ours, except for lambda_robust, where the
    paper states none. other: second metric, if any.
    """

    id: str
    statement: str
    sections: tuple[str, ...]
    tables: tuple[str, ...]
    metric: str
    test: Test
    runs: tuple[Mapping, ...]
    bound: float | None = None
    other: str | None = None
    derived: bool = False


def _runs(name: str, values, **shared) -> tuple[Mapping, ...]:
    return tuple(types.MappingProxyType(shared | {name: value}) for value in values)


_STRONG = {"intervention": "strong"}
_LADDER = _runs(
    "model",
    (paper_tables.QWEN_7B, paper_tables.QWEN_14B, paper_tables.QWEN_32B),
    condition="B3",
    **_STRONG,
)
_BASE_LADDER = _runs(
    "model",
    (paper_tables.QWEN_7B, paper_tables.QWEN_14B, paper_tables.QWEN_32B),
    condition="B0",
)
_MARGINS = _runs(
    "model",
    (
        paper_tables.QWEN_32B,
        paper_tables.QWEN_7B,
        paper_tables.QWEN_14B,
        paper_tables.DEEPSEEK,
        paper_tables.CODELLAMA,
    ),
    condition="B0",
)
_AT_7B = _runs(
    "model",
    (paper_tables.QWEN_7B, paper_tables.DEEPSEEK, paper_tables.MISTRAL),
    condition="B3",
    **_STRONG,
)
_CODELLAMA = _runs("model", (paper_tables.CODELLAMA,), condition="B3", **_STRONG)
_at_32b = lambda *conditions: _runs(
    "condition", conditions, model=paper_tables.QWEN_32B, **_STRONG
)
_b3_b2 = lambda step: _runs(
    "condition", ("B3", "B2"), model=paper_tables.QWEN_32B, step=step, **_STRONG
)
_light = lambda *conditions: _runs(
    "condition", conditions, model=paper_tables.QWEN_32B, intervention="light"
)
_pairs = lambda *companions: _runs(
    "companion", companions, model=paper_tables.QWEN_7B, condition="B0", domain="code"
)
_WEIGHTS = _runs(
    "lambda", (0.03, 0.10, 0.30), model=paper_tables.QWEN_32B, condition="B4", **_STRONG
)
_REVERSAL = _runs("condition", ("B3>B2",), model=paper_tables.QWEN_14B, **_STRONG)

CLAIMS = (
    Claim(
        "scale",
        "EI after B3 falls with size: 7B above 14B above 32B.",
        ("abstract", "4.1", "8.1", "10"),
        ("T2", "T3"),
        "ei_after",
        Test.DECREASING,
        _LADDER,
    ),
    Claim(
        "base_scale",
        "Larger Qwen base models are less entangled before any training.",
        ("4.6",),
        ("T2", "T7"),
        "ei_before",
        Test.DECREASING,
        _BASE_LADDER,
    ),
    Claim(
        "zero_at_32b",
        "At 32B every seed ends at exactly 0.",
        ("abstract", "4.1", "10"),
        ("T2", "T3"),
        "ei_after",
        Test.ZERO,
        _LADDER[2:],
    ),
    Claim(
        "transition",
        "Disentanglement is complete from 14B on: every seed of the 14B and of the 32B ends at 0.",
        ("abstract", "1", "4.1", "10"),
        ("T2", "T3"),
        "ei_after",
        Test.ZERO,
        _LADDER[1:],
    ),
    Claim(
        "robust_14b",
        "From 14B on, EI after B3 is the same for every seed (SD below .05).",
        ("abstract", "4.4", "10"),
        ("T3",),
        "ei_after",
        Test.SPREAD_BELOW,
        _LADDER[1:],
        0.05,
    ),
    Claim(
        "only_32b_collapses",
        "No model but the 32B reaches complete collapse.",
        ("4.4", "4.5"),
        ("T3", "T5", "T6"),
        "ei_after",
        Test.SOME_ABOVE_ZERO,
        _LADDER[:2],
    ),
    Claim(
        "rank_expands",
        "The collapse comes with a larger informative rank.",
        ("4.1", "10"),
        (),
        "rank",
        Test.RISES,
        _LADDER[2:],
        derived=True,
    ),
    Claim(
        "v_purity_stable",
        "V-purity changes by less than .05 under B3.",
        ("4.1",),
        ("T2", "T7"),
        "v_purity",
        Test.UNCHANGED,
        _LADDER,
        0.05,
        derived=True,
    ),
    Claim(
        "accuracy_kept",
        "Domain accuracy changes by less than .05 under B3.",
        ("3.2", "4.1"),
        ("T2", "T3"),
        "domain_accuracy",
        Test.UNCHANGED,
        _LADDER,
        0.05,
        derived=True,
    ),
    Claim(
        "larger_is_faster",
        "The 32B's EI reaches 0 earlier than the 14B's.",
        ("4.3",),
        ("T4",),
        "steps_to_zero",
        Test.DECREASING,
        _LADDER[1:],
        derived=True,
    ),
    Claim(
        "late_at_7b",
        "At 7B the first half of training raises EI and the second half lowers it.",
        ("4.3",),
        (),
        "ei_at_2500",
        Test.RISES,
        _LADDER[:1],
        derived=True,
    ),
    Claim(
        "recoveries",
        "Some of the 32B's seeds (2 of 8 in the paper) reach 0, leave it again, and end at 0.",
        ("4.3", "10"),
        (),
        "recovers",
        Test.SOME_ABOVE_ZERO,
        _LADDER[2:],
        derived=True,
    ),
    Claim(
        "margin_grows_14b",
        "The 14B's non-degeneracy margin grows under B3 (to 4.79 in the paper, which does not define it).",
        ("4.6",),
        (),
        "margin",
        Test.RISES,
        _LADDER[1:2],
        derived=True,
    ),
    Claim(
        "nl_beats_math_at_collapse",
        "With NL (B3) the 32B's EI ends lower than with math (B2).",
        ("4.3",),
        ("T4",),
        "ei",
        Test.LESS,
        _b3_b2(5000),
    ),
    Claim(
        "nl_math_alike_early",
        "At step 1500 the 32B's EI is still the same under B3 and B2 (within .1).",
        ("4.3",),
        ("T4",),
        "ei",
        Test.EQUIVALENT,
        _b3_b2(1500),
        0.1,
    ),
    Claim(
        "nl_math_part",
        "At step 2000 the 32B's EI is lower under B3 than under B2.",
        ("4.3",),
        ("T4",),
        "ei",
        Test.LESS,
        _b3_b2(2000),
    ),
    Claim(
        "b2_preserves",
        "B2 alone leaves the 32B's EI where it was (within .1).",
        ("4.3", "7", "7.1"),
        ("T4",),
        "ei",
        Test.EQUIVALENT,
        _runs(
            "step", (0, 5000), model=paper_tables.QWEN_32B, condition="B2", **_STRONG
        ),
        0.1,
    ),
    Claim(
        "cross_architecture",
        "At 7B the EI of Qwen, DeepSeek and Mistral falls under B3.",
        ("abstract", "4.4", "10"),
        ("T5", "T6"),
        "ei",
        Test.FALLS,
        _AT_7B,
    ),
    Claim(
        "codellama_rises",
        "CodeLlama's EI rises under B3.",
        ("abstract", "4.4", "9", "10"),
        ("T5", "T6"),
        "ei",
        Test.RISES,
        _CODELLAMA,
    ),
    Claim(
        "margin_largest",
        "The 32B has the largest non-degeneracy margin of the five base models.",
        ("4.5", "8.1"),
        ("T7",),
        "margin",
        Test.MOST,
        _MARGINS,
    ),
    Claim(
        "creative_least_crosstalk",
        "Of the companions, creative writing has the lowest crosstalk with code.",
        ("abstract", "5", "5.2"),
        ("T8",),
        "ct",
        Test.LEAST,
        _pairs("creative", "math", "formal_logic", "medical", "legal"),
    ),
    Claim(
        "one_way",
        "Removing math's direction costs code more than removing code's costs math.",
        ("5",),
        ("T8",),
        "lean",
        Test.GREATER,
        _pairs("math"),
        derived=True,
    ),
    Claim(
        "math_beats_nl",
        "A math companion keeps more coding performance than an NL companion.",
        ("abstract", "1", "5.1", "10"),
        ("T9",),
        "he_plus",
        Test.GREATER,
        _at_32b("B2", "B3"),
    ),
    Claim(
        "nl_twice_math",
        "B3 loses at least 1.5 times as much coding performance as B2 (nearly twice in the paper).",
        ("5.1",),
        ("T9",),
        "he_plus_loss",
        Test.RATIO,
        _at_32b("B3", "B2"),
        1.5,
        derived=True,
    ),
    Claim(
        "crosstalk_predicts",
        "The less crosstalk a companion has with code, the better the model codes after training on both.",
        ("abstract", "1", "5.1", "10"),
        ("T8", "T9"),
        "ct",
        Test.ANTICORRELATED,
        _at_32b("B2", "B3", "B6"),
        other="he_plus",
        derived=True,
    ),
    Claim(
        "creative_hurts",
        "A creative-writing companion costs coding performance against the base model.",
        ("5.2", "10"),
        ("T9",),
        "he_plus",
        Test.LESS,
        _at_32b("B6", "B0"),
    ),
    Claim(
        "creative_worst",
        "Creative writing (B6) codes worst of the conditions outside the curriculum.",
        ("abstract", "1", "10"),
        ("T8", "T9"),
        "he_plus",
        Test.LEAST,
        _at_32b("B6", "B1", "B2", "B3", "B4"),
    ),
    Claim(
        "csr_best",
        "B4 (CSR) codes best of the fine-tuned conditions.",
        ("5.1", "6.3", "8.4", "10"),
        ("T9",),
        "he_plus",
        Test.MOST,
        _at_32b("B4", "B1", "B2", "B3", "B5", "B6"),
    ),
    Claim(
        "curriculum_catastrophic",
        "Math first, then code (B5) codes worst of the fine-tuned conditions.",
        ("5.1",),
        ("T9",),
        "he_plus",
        Test.LEAST,
        _at_32b("B5", "B1", "B2", "B3", "B4", "B6"),
    ),
    Claim(
        "energy_anticorrelates",
        "SV energy falls as coding performance rises, over six conditions.",
        ("5.2",),
        ("T10",),
        "sv_energy",
        Test.ANTICORRELATED,
        _at_32b("B1", "B2", "B3", "B4", "B5", "B6"),
        other="he_plus",
    ),
    Claim(
        "nl_displaces",
        "NL moves the weights at least 500 times as much as CSR (about 1000 in the paper).",
        ("5.2", "8.4"),
        ("T10",),
        "sv_energy",
        Test.RATIO,
        _at_32b("B3", "B4"),
        500.0,
    ),
    Claim(
        "csr_least_displaced",
        "CSR moves the weights least.",
        ("6.3", "8.6"),
        ("T10",),
        "sv_energy",
        Test.LEAST,
        _at_32b("B4", "B1", "B2", "B3", "B5", "B6"),
    ),
    Claim(
        "lambda_robust",
        "Final EI varies by less than .01 between CSR weights of .03, .1 and .3.",
        ("abstract", "6.2", "8.4", "10"),
        ("T11", "T12"),
        "ei_after",
        Test.EQUIVALENT,
        _WEIGHTS,
        0.01,
    ),
    Claim(
        "csr_light",
        "At light intervention EI ends lower with CSR (B4) than without (B2).",
        ("6.3", "8.6"),
        (),
        "ei_after",
        Test.LESS,
        _light("B4", "B2"),
    ),
    Claim(
        "csr_light_cost",
        "At light intervention CSR costs less than 5 points of HumanEval+ against B2 (.6 in the paper).",
        ("6.3", "8.6"),
        (),
        "he_plus",
        Test.EQUIVALENT,
        _light("B2", "B4"),
        5.0,
    ),
    Claim(
        "dissociation",
        "Of light B2 and B4, B2 is the more entangled, and yet codes better.",
        ("8.6",),
        (),
        "he_plus",
        Test.GREATER,
        _light("B2", "B4"),
        other="ei_after",
    ),
    Claim(
        "irreversible",
        "B2 on top of B3 does not bring the 14B's entanglement back: its EI falls further.",
        ("abstract", "7", "10"),
        ("T13", "T14"),
        "ei",
        Test.FALLS,
        _REVERSAL,
    ),
    Claim(
        "zero_within_1000",
        "After 1000 steps of B2 on top of B3, the 14B's EI is 0.",
        ("abstract", "7.1", "10"),
        ("T13",),
        "ei",
        Test.ZERO,
        tuple(types.MappingProxyType(dict(run) | {"step": 1000}) for run in _REVERSAL),
    ),
)


def find_claim(id: str) -> Claim:
    """The claim of that id; KeyError names the ones there are."""
    found = [c for c in CLAIMS if c.id == id]
    if not found:
        raise KeyError(f"no claim {id!r}: there are {', '.join(c.id for c in CLAIMS)}")
    return found[0]
