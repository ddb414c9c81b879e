import matplotlib.image
import matplotlib.pyplot as plt
import parsed_page

from jaxent.paper import tables as paper_tables
from jaxent.report import figures, match


def test_every_figure_is_drawn_and_on_the_page(full, tiny):
    def stems(written):
        return {p.stem for p in (written.out / "figures").glob("*.png")}

    expected = {
        "scale-ladder",
        "cross-architecture",
        "crosstalk",
        "humaneval",
        "sv-energy",
        "lambda",
        "reversibility",
        "trajectory-qwen25-coder-32b",
    }
    assert expected | {
        "damage-1",
        "damage-6",
        "own-companions-1",
        "own-validity-1",
    } <= stems(full)
    assert expected | {
        "other-responses",
        "other-ladder",
        "other-trajectory-1",
        "other-crosstalk",
        "other-humaneval",
        "other-lambda",
        "other-damage-1",
    } <= stems(tiny)
    for written in (full, tiny):
        ids = parsed_page.Parsed(written.page).ids
        for png in (written.out / "figures").glob("*.png"):
            image = matplotlib.image.imread(png)
            assert f"figure-{png.stem}" in ids and png.with_suffix(".svg").is_file()
            assert min(image.shape[:2]) > 200 and image[..., :3].std() > 0.03
        assert not list(written.out.rglob("*.partial*"))


def test_without_runs_the_published_values_are_drawn():
    drawn = {}
    for figure in figures.paper_figures(match.ResultSet()):
        drawn[figure.id] = (figure.drawn is not None, figure.after)
        plt.close(figure.drawn)
    assert drawn == {
        "scale-ladder": (True, "T3"),
        "trajectory-qwen25-coder-32b": (True, "T4"),
        "cross-architecture": (True, "T6"),
        "crosstalk": (True, "T8"),
        "humaneval": (True, "T9"),
        "sv-energy": (True, "T10"),
        "lambda": (True, "T12"),
        "reversibility": (True, "T14"),
    }
    assert {after for _, after in drawn.values()} <= {t.id for t in paper_tables.TABLES}


def test_without_runs_nothing_else_is_drawn():
    others = list(figures.other_figures(match.ResultSet()))
    assert others and all(figure.drawn is None for figure in others)
