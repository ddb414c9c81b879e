import fake_runs
import pytest

from jaxent.runs import conclusions, quantities, records


def test_what_could_not_be_read_is_named(tiny):
    said = {n.path: n.text for n in tiny.found.unread}
    assert set(said) == {
        "broken/run.json",
        "broken/notes.docx",
        "foreign/crosstalk.json",
        "tiny/B6-strong-seed0/summary.json",
        next(p for p in said if "B3-strong-seed1" in p),
    }
    assert (
        all(path in tiny.page for path in said)
        and "unfinished, at step 8 of 8" in said["tiny/B6-strong-seed0/summary.json"]
    )
    assert len(tiny.found.runs) == 6 and len(tiny.placed.other.finished) == 5
    assert "holds a list, expected an object" in said["foreign/crosstalk.json"]


def test_an_earlier_report_among_the_runs_is_left_out(full):
    assert records.read_records(full.out) == records.Collection(*[()] * 9)


def test_the_interval_of_the_margin_is_the_weakest_concepts():
    spans = {
        "margin.shape": {"mean": 0.1, "low": 0.05, "high": 0.15, "sets": 8},
        "margin.domain": {"mean": 1, "low": 0.9, "high": 1.1, "sets": 8},
    }
    found = quantities.Measured(
        0, fake_runs.measurement(intervals=spans, weakest="shape")
    )
    assert (
        found.interval("margin") == (0.05, 0.15)
        and found.interval("domain_accuracy") is None
    )


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (1, "2 companions cannot decide it: any order is right by chance once in 2"),
        (3, "3 companions cannot decide it: any order is right by chance once in 6"),
        (6, "4 companions: any order is right by chance once in 24"),
    ],
)
def test_the_answer_counts_the_companions(pairs, said):
    assert f"{said} times" in conclusions.companion_answer(
        {name: {"right": pairs, "pairs": pairs} for name in ("two axes", "crosstalk")}
    )


def test_a_metric_of_another_form_is_named(tmp_path):
    (tmp_path / "study.json").write_text(
        '{"study": "companion_metric", "runs": [], "metric": {"m": {"axes": {}}}}'
    )
    found = records.read_records(tmp_path)
    assert not found.metrics and [note.text for note in found.unread] == [
        "lacks 'question'"
    ]
