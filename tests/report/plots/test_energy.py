import fake_runs

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import energy


def points(axis, label):
    return [
        (line.get_xdata()[0], line.get_ydata()[0])
        for line in axis.lines
        if line.get_label() == label
    ]


def test_published_points_alone():
    (axis,) = energy.draw(match.ResultSet(), published=True).axes
    rows = paper_tables.T10.rows
    wanted = [(row.values["sv_energy"], row.values["he_plus"]) for row in rows]
    assert points(axis, "published") == wanted and axis.get_xscale() == "log"
    assert axis.get_title(loc="right") == "measured: not run"
    assert energy.draw(match.ResultSet(), published=False) is None


def test_measured_points_have_their_conditions_names(paper_results):
    (axis,) = energy.draw(paper_results, published=True).axes
    measured = points(axis, "measured")
    assert (0.014, 100 * 78 / 164) in measured  # B1
    names = [text.get_text() for text in axis.texts]
    assert len(names) == len(paper_tables.T10.rows) + len(measured)


def test_an_adapter_without_energy_has_no_point(tmp_path, other_results):
    for condition, value in (("B1", 0.5), ("B2", 0.0)):
        settings = {"max_steps": 8}
        folder = fake_runs.run(
            tmp_path, "some/tiny", condition, energy=value, settings=settings
        )
        fake_runs.evaluation(
            tmp_path, "some/tiny", 2, folder / "adapter", name=condition, problems=8
        )
    (axis,) = energy.draw(other_results(), published=False).axes
    assert points(axis, "B1") == [(0.5, 25.0)] and not points(axis, "B2")
