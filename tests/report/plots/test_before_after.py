import fake_runs
import pytest

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import before_after


def heights(axis):
    """The heights of the bars by label."""
    by_label = {}
    for container in axis.containers:
        if hasattr(container, "patches"):
            by_label.setdefault(container.get_label(), []).append(
                container.patches[0].get_height()
            )
    return by_label


def test_published_bars_alone():
    (axis,) = before_after.architectures(match.ResultSet()).axes
    bars = heights(axis)
    assert set(bars) == {"published, before", "published, after"}
    rows = paper_tables.T5.rows
    assert bars["published, after"] == [row.values["ei_after"] for row in rows]
    assert [text.get_text() for text in axis.texts] == ["not\nrun"] * len(rows)


def test_measured_bars_beside_published_ones(paper_results):
    (axis,) = before_after.architectures(paper_results).axes
    bars = heights(axis)
    assert len(bars["measured, before"]) == len(paper_tables.T5.rows)
    assert bars["measured, before"][0] == pytest.approx(0.945) and not axis.texts


def test_many_groups_are_in_rows_of_like_length(tmp_path, other_results):
    for number in range(9):
        fake_runs.run(
            tmp_path,
            f"some/model{number}",
            "B3",
            path=((0, 0.6), (8, 0.25)),
            settings={"max_steps": 8},
        )
    axes = before_after.responses(other_results()).axes
    assert [len(axis.get_xticks()) for axis in axes] == [5, 4]
    assert axes[0].get_xlim() == axes[1].get_xlim()
    assert heights(axes[1]) == {"_nolegend_": [0.6, 0.25] * 4} or [
        patch.get_height() for patch in axes[1].patches
    ] == pytest.approx([0.6, 0.25] * 4)


def test_without_training_there_is_nothing():
    assert before_after.responses(match.ResultSet()) is None
