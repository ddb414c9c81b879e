"""The tables as data: literals of the paper, shape, remarks and look-ups."""

import pytest

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables


@pytest.mark.parametrize(
    ("table", "column", "key", "value", "sd", "n"),
    [
        ("T1", "ct", {"condition": "B2"}, 0.088, None, None),
        ("T2", "ei_after", {"model": paper_models.QWEN_14B}, 0.063, 0.109, 3),
        (
            "T3",
            "v_purity_after",
            {"model": paper_models.QWEN_32B, "seed": 6},
            0.649,
            None,
            None,
        ),
        ("T4", "ei", {"condition": "B2", "step": 4000}, 0.397, 0.261, 8),
        ("T5", "ei_after", {"model": paper_models.DEEPSEEK}, 1.047, 0.210, 2),
        (
            "T6",
            "ei_after",
            {"model": paper_models.MISTRAL, "seed": 1},
            0.848,
            None,
            None,
        ),
        ("T7", "margin", {"model": paper_models.QWEN_32B}, 1.781, None, None),
        ("T8", "bdr", {"companion": "medical"}, 0.487, None, None),
        ("T9", "low", {"condition": "B5"}, -53.6, None, 164),
        ("T10", "sv_energy", {"condition": "B3"}, 1.096, None, None),
        ("T11", "csr_loss", {"lambda": 0.30}, 72.210, None, None),
        ("T12", "ei", {"lambda": 0.10, "step": 2500}, 0.385, None, None),
        ("T13", "domain_accuracy", {"step": 1500}, 0.883, None, None),
        ("T14", "ei_before", {"model": paper_models.QWEN_32B}, 0.609, None, None),
        (
            "T14",
            "ei_after",
            {"model": paper_models.QWEN_32B},
            "(degenerate)",
            None,
            None,
        ),
        ("T14", "outcome", {"model": paper_models.QWEN_32B}, "N/A", None, None),
        ("T14", "outcome", {"model": paper_models.QWEN_14B}, "Deepened", None, None),
        (
            "T5",
            "response",
            {"model": paper_models.CODELLAMA},
            "Anti-disentanglement",
            None,
            2,
        ),
        (
            "T10",
            "interpretation",
            {"condition": "B5"},
            "Sequential: massive displacement",
            None,
            None,
        ),
    ],
)
def test_literals_against_the_paper(table, column, key, value, sd, n):
    row = paper_tables.find_table(table).row(**key)
    assert (row.values[column], row.sd.get(column), row.n) == (value, sd, n)


def test_tables_are_whole():
    assert [t.id for t in paper_tables.TABLES] == [f"T{i}" for i in range(1, 15)]
    assert [len(t.rows) for t in paper_tables.TABLES] == [
        7,
        3,
        14,
        22,
        4,
        10,
        5,
        5,
        7,
        6,
        3,
        30,
        4,
        2,
    ]
    for t in paper_tables.TABLES:
        assert len({frozenset(row.key.items()) for row in t.rows}) == len(t.rows)
        for row in t.rows:
            for column in t.columns:
                value = row.values[column.id]
                words = (
                    column.unit == "text" or value == "(degenerate)"
                )  # Table 14 has it for a number
                assert value is None or isinstance(
                    value, str if words else (int, float)
                ), (t.id, column.id, value)
                if isinstance(value, float) and column.digits is not None:
                    assert round(value, column.digits) == value
    shares = [
        [row.values[c] or 0 for c in ("code", "math", "nl", "creative")]
        for row in paper_tables.T1.rows[1:]
    ]
    assert {sum(s) for s in shares} == {100}
    assert [row.values for row in paper_tables.T6.rows[:3]] == [
        row.values for row in paper_tables.T3.rows[:3]
    ]
    with pytest.raises(TypeError):
        paper_tables.T2.rows[0].values["ei_after"] = 0


def test_remarks_say_what_the_numbers_give():
    passes = {
        row.key["condition"]: [
            k for k in range(165) if round(100 * k / 164, 1) == row.values["he"]
        ]
        for row in paper_tables.T9.rows
    }
    assert all(
        f"{condition} {k}" in paper_tables.T9.remark
        for condition, (k,) in passes.items()
    )
    classes = (3, 4, 4)  # of domain, register and shape: the design's r and d_max
    r, largest = sum(m - 1 for m in classes), max(m - 1 for m in classes)
    assert (
        f"({r} - {largest}) / {largest} = {(r - largest) / largest:.2f} "
        in paper_tables.T7.remark
    )
    assert "published SDs divide by n)" in paper_tables.T4.caption


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda: paper_tables.find_table("T15"), "T14"),
        (lambda: paper_tables.T2.column("he"), "ei_before"),
        (lambda: paper_tables.T3.row(model=paper_models.QWEN_7B), "3 rows"),
        (lambda: paper_tables.T3.select("he"), "ei_before"),
    ],
)
def test_look_ups_say_what_there_is(look, message):
    with pytest.raises(KeyError, match=message):
        look()
