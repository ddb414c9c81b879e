"""The paper's fourteen tables as data, exactly as printed, wrong figures included (see `marks`; `quoted` holds the text's).

A row's `key` names the run (model, condition, intervention, seed, step, lambda, ...), its `values` hold one entry a
column. Tables the paper prints wide (4 and 12) are long here, so that one row is one run at one step.
"""

import dataclasses
import types
from collections.abc import Mapping

QWEN_7B, QWEN_14B, QWEN_32B = (
    "Qwen2.5-Coder-7B",
    "Qwen2.5-Coder-14B",
    "Qwen2.5-Coder-32B",
)
MISTRAL, DEEPSEEK, CODELLAMA = "Mistral-7B-v0.3", "DeepSeek-Coder-6.7B", "CodeLlama-7B"
HUB = types.MappingProxyType(
    {
        QWEN_7B: "Qwen/Qwen2.5-Coder-7B",
        QWEN_14B: "Qwen/Qwen2.5-Coder-14B",
        QWEN_32B: "Qwen/Qwen2.5-Coder-32B",
        MISTRAL: "mistralai/Mistral-7B-v0.3",
        DEEPSEEK: "deepseek-ai/deepseek-coder-6.7b-base",
        CODELLAMA: "codellama/CodeLlama-7b-hf",
    }
)
"""Names used as `model` in keys, and the Hub repositories taken for them (the paper names none)."""


@dataclasses.dataclass(frozen=True)
class Column:
    """One quantity: its id in `values`, its heading, the decimals printed (None: they vary), and its unit.

    unit: "" for ratios, "%" and "points" for percentages and their differences, "count", or "text" (then values are str).
    """

    id: str
    title: str
    digits: int | None = 3
    unit: str = ""

    def text(self, value, sd=None) -> str:
        """value to the printed decimals (four significant digits where they vary), with its SD if any; "-" for None."""
        if value is None or isinstance(value, str):
            return value or "-"
        form = ".4g" if self.digits is None else f".{self.digits}f"
        return f"{value:{form}}" + ("" if sd is None else f" ± {sd:{form}}")


@dataclasses.dataclass(frozen=True)
class Row:
    """One run or group of runs: read-only maps key, values (None: not printed; or words) and sd, and n, the seeds or problems behind it."""

    key: Mapping
    values: Mapping
    sd: Mapping
    n: int | None


@dataclasses.dataclass(frozen=True)
class Table:
    """A published table: its id ("T1" to "T14"), section, caption and remark in our words, columns and rows in the paper's order."""

    id: str
    section: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    remark: str = ""

    def column(self, id: str) -> Column:
        """The column of that id; KeyError names the ones there are."""
        found = [c for c in self.columns if c.id == id]
        if not found:
            raise KeyError(
                f"{self.id} has no column {id!r}: it has {', '.join(c.id for c in self.columns)}"
            )
        return found[0]

    def row(self, **key) -> Row:
        """The one row whose key holds all of `key`; KeyError if there is none or there are several."""
        found = [row for row in self.rows if row.key.items() >= key.items()]
        if len(found) != 1:
            raise KeyError(f"{self.id} has {len(found)} rows of {key}: expected one")
        return found[0]

    def select(self, column: str, **key) -> list:
        """Values of one column in all rows whose key holds all of `key`, in order."""
        self.column(column)
        return [
            row.values[column] for row in self.rows if row.key.items() >= key.items()
        ]


def _table(id, section, caption, columns, names, rows, remark="", **shared) -> Table:
    """rows: flat tuples of key parts, in the order of names ("n" becomes Row.n), then values; a pair is (mean, SD)."""
    made = []
    for flat in rows:
        if len(flat) != len(names) + len(columns):
            raise ValueError(
                f"{id}: row {flat} has {len(flat)} entries, expected {len(names)} of key and {len(columns)} of values"
            )
        key = shared | dict(zip(names, flat))
        n = key.pop("n", None)
        pairs = {
            c.id: v if isinstance(v, tuple) else (v, None)
            for c, v in zip(columns, flat[len(names) :])
        }
        values = {name: value for name, (value, _) in pairs.items()}
        sd = {name: sd for name, (_, sd) in pairs.items() if sd is not None}
        made.append(Row(*map(types.MappingProxyType, (key, values, sd)), n))
    return Table(id, section, caption, tuple(columns), tuple(made), remark)


