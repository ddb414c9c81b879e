import pytest

from jaxent.paper import models as paper_models
from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import ladder


def labelled(axis):
    """The x and y of every drawn mean, by label."""
    points = {}
    for container in axis.containers:
        line = container.lines[0]
        points.setdefault(container.get_label(), []).append(
            (line.get_xdata()[0], line.get_ydata()[0])
        )
    return points


def test_published_means_alone():
    (axis,) = ladder.draw(match.ResultSet()).axes
    points = labelled(axis)
    assert set(points) == {"published, before (SD)", "published, after (SD)"}
    before = [row.values["ei_before"] for row in paper_tables.T2.rows]
    assert [y for _, y in points["published, before (SD)"]] == before
    assert [text.get_text() for text in axis.texts] == ["not run"] * 3


def test_measured_means_beside_published_ones(paper_results):
    (axis,) = ladder.draw(paper_results).axes
    points = labelled(axis)["measured, after (SD)"]
    assert [x for x, _ in points] == [0.18, 1.18, 2.18] and not axis.texts
    runs = [p for p in paper_results.finished if p.key["condition"] == "B3"]
    last = [
        run.record.after.value("ei")
        for run in runs
        if run.key["model"] == paper_models.QWEN_7B
    ]
    assert len(last) == 3 and points[0][1] == pytest.approx(sum(last) / 3)
    assert points[2][1] == 0
