import fake_runs

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import crosstalk


def points(axis, label):
    return [
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axis.lines
        if line.get_label() == label
    ]


def test_published_pairs_alone():
    (axis,) = crosstalk.draw(match.ResultSet(), published=True).axes
    wanted = [row.values["ct"] for row in paper_tables.T8.rows]
    assert [x for x, _ in points(axis, "published")] == wanted
    assert axis.get_title(loc="right") == "measured: not run"
    assert crosstalk.draw(match.ResultSet(), published=False) is None


def test_measured_pairs_are_on_the_lines_of_the_published_ones(paper_results):
    left, right = crosstalk.draw(paper_results, published=True).axes
    assert left.get_title(loc="left") == "Recall lost, Qwen-7B B0"
    names = [text.get_text() for text in right.get_yticklabels()]
    measured = points(right, "measured (95% over sets)")
    of_name = {names[round(y + 0.15)]: x for x, y in measured}
    assert of_name == {
        "creative": 0.002,
        "math": 0.09,
        "logic": 0.09,
        "medical": 0.17,
        "legal": 0.3,
    }


def test_an_undefined_pair_is_said_to_be_so(tmp_path, other_results):
    pairs = {"math": (0.1, None, None), "legal": (None, None, None)}
    fake_runs.crosstalk(tmp_path, "some/tiny", pairs)
    _, right = crosstalk.draw(other_results(), published=False).axes
    assert [text.get_text() for text in right.texts] == ["undefined"]
    assert [x for x, _ in points(right, "measured (95% over sets)")] == [0.1]
    assert not points(right, "published")