_BEFORE = Column("ei_before", "EI before")
_AFTER = Column("ei_after", "EI after")
_EI = Column("ei", "EI")
_PURITY = Column("v_purity_after", "V-purity after")
_DOMAIN = Column("domain_accuracy_after", "domain accuracy after")
_HE_PLUS = Column("he_plus", "HumanEval+", 1, "%")
_STRONG = {"intervention": "strong"}  # rank 64, all linear layers, 5000 steps
_B3 = {"condition": "B3"} | _STRONG
_QWEN_7B_SEEDS = (
    (QWEN_7B, 42, 0.926, 0.683, 0.628, 0.950),
    (QWEN_7B, 0, 0.955, 0.712, 0.635, 0.950),
    (QWEN_7B, 1, 0.955, 0.529, 0.666, 0.950),
)

T1 = _table(
    "T1", "2.3", "Conditions: shares of training steps by domain",
    (Column("code", "code", 0, "%"), Column("math", "math", 0, "%"), Column("nl", "NL", 0, "%"),
     Column("creative", "creative", 0, "%"), Column("ct", "companion's crosstalk", None), Column("rationale", "why", unit="text")),
    ("condition",),
    (
        ("B0", None, None, None, None, None, "base model, reference"),
        ("B1", 100, None, None, None, None, "single domain control"),
        ("B2", 70, 30, None, None, 0.088, "companion of low crosstalk"),
        ("B3", 70, None, 30, None, None, "companion of high crosstalk"),
        ("B4", 70, 30, None, None, None, "B2 with complement-subspace regularization"),
        ("B5", 80, 20, None, None, None, "1000 steps of math, then 4000 of code"),
        ("B6", 70, None, None, 30, 0.0015, "companion of lowest crosstalk"),
    ),
)  # fmt: skip

T2 = _table(
    "T2", "4.1", "Scale ladder: B3 on three sizes of Qwen2.5-Coder, mean ± SD over seeds",
    (_BEFORE, _AFTER, _PURITY, _DOMAIN), ("model", "n"),
    (
        (QWEN_7B, 3, (0.945, 0.017), (0.641, 0.099), (0.643, 0.020), 0.950),
        (QWEN_14B, 3, (0.810, 0.010), (0.063, 0.109), (0.620, 0.039), 0.983),
        (QWEN_32B, 8, (0.622, 0.000), (0.000, 0.000), (0.622, 0.022), 0.958),
    ),
    **_B3,
)  # fmt: skip

T3 = _table(
    "T3", "4.2", "Scale ladder, every seed",
    (_BEFORE, _AFTER, _PURITY, _DOMAIN), ("model", "seed"),
    (
        *_QWEN_7B_SEEDS,
        (QWEN_14B, 42, 0.799, 0.188, 0.648, 1.000),
        (QWEN_14B, 0, 0.816, 0.000, 0.638, 0.967),
        (QWEN_14B, 1, 0.816, 0.000, 0.575, 0.983),
        (QWEN_32B, 0, 0.622, 0.000, 0.625, 0.917),
        (QWEN_32B, 1, 0.622, 0.000, 0.636, 0.983),
        (QWEN_32B, 2, 0.622, 0.000, 0.648, 0.950),
        (QWEN_32B, 3, 0.622, 0.000, 0.627, 0.967),
        (QWEN_32B, 4, 0.622, 0.000, 0.601, 0.950),
        (QWEN_32B, 5, 0.622, 0.000, 0.598, 0.933),
        (QWEN_32B, 6, 0.622, 0.000, 0.649, 0.967),
        (QWEN_32B, 7, 0.622, 0.000, 0.595, 1.000),
    ),
    **_B3,
)  # fmt: skip

T4 = _table(
    "T4", "4.3", "EI during B3 and B2 on the 32B model, mean ± SD over 8 seeds (published SDs divide by n)",
    (_EI,), ("condition", "step", "n"),
    (
        ("B3", 0, 8, 0.622), ("B3", 500, 8, (0.370, 0.196)), ("B3", 1000, 8, (0.339, 0.186)),
        ("B3", 1500, 8, (0.413, 0.201)), ("B3", 2000, 8, (0.142, 0.167)), ("B3", 2500, 8, (0.025, 0.066)),
        ("B3", 3000, 8, (0.056, 0.149)), ("B3", 3500, 8, (0.000, 0.000)), ("B3", 4000, 8, (0.000, 0.000)),
        ("B3", 4500, 8, (0.000, 0.000)), ("B3", 5000, 8, (0.000, 0.000)),
        ("B2", 0, 8, 0.622), ("B2", 500, 8, (0.329, 0.188)), ("B2", 1000, 8, (0.290, 0.161)),
        ("B2", 1500, 8, (0.450, 0.261)), ("B2", 2000, 8, (0.404, 0.254)), ("B2", 2500, 8, (0.398, 0.168)),
        ("B2", 3000, 8, (0.377, 0.219)), ("B2", 3500, 8, (0.407, 0.180)), ("B2", 4000, 8, (0.397, 0.261)),
        ("B2", 4500, 8, (0.427, 0.220)), ("B2", 5000, 8, (0.350, 0.224)),
    ),
    model=QWEN_32B, **_STRONG,
)  # fmt: skip

