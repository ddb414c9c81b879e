import fake_runs

from jaxent.paper import models as paper_models
from jaxent.report import match
from jaxent.report.plots import damage


def titles(drawn):
    return [axis.get_title(loc="left") for axis in drawn.axes if axis.axison]


def test_the_base_then_the_first_seed_of_each_condition(paper_results):
    drawn = damage.draw(paper_results, paper_models.QWEN_32B)
    shown = titles(drawn)
    assert shown[0] == "base" and len(shown) == len(set(shown))
    assert {"B3, seed 0", "B4 λ 0.03, seed 0", "B2 light, seed 0"} <= set(shown)
    assert not any(title.startswith("B3, seed 1") for title in shown)
    assert damage.draw(match.ResultSet(), paper_models.QWEN_32B) is None


def test_all_panels_have_one_scale(tmp_path, other_results):
    one = {"settings": {"max_steps": 8}, "path": ((0, 0.6), (8, 0.2))}
    fake_runs.run(tmp_path, "some/tiny", "B1", **one)
    fake_runs.run(tmp_path, "some/tiny", "B2", damage=[[-0.5, 0.1, 0.1]] * 8, **one)
    drawn = damage.draw(other_results(), "tiny")
    assert titles(drawn) == ["base", "B1, seed 0", "B2, seed 0"]
    limits = {axis.images[0].get_clim() for axis in drawn.axes if axis.images}
    assert limits == {(-0.5, 0.5)}
    assert len(drawn.axes[0].patches) == 8
