import fake_runs
import pytest

from jaxent.paper import models as paper_models
from jaxent.report import classify, departures
from jaxent.runs import records

QWEN = paper_models.HUB[paper_models.QWEN_7B]


@pytest.mark.parametrize(
    ("condition", "settings", "said"),
    [
        ("B4", {"csr_centred": True}, "csr_centred True, not False"),
        ("B3", {"max_train_samples": 100}, "max_train_samples 100, not 50000"),
        ("B3", {"data_root": "/data"}, "texts of /data, not the published data"),
        (
            "own",
            {"mixture": "law:100", "max_train_samples": None, "data_root": "embedded"},
            "own data (law:100)",
        ),
        ("B3", {"eval_steps": 9, "eval_share": 0.05}, "5% of the texts held out"),
        ("B3", {"streaming": True}, "texts streamed, shuffled within windows"),
        (
            "B3",
            {"csr_centred": True, "max_train_samples": 50_000, "data_root": None},
            None,
        ),
        ("B0", {"max_train_samples": 100, "data_root": "embedded"}, None),
    ],
)
def test_texts_and_penalty_are_the_papers(tmp_path, condition, settings, said):
    fake_runs.run(tmp_path, QWEN, condition, 0, settings=settings)
    found = classify.classify_records(records.read_records(tmp_path))
    assert len(found.paper.runs) == (said is None)
    assert [n.text for n in found.notes] == (
        [f"among the other models and settings: {said}"] if said else []
    )


def test_a_setting_that_is_not_stated_counts_as_the_papers():
    assert departures.of_run({"condition": "B3"}) == []
    assert departures.of_run({"condition": "B3"}, continued=True) == []
    light = {"condition": "B2", "intervention": "light", "max_steps": 5000}
    assert departures.of_run(light) == ["max_steps 5000, not 2000"]


def test_a_continued_run_has_its_own_number_of_steps():
    settings = {"condition": "B2", "max_steps": 1500}
    assert departures.of_run(settings, continued=True) == []
    assert departures.of_run(settings) == ["max_steps 1500, not 5000"]


def test_layers_are_named_one_by_one():
    settings = {"condition": "B3", "lora_target_modules": ["q_proj", "v_proj"]}
    [text] = departures.of_run(settings)
    assert text.startswith("lora_target_modules q_proj+v_proj, not q_proj+k_proj+")