T5 = _table(
    "T5", "4.4", "B3 on four 7B models, mean ± SD over seeds",
    (_AFTER, _BEFORE, Column("ei_change", "change of EI", 0, "%"), Column("response", "response", unit="text")), ("model", "n"),
    (
        (QWEN_7B, 3, (0.641, 0.099), 0.945, -32, "Partial reduction"),
        (DEEPSEEK, 2, (1.047, 0.210), 1.374, -24, "Moderate reduction"),
        (MISTRAL, 3, (0.944, 0.098), 1.044, -10, "Minimal change"),
        (CODELLAMA, 2, (1.143, 0.070), 0.874, 31, "Anti-disentanglement"),
    ),
    **_B3,
)  # fmt: skip

T6 = _table(
    "T6", "4.4", "B3 on four 7B models, every seed",
    (_BEFORE, _AFTER, _PURITY, _DOMAIN), ("model", "seed"),
    (
        *_QWEN_7B_SEEDS,
        (MISTRAL, 42, 1.040, 1.044, 0.633, 0.983),
        (MISTRAL, 0, 1.046, 0.941, 0.639, 1.000),
        (MISTRAL, 1, 1.046, 0.848, 0.632, 1.000),
        (DEEPSEEK, 0, 1.376, 1.196, 0.637, 1.000),
        (DEEPSEEK, 1, 1.372, 0.899, 0.631, 1.000),
        (CODELLAMA, 0, 0.874, 1.093, 0.625, 0.983),
        (CODELLAMA, 1, 0.874, 1.192, 0.623, 0.983),
    ),
    **_B3,
)  # fmt: skip

T7 = _table(
    "T7", "4.5", "Non-degeneracy margins of the base models",
    (_BEFORE, Column("margin", "margin", None), Column("weakest", "weakest concept", unit="text"),
     Column("v_purity_before", "V-purity before")),
    ("model",),
    (
        (QWEN_7B, 0.926, 0.000193, "shape", 0.615),
        (QWEN_14B, 0.799, 0.000004, "shape", 0.616),
        (QWEN_32B, 0.667, 1.781, "register", 0.635),
        (DEEPSEEK, 1.386, 0.000021, "register", 0.623),
        (CODELLAMA, 0.858, 0.000000, "register", 0.627),
    ),
    "The theorem's structural ratio (r - d_max) / d_max = (8 - 3) / 3 = 1.67 is the same for every model: the probe design fixes r and d_max.",
    condition="B0",
)  # fmt: skip

T8 = _table(
    "T8", "5", "Crosstalk between code and five companion domains in the 7B base model",
    (Column("ct", "symmetric crosstalk", None), Column("bdr", "block-diagonal ratio"), Column("asymmetry", "asymmetry", 2)),
    ("companion",),
    (
        ("creative", 0.0015, 0.991, 1.00),
        ("math", 0.088, 0.750, 1.00),
        ("formal_logic", 0.092, 0.747, 1.00),
        ("medical", 0.170, 0.487, 1.00),
        ("legal", 0.296, 0.499, 0.23),
    ),
    model=QWEN_7B, condition="B0", domain="code",
)  # fmt: skip

