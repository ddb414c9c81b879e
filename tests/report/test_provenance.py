from jaxent.report import grid, provenance


def test_provenance_is_of_every_record(full):
    rows = [
        [cell.text for cell in row]
        for row in provenance.table(provenance.sources(full.placed, full.found)).rows
    ]

    def of(kind):
        return next(row for row in rows if row[1] == kind)

    assert of("crosstalk")[4:] == [
        "0badc0de0bad",
        "–",
        "beef",
        "1" * 12 + "-dirty",
        "H100",
        "1.5 min",
    ]
    assert of("metric")[2] == "Qwen2.5-Coder-7B" and of("validity")[2].endswith(
        "seed 7"
    )
    assert {row[1] for row in rows} == {
        "run",
        "evaluation",
        "crosstalk",
        "metric",
        "validity",
    }
    assert "python experiments/crosstalk.py --probes=hexad" in full.page


def source(kind="run", **about):
    return provenance.Source("a", kind, "", "", about)


def device(**about):
    """The device of a record as the table says it."""
    return provenance.table([source(device="H100", **about)]).rows[0][8].text


def test_provenance_says_how_many_devices_and_processes():
    assert device() == device(devices=1, processes=1) == "H100"
    assert device(devices=8, processes=1) == "8 x H100"
    assert device(devices=8, processes=2) == "8 x H100, 2 processes"
    (row,) = provenance.table([source(device=None, devices=8)]).rows
    assert row[8].text == grid.NOTHING


def test_durations_have_a_unit():
    (*rows,) = provenance.table([source(seconds=s) for s in (0, 59, 90, 7200)]).rows
    assert [row[9].text for row in rows] == [grid.NOTHING, "59 s", "1.5 min", "2.0 h"]


def test_commands_are_quoted_for_the_shell():
    assert provenance.commands([source(), source(command=["a.py", "--x=b c"])]) == [
        ("a", "a.py '--x=b c'")
    ]


def test_records_are_counted_by_versions():
    every = [source(versions={"jax": "1"}), source(versions={"jax": "1"}), source()]
    assert provenance.versions(every) == [
        ("2 records", "jax 1"),
        ("1 record", "not recorded"),
    ]
