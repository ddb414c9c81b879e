import math

import matplotlib.colors
import numpy as np
import pytest

from jaxent.report.plots import style


@pytest.mark.parametrize(
    ("condition", "color"),
    [("B0", "#333333"), ("B3", "#d1602c"), ("B3>B2", "#8a4f9e"), ("new", "#555555")],
)
def test_every_condition_has_its_colour(condition, color):
    assert style.color(condition) == color


def test_an_undefined_value_leaves_a_gap():
    assert math.isnan(style.number(None)) and style.number(0.5) == 0.5


def test_files_are_the_same_each_time_and_complete(tmp_path):
    for name in ("a", "b"):
        drawn, ((axis,),) = style.figure()
        axis.plot([1, 2], [3, 4])
        style.save(drawn, tmp_path / name)
    for kind in ("png", "svg"):
        first, second = (tmp_path / f"{name}.{kind}" for name in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_matrix_is_written_in_its_cells():
    _, ((axis,),) = style.figure()
    style.heat(axis, [[0.5, -0.001], [math.nan, -1.0]], ["a", "b"], ["c", "d"])
    texts = {text.get_position(): text for text in axis.texts}
    assert {at: text.get_text() for at, text in texts.items()} == {
        (0, 0): "0.50",
        (1, 0): "0.00",
        (0, 1): "-",
        (1, 1): "-1.00",
    }
    # White on the darkest cell only.
    assert [at for at, text in texts.items() if text.get_color() == "white"] == [(1, 1)]
    assert axis.images[0].get_clim() == (-1.0, 1.0)
    assert np.ma.is_masked(axis.images[0].get_array()[1, 0])


def test_boxes_are_around_the_dominant_concepts():
    _, ((axis,),) = style.figure()
    style.box_dominant_concepts(axis, [2, 0], linewidth=1)
    assert [box.get_xy() for box in axis.patches] == [(1.5, -0.5), (-0.5, 0.5)]


def test_a_legend_has_every_label_once():
    _, ((axis, empty),) = style.figure(1, 2)
    for _ in range(2):
        axis.plot([0], [0], label="published")
    axis.plot([0], [0], label="measured")
    style.legend(axis)
    style.legend(empty)
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == ["published", "measured"] and empty.get_legend() is None


def test_the_line_at_zero_is_below_everything():
    _, ((axis,),) = style.figure()
    style.finish(axis, "Title", "EI")
    (line,) = axis.lines
    assert list(line.get_ydata()) == [0, 0] and line.get_zorder() == 0
    assert matplotlib.colors.to_hex(line.get_color()) == style.LINE
    assert axis.get_title(loc="left") == "Title" and axis.get_ylabel() == "EI"
