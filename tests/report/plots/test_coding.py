import fake_runs
import pytest

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import coding
from jaxent.stats import proportions


def bars(axis):
    """The bars by label."""
    by_label = {}
    for container in axis.containers:
        for patch in getattr(container, "patches", ()):
            by_label.setdefault(container.get_label(), []).append(patch)
    return by_label


def test_published_scores_alone():
    left, right = coding.by_condition(match.ResultSet()).axes
    rows = paper_tables.T9.rows
    heights = [bar.get_height() for bar in bars(left)["published HumanEval+"]]
    assert heights == [row.values["he_plus"] for row in rows]
    assert left.get_title(loc="right") == "measured: not run"
    assert len(right.containers) == len(rows) - 1  # the base has no difference


def test_measured_scores_beside_published_ones(paper_results):
    left, right = coding.by_condition(paper_results).axes
    heights = [bar.get_height() for bar in bars(left)["measured (95% Wilson)"]]
    assert heights[0] == pytest.approx(100 * 96 / 164)
    labels = [text.get_text() for text in left.get_xticklabels()]
    assert labels == [row.key["condition"] for row in paper_tables.T9.rows]
    assert any(c.get_label() == "measured (95%, paired)" for c in right.containers)
    assert left.get_title(loc="right") == ""


def test_other_evaluations_have_a_line_each(tmp_path, other_results):
    adapter = fake_runs.run(tmp_path, "some/tiny", "B3", settings={"max_steps": 8})
    fake_runs.evaluation(tmp_path, "some/tiny", 3, name="base", problems=8)
    fake_runs.evaluation(
        tmp_path, "some/tiny", 1, adapter / "adapter", name="tuned", problems=8
    )
    left, right = coding.by_evaluation(other_results()).axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == ["tiny B0 ", "tiny B3 strong seed 0"]
    assert left.get_xlabel() == "% of 8 problems (95% Wilson)"
    shares = [container.lines[0].get_xdata()[0] for container in left.containers]
    assert shares[1] == pytest.approx(37.5) and shares[3] == pytest.approx(12.5)
    ends = left.containers[1].lines[2][0].get_segments()[0][:, 0]
    wilson = proportions.wilson(3, 8)
    assert list(ends) == pytest.approx([100 * wilson.low, 100 * wilson.high])
    assert right.containers[0].lines[0].get_xdata()[0] == pytest.approx(-25)
    assert coding.by_evaluation(match.ResultSet()) is None


def test_foreign_problems_and_different_numbers_are_named(tmp_path, other_results):
    fake_runs.evaluation(tmp_path, "some/a", 3, problems=8, of="Own", name="a")
    left, _ = coding.by_evaluation(other_results()).axes
    assert "of 8 problems that are not the benchmark's" in left.get_xlabel()
    fake_runs.evaluation(tmp_path, "some/b", 3, problems=4, name="b")
    left, _ = coding.by_evaluation(other_results()).axes
    assert left.get_xlabel() == "% (95% Wilson)"
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == ["a B0  (8 problems)", "b B0  (4 problems)"]
