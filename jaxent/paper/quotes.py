"""Numbers the paper prints in its text, exactly as printed, wrong figures included (see `marks`)."""

import dataclasses
from collections.abc import Mapping

from jaxent.paper import tables as paper_tables


@dataclasses.dataclass(frozen=True)
class Quote:
    """A number printed in the text: its id, value as printed with that many digits, where, what it is, and the run's key."""

    id: str
    value: float
    digits: int
    sections: tuple[str, ...]
    what: str
    key: Mapping = dataclasses.field(default_factory=dict)


_STRONG = {"intervention": "strong"}
_B3 = {"condition": "B3"} | _STRONG
_SEED = lambda model, condition, seed, **more: (
    {"model": model, "condition": condition, "seed": seed} | _STRONG | more
)
_LIGHT = lambda condition: {
    "model": paper_tables.QWEN_32B,
    "condition": condition,
    "intervention": "light",
}  # rank 16, attention, 2000 steps
QUOTES = (
    Quote("models", 6, 0, ("3.1",), "models tested"),
    Quote("families", 3, 0, ("3.1",), "architecture families tested"),
    Quote("families_abstract", 4, 0, ("abstract", "1"), "architecture families tested"),
    Quote("probes", 48, 0, ("3.2",), "probes of the 3 x 4 x 4 design"),
    Quote(
        "probes_per_domain",
        96,
        0,
        ("3.6",),
        "probes per domain of the 6 x 4 x 4 design",
    ),
    Quote(
        "probes_total", 480, 0, ("3.6", "6.1"), "probes of the 6 x 4 x 4 design in all"
    ),
    Quote("ridge_alpha", 1.0, 1, ("3.2",), "penalty of the ridge classifier"),
    Quote("measure_steps", 500, 0, ("3.2",), "steps between measurements"),
    Quote("problems", 164, 0, ("3.2",), "problems of HumanEval and of HumanEval+"),
    Quote(
        "seeds_b2",
        1,
        0,
        ("3.3",),
        "seeds of B2 on the 32B model",
        {"model": paper_tables.QWEN_32B, "condition": "B2"} | _STRONG,
    ),
    Quote(
        "reduction_7b",
        32,
        0,
        ("abstract", "4.1", "4.6", "8.1", "10"),
        "fall of EI under B3, %",
        {"model": paper_tables.QWEN_7B} | _B3,
    ),
    Quote(
        "reduction_14b",
        93,
        0,
        ("abstract", "4.1", "4.6", "8.1", "10"),
        "fall of EI under B3, %",
        {"model": paper_tables.QWEN_14B} | _B3,
    ),
    Quote(
        "reduction_32b",
        100,
        0,
        ("abstract", "4.1", "4.6", "8.1", "10"),
        "fall of EI under B3, %",
        {"model": paper_tables.QWEN_32B} | _B3,
    ),
    Quote(
        "start_7b",
        1.1,
        1,
        ("4.3",),
        "EI at the start, about",
        _SEED(paper_tables.QWEN_7B, "B3", 1, step=0),
    ),
    Quote(
        "peak_14b",
        0.941,
        3,
        ("4.3",),
        "EI, a temporary rise above the base model",
        {"model": paper_tables.QWEN_14B, "step": 1000} | _B3,
    ),
    Quote(
        "zero_32b",
        2500,
        0,
        ("4.3",),
        "step by which EI is 0.000",
        _SEED(paper_tables.QWEN_32B, "B3", 0),
    ),
    Quote(
        "plateau_b2",
        0.40,
        2,
        ("4.3", "7.1"),
        "EI around which B2 fluctuates",
        {"model": paper_tables.QWEN_32B, "condition": "B2"} | _STRONG,
    ),
    Quote(
        "recovering",
        25,
        0,
        ("4.3", "10"),
        "seeds that leave 0 again before staying there, %",
        {"model": paper_tables.QWEN_32B} | _B3,
    ),
    Quote(
        "recovery_seed5",
        0.200,
        3,
        ("4.3",),
        "EI after a first 0.000",
        _SEED(paper_tables.QWEN_32B, "B3", 5, step=2500),
    ),
    Quote(
        "recovery_seed6",
        0.452,
        3,
        ("4.3",),
        "EI after a first 0.000",
        _SEED(paper_tables.QWEN_32B, "B3", 6, step=3000),
    ),
    Quote(
        "base_7b",
        0.926,
        3,
        ("4.6",),
        "EI of the base model",
        {"model": paper_tables.QWEN_7B, "condition": "B0"},
    ),
    Quote(
        "base_14b",
        0.799,
        3,
        ("4.6",),
        "EI of the base model",
        {"model": paper_tables.QWEN_14B, "condition": "B0"},
    ),
    Quote(
        "base_32b",
        0.622,
        3,
        ("4.6",),
        "EI of the base model",
        {"model": paper_tables.QWEN_32B, "condition": "B0"},
    ),
    Quote(
        "margin_14b_before",
        3.5e-6,
        7,
        ("4.6",),
        "margin of the base model",
        {"model": paper_tables.QWEN_14B, "condition": "B0"},
    ),
    Quote(
        "margin_14b_after",
        4.79,
        2,
        ("4.6",),
        "margin during training",
        {"model": paper_tables.QWEN_14B} | _B3,
    ),
    Quote(
        "gap_b2_b3",
        11.6,
        1,
        ("abstract", "1", "5.1", "10"),
        "HumanEval+ of B2 minus B3, points",
    ),
    Quote("pooled_b2_b3", 0.424, 3, ("5.3",), "pooled pass rate of B2 and B3"),
    Quote("z_b2_b3", 2.15, 2, ("5.1", "5.3"), "two-proportion z, B2 against B3"),
    Quote(
        "p_b2_b3", 0.016, 3, ("abstract", "1", "5.1", "5.3", "10"), "its one-tailed p"
    ),
    Quote("drop_b6", 17.0, 1, ("5.2",), "HumanEval+ of B0 minus B6, points"),
    Quote("z_b6_b0", -3.08, 2, ("5.2", "5.3"), "two-proportion z, B6 against B0"),
    Quote("p_b6_b0", 0.001, 3, ("5.2", "5.3", "10"), "its one-tailed p"),
    Quote("energy_ratio", 1000, 0, ("5.2", "8.4"), "SV energy of B3 over B4, about"),
    Quote(
        "spearman",
        -0.94,
        2,
        ("T10",),
        "rank correlation of SV energy and HumanEval+ over six conditions",
    ),
    Quote("csr_rank", 47, 0, ("6.1",), "dimensions of the code subspace"),
    Quote("csr_complement", 5073, 0, ("6.1",), "dimensions of its complement in 5120"),
    Quote("csr_every", 50, 0, ("6.1",), "steps between CSR penalties"),
    Quote(
        "csr_spread",
        0.01,
        2,
        ("6.2",),
        "largest difference of final EI between CSR weights",
    ),
    Quote(
        "light_ei_base",
        0.392,
        3,
        ("6.3",),
        "EI of the base model",
        {"model": paper_tables.QWEN_32B, "condition": "B0"},
    ),
    Quote(
        "light_ei_b4",
        0.167,
        3,
        ("6.3", "8.6"),
        "EI after B4, light intervention",
        _LIGHT("B4"),
    ),
    Quote(
        "light_ei_b2",
        0.563,
        3,
        ("8.6",),
        "EI after B2, light intervention",
        _LIGHT("B2"),
    ),
    Quote(
        "light_reduction_b4",
        57,
        0,
        ("6.3",),
        "fall of EI under B4, light intervention, %",
        _LIGHT("B4"),
    ),
    Quote(
        "light_he_plus_b4",
        57.3,
        1,
        ("6.3", "8.6"),
        "HumanEval+ of B4, light intervention, %",
        _LIGHT("B4"),
    ),
    Quote(
        "light_he_plus_b2",
        57.9,
        1,
        ("6.3", "8.6"),
        "HumanEval+ of B2, light intervention, %",
        _LIGHT("B2"),
    ),
    Quote(
        "light_cost_b4",
        0.6,
        1,
        ("6.3",),
        "HumanEval+ of B2 minus B4, light intervention, points",
        _LIGHT("B4"),
    ),
    Quote(
        "reversal_start",
        0.279,
        3,
        ("abstract", "3.5", "7", "10"),
        "EI after B3",
        _SEED(paper_tables.QWEN_14B, "B3", 0),
    ),
    Quote(
        "reversal_steps",
        1000,
        0,
        ("abstract", "7.1", "10"),
        "further steps of B2 until EI is 0.000",
        _SEED(paper_tables.QWEN_14B, "B3>B2", 0),
    ),
    Quote(
        "reversal_accuracy",
        0.883,
        3,
        ("7.2",),
        "domain accuracy at the end",
        _SEED(paper_tables.QWEN_14B, "B3>B2", 0, step=1500),
    ),
    Quote(
        "reversal_purity",
        0.563,
        3,
        ("7.2",),
        "V-purity at the end",
        _SEED(paper_tables.QWEN_14B, "B3>B2", 0, step=1500),
    ),
)


def find_quote(id: str) -> Quote:
    """The in-text number of that id; KeyError names the ones there are."""
    found = [q for q in QUOTES if q.id == id]
    if not found:
        raise KeyError(
            f"no quoted number {id!r}: there are {', '.join(q.id for q in QUOTES)}"
        )
    return found[0]
