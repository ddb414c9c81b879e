import json

import fake_own_studies
import matplotlib.colors
import parsed_page

from jaxent.report.own_studies import validity
from jaxent.report.plots import style
from jaxent.runs import records


def test_estimators_stand_beside_the_truth(full, tiny):
    cells = [text for _, text in parsed_page.Parsed(full.page).tables["own-validity"]]
    assert (
        "0.500 ± 0.050" in cells
        and "undefined" in cells
        and "Undefined in 1 of 4 draws." in full.page
    )
    assert "0.950" in [
        text for _, text in parsed_page.Parsed(full.page).tables["own-coverage"]
    ]
    assert "Not run: <code>python experiments/estimator_validity.py</code>" in tiny.page


def study(tmp_path):
    fake_own_studies.validity(tmp_path)
    text = (tmp_path / "validity" / "validity.json").read_text()
    return records.Validity("validity", json.loads(text))


def test_the_panel_has_the_truth_and_every_estimator(tmp_path):
    drawn = validity.draw(study(tmp_path).content["panels"])
    axis = drawn.axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    assert list(lines["truth"].get_ydata()) == [0.3, 0.9]
    assert list(lines["CVO"].get_ydata()) == [0.3, 0.9]
    assert list(lines["SEI"].get_ydata()) == [0.6, 0.6]


def test_hollow_markers_are_undefined_in_some_draws(tmp_path):
    drawn = validity.draw(study(tmp_path).content["panels"])
    ei = style.COLORS[list(style.ESTIMATORS).index("ei")]
    points = [
        line
        for line in drawn.axes[0].lines
        if line.get_color() == ei and line.get_marker() == "o"
    ]
    faces = [matplotlib.colors.to_hex(p.get_markerfacecolor()) for p in points]
    assert faces == ["#ffffff", "#ffffff"] and len(points) == 2


def test_two_studies_are_told_apart_by_their_folders(tmp_path):
    one = study(tmp_path)
    heads = [h.text for h in validity.validity_tables([one])[0].heads]
    assert "folder" not in heads
    points, covered = validity.validity_tables([one, one])
    assert points.heads[0].text == covered.heads[0].text == "folder"
