import fake_runs

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import reversibility


def by_label(axis):
    return {line.get_label(): line for line in axis.lines}


def test_published_values_alone():
    (axis,) = reversibility.draw(match.ResultSet(), published=True).axes
    line = by_label(axis)["published B2 after B3 (14B, seed 0)"]
    assert list(line.get_ydata()) == paper_tables.T13.select("ei")
    assert axis.get_title(loc="right") == "measured: not run"
    assert reversibility.draw(match.ResultSet(), published=False) is None


def test_the_first_training_ends_at_step_zero(paper_results):
    ei, sei = reversibility.draw(paper_results, published=True).axes
    first, second = by_label(ei)["B3"], by_label(ei)["B2 on top"]
    assert first.get_xdata()[0] == -5000 and first.get_xdata()[-1] == 0
    assert list(second.get_xdata()) == [0, 500, 1000, 1500]
    assert list(second.get_ydata()) == [0.279, 0.2, 0.0, 0.0]
    assert "published B2 after B3 (14B, seed 0)" not in by_label(sei)


def test_other_pairs_are_drawn_without_published_values(tmp_path, other_results):
    short = {"max_steps": 8}
    path = ((0, 0.6), (8, 0.2))
    fake_runs.run(tmp_path, "some/tiny", "B1", name="a", settings=short, path=path)
    continued = short | {"adapter": "a"}
    fake_runs.run(tmp_path, "some/tiny", "B5", name="b", settings=continued, path=path)
    ei, _ = reversibility.draw(other_results(), published=False).axes
    assert {"B1", "B5 on top"} <= set(by_label(ei))
