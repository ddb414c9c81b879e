from jaxent.runs import questions, summary_table
from jaxent.runs import spec as specs


def summary(ei, drift):
    return {
        "after": {"ei": ei},
        "csr_drift": drift and {"total": drift, "outside": drift / 2},
    }


TRUST = summary_table._TRUST.split("\n")


def test_reasons_stand_below_the_table():
    runs = [specs.RunSpec("/x/tiny", seed=seed) for seed in (0, 1)]
    found = [(run, summary(0.5, 0.2)) for run in runs]
    why = "the replicate sets do not agree on the directions of shape"
    found[1][1]["after"] |= {"reasons": {"cvo": why}, "cvo": None}
    rows = summary_table.summarise_runs(found, ("model", "seed"), ("CVO", "EI"))
    lines = summary_table.format_summary(rows, ("model", "seed"), (("CVO", "EI"),))
    assert f"CVO is undefined: {why} (1)." in lines


def test_means_over_seeds_by_cell():
    runs = questions.csr_lambda(["/x/tiny"], (0, 1), (0.1, 0.3))
    found = list(
        zip(
            runs,
            [
                summary(0.5, 0.2),
                summary(0.7, None),
                summary(None, None),
                summary(None, None),
            ],
        )
    )
    by, quantities = ("model", "csr_lambda"), ("EI", "outside")
    cells = summary_table.summarise_runs(found, by, quantities)
    assert [c["seeds"] for c in cells] == [[0, 1], [0, 1]] and cells[1]["EI"] is None
    assert summary_table.format_summary(cells, by, (("EI",), ("outside",))).split(
        "\n"
    ) == [
        "model tiny",
        "",
        "csr_lambda  seeds          EI",
        "-----------------------------",
        "0.1             2  0.6 ± 0.14",
        "0.3             2           -",
        "",
        "csr_lambda  seeds  outside",
        "--------------------------",
        "0.1             2  0.1 (1)",
        "0.3             2        -",
        "",
        *TRUST,
    ]
    assert summary_table.format_summary([], by, (quantities,)) == "No run is finished."


def test_means_over_seeds_by_step():
    def of(seed, *values):
        run = specs.RunSpec("/x/tiny", "B3", seed=seed)
        return run, [{"step": s, "ei": v, "drift": None} for s, v in values]

    found = [of(0, (0, 1.0), (500, 0.5)), of(1, (0, 1.0), (500, 0.7), (900, 0.1))]
    other = (specs.RunSpec("/x/tiny", "B2"), [{"step": 0, "ei": 1.0, "drift": None}])
    rows = summary_table.summarise_steps(
        [*found, other], ("condition",), ("EI", "EI change")
    )
    assert summary_table.format_summary(
        rows, ("condition", "step"), (("EI", "EI change"),)
    ).split("\n") == [
        "condition, step  seeds          EI    EI change",
        "-----------------------------------------------",
        "B3, 0                2       1 ± 0        0 ± 0",
        "B3, 500              2  0.6 ± 0.14  -0.4 ± 0.14",
        "B3, 900              1         0.1         -0.9",
        "B2, 0                1           1            0",
        "",
        *TRUST,
    ]
