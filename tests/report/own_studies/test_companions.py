import fake_own_studies
import parsed_page

from jaxent.report.own_studies import companions
from jaxent.runs import records


def test_companions_stand_on_both_axes_beside_what_training_did(full, tiny):
    tables = parsed_page.Parsed(full.page).tables

    def row(table, first):
        return next(
            tables[table][i : i + 7]
            for i, (_, text) in enumerate(tables[table])
            if text == first
        )

    texts = [text for _, text in row("own-companions", "math")]
    assert texts == [
        "math",
        "2",
        "0.200",
        "0.450 ± 0.071",
        "0.600",
        "0.04 ± 0",
        "-0.35 ± 0.0707",
    ]
    assert [text for _, text in row("own-companions", "code (the target)")][1:4] == [
        "2",
        "–",
        "0.900 ± 0.000",
    ]
    assert "Undefined in 1 of 2 seeds." in full.page
    assert [text for _, text in row("own-ranks", "math")][:4] == ["math", "3", "2", "1"]
    answer = "Two axes order 3 of 3 pairs rightly, crosstalk alone 1: better."
    assert f"Qwen2.5-Coder-7B: {answer}" in full.page
    assert (
        "own-companions" not in tiny.page
        and "Not run: <code>python experiments/companion_metric.py --check</code>"
        in tiny.page
    )


def metric(tmp_path, folder="companion_metric", **more):
    (tmp_path / folder).mkdir()
    found = fake_own_studies.companion_metric(tmp_path / folder, "some/model") | more
    return records.Metric(folder, "some/model", found)


def test_the_map_has_a_point_for_each_companion_and_quantity(tmp_path):
    one = metric(tmp_path)
    left, right = companions.draw(one.content).axes
    for axis, quantity in ((left, "alignment"), (right, "drop")):
        points = {text.get_text(): text.xy for text in axis.texts}
        assert set(points) == {"math", "natural", "creative"}
        for companion, (x, y) in points.items():
            of = one.content["axes"][companion]
            defined = [v for v in of[quantity] if v is not None]
            assert (x, y) == (of["ct"], sum(defined) / len(defined))


def test_two_records_of_one_model_are_told_apart_by_their_folders(tmp_path):
    both = [metric(tmp_path, "a"), metric(tmp_path, "b")]
    assert companions.model_names(both) == ["model (a)", "model (b)"]
    assert companions.model_names(both[:1]) == ["model"]


def test_without_a_check_nothing_is_judged(tmp_path):
    unchecked = metric(tmp_path, judged=None, worse={})
    ids = [table.id for table in companions.companion_tables([unchecked])]
    assert ids == ["own-companions", "own-ranks"]
    assert companions.answers([unchecked]) == []
