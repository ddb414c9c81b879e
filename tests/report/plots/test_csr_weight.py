import fake_runs

from jaxent.paper import tables as paper_tables
from jaxent.report import match
from jaxent.report.plots import csr_weight


def lines(axis, label):
    return [line for line in axis.lines if line.get_label() == label]


def test_published_values_alone():
    left, right = csr_weight.draw(match.ResultSet(), published=True).axes
    (line,) = lines(left, "published, one seed")
    assert list(line.get_ydata()) == paper_tables.T11.select("ei_after")
    (line,) = lines(right, "published λ 0.03, the same as at .3")
    assert list(line.get_ydata()) == paper_tables.T12.select("ei", **{"lambda": 0.03})
    assert left.get_title(loc="right") == "measured: not run"
    assert csr_weight.draw(match.ResultSet(), published=False) is None


def test_only_the_tables_runs_stand_beside_them(paper_results):
    left, right = csr_weight.draw(paper_results, published=True).axes
    ends = lines(left, "measured, a seed each")
    assert [line.get_xdata()[0] for line in ends] == [0.03, 0.1, 0.3]
    assert not lines(left, "measured light, a seed each")
    (path,) = lines(right, "λ 0.3")
    assert path.get_xdata()[-1] == 5000 and path.get_ydata()[-1] == ends[2].get_ydata()


def test_a_weight_of_zero_is_at_the_left_end(tmp_path, other_results):
    for weight in (0.0, 0.5):
        fake_runs.run(
            tmp_path,
            "some/tiny",
            "B4",
            settings={"max_steps": 8, "csr_lambda": weight},
            path=((0, 0.6), (8, 0.2)),
        )
    left, _ = csr_weight.draw(other_results(), published=False).axes
    assert left.get_xticks()[0] == 0.003
    assert left.get_xticklabels()[0].get_text() == "0"
    assert left.get_xlabel() == "λ (log scale; 0 at the left end)"