T9 = _table(
    "T9", "5.1", "HumanEval pass@1 of the 32B model by condition, strong intervention, differences from B0",
    (Column("he", "HumanEval", 1, "%"), _HE_PLUS, Column("he_plus_passes", "HumanEval+ passes", 0, "count"),
     Column("he_plus_change", "HumanEval+ minus B0", 1, "points"), Column("low", "95% low", 1, "points"),
     Column("high", "95% high", 1, "points")),
    ("condition", "n"),
    (
        ("B0", 164, 65.9, 58.5, 96, None, None, None),
        ("B4", 164, 57.9, 49.4, 81, -9.1, -16.7, -1.5),
        ("B2", 164, 56.7, 48.2, 79, -10.3, -18.0, -2.6),
        ("B1", 164, 54.9, 47.6, 78, -10.9, -18.6, -3.2),
        ("B6", 164, 45.1, 41.5, 68, -17.0, -27.7, -6.3),
        ("B3", 164, 42.7, 36.6, 60, -21.9, -29.1, -14.7),
        ("B5", 164, 12.8, 10.4, 17, -48.1, -53.6, -42.6),
    ),
    "HumanEval passes behind the published percentages, of 164: B0 108, B4 95, B2 93, B1 90, B6 74, B3 70, B5 21.",
    model=QWEN_32B, seed=0, **_STRONG,
)  # fmt: skip

T10 = _table(
    "T10", "5.2", "Singular value energy of the weight changes beside coding performance, 32B",
    (Column("sv_energy", "SV energy"), _HE_PLUS, Column("interpretation", "interpretation", unit="text")), ("condition",),
    (
        ("B4", 0.001, 49.4, "CSR constrains changes maximally"),
        ("B2", 0.006, 48.2, "Math companion keeps changes focused"),
        ("B1", 0.014, 47.6, "Code-only spreads more"),
        ("B6", 0.041, 41.5, "Low crosstalk, no transferable structure"),
        ("B5", 0.646, 10.4, "Sequential: massive displacement"),
        ("B3", 1.096, 36.6, "NL spreads changes broadly"),
    ),
    model=QWEN_32B, seed=0, **_STRONG,
)  # fmt: skip

T11 = _table(
    "T11", "6.2", "CSR weights under B4 on the 32B model, seed 0",
    (_BEFORE, _AFTER, _PURITY, _DOMAIN, Column("csr_loss", "final CSR loss")), ("lambda",),
    (
        (0.03, 0.621, 0.105, 0.682, 1.000, 7.221),
        (0.10, 0.255, 0.115, 0.650, 1.000, 7.221),
        (0.30, 0.621, 0.105, 0.682, 1.000, 72.210),
    ),
    model=QWEN_32B, condition="B4", seed=0, **_STRONG,
)  # fmt: skip

_T12 = (  # step, then EI at lambda .03, .10 and .30, as printed
    (500, 0.220, 0.064, 0.220), (1000, 0.582, 0.196, 0.582), (1500, 0.463, 0.123, 0.463), (2000, 0.774, 0.086, 0.774),
    (2500, 0.548, 0.385, 0.548), (3000, 0.305, 0.215, 0.305), (3500, 0.346, 0.253, 0.346), (4000, 0.357, 0.273, 0.357),
    (4500, 0.382, 0.159, 0.382), (5000, 0.105, 0.115, 0.105),
)  # fmt: skip
T12 = _table(
    "T12", "6.2", "EI during CSR training at three weights, 32B, seed 0",
    (_EI,), ("lambda", "step"),
    tuple((weight, step, three[i]) for i, weight in enumerate((0.03, 0.10, 0.30)) for step, *three in _T12),
    model=QWEN_32B, condition="B4", seed=0, **_STRONG,
)  # fmt: skip

T13 = _table(
    "T13", "7.1", "B2 continued from a B3 adapter on the 14B model, seed 0; step 0 is the end of B3",
    (_EI, Column("v_purity", "V-purity"), Column("domain_accuracy", "domain accuracy")), ("step",),
    ((0, 0.279, 0.654, 1.000), (500, 0.245, 0.671, 0.983), (1000, 0.000, 0.656, 1.000), (1500, 0.000, 0.563, 0.883)),
    model=QWEN_14B, condition="B3>B2", seed=0, **_STRONG,
)  # fmt: skip

T14 = _table(
    "T14", "7.1", "EI before B3, after B3 and after B2 on top, at two sizes",
    (_BEFORE, Column("ei_after_b3", "EI after B3"), _AFTER, Column("outcome", "outcome", unit="text")), ("model",),
    ((QWEN_14B, 0.799, 0.279, 0.000, "Deepened"), (QWEN_32B, 0.609, 0.000, "(degenerate)", "N/A")),
    condition="B3>B2", **_STRONG,
)  # fmt: skip

TABLES = (T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13, T14)


def find_table(id: str) -> Table:
    """The table of that id; KeyError names the ones there are."""
    found = [t for t in TABLES if t.id == id]
    if not found:
        raise KeyError(f"no table {id!r}: there are {', '.join(t.id for t in TABLES)}")
    return found[0]
