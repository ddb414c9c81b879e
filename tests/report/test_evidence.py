import fake_runs
import numpy as np
import pytest

from jaxent.paper import models as paper_models
from jaxent.report import classify, evidence, match
from jaxent.runs import records

KEY = {"model": paper_models.QWEN_7B, "condition": "B3", "intervention": "strong"}


def results(root, paths):
    model = paper_models.HUB[paper_models.QWEN_7B]
    for seed, path in enumerate(paths):
        fake_runs.run(root, model, "B3", seed, path, energy=0.1 * (seed + 1))
    return classify.classify_records(records.read_records(root)).paper


def test_a_sample_is_one_value_a_seed_and_a_replicate_set(tmp_path):
    paper = results(tmp_path, [((0, 0.6), (5000, 0.3)), ((0, 0.6), (5000, 0.5))])
    sample = evidence.get_sample(paper, "ei_after", KEY)
    assert sample.values.tolist() == [0.3, 0.5] and sample.sets.shape == (8,)
    assert sample.text == "Qwen-7B B3: 0.4 ± 0.141 (2 seeds)"
    before = evidence.measure_sample(paper, "ei", KEY, "before")
    assert before.values.tolist() == [0.6, 0.6] and before.name.endswith(" before")
    energy = evidence.get_sample(paper, "sv_energy", KEY)
    assert energy.values == pytest.approx([0.1, 0.2])
    base = evidence.get_sample(paper, "ei_before", KEY | {"condition": "B0"})
    assert base.values.tolist() == [0.6] and not base.trained


def test_what_is_missing_is_named(tmp_path):
    paper = results(tmp_path, [((0, 0.6), (5000, None))])
    for metric, key, reason in (
        ("ei_after", KEY, "is undefined: 4 own-concept flips"),
        ("ei", KEY | {"step": 700}, "was not measured at step 700"),
        ("he_plus", KEY, "was not evaluated on HumanEval"),
        ("ei_after", KEY | {"condition": "B2"}, "Qwen-7B B2 was not run"),
        ("ct", KEY, "natural language is no domain"),
    ):
        with pytest.raises(evidence.MissingError, match=reason):
            evidence.get_sample(paper, metric, key)
    with pytest.raises(evidence.MissingError, match="was not measured"):
        evidence.get_sample(match.ResultSet(), "margin", KEY)


@pytest.mark.parametrize(
    ("path", "first", "recovered"),
    [
        ((0.6, 0.0, 0.0), 500.0, 0.0),
        ((0.6, 0.0, 0.2), np.inf, 0.0),
        ((0.0, 0.2, 0.0), 1000.0, 1.0),
        ((0.6, 0.5, 0.2), np.inf, 0.0),
    ],
)
def test_when_ei_reaches_zero_for_good(tmp_path, path, first, recovered):
    steps = [(500 * i, value) for i, value in enumerate(path)]
    paper = results(tmp_path, [steps])
    [run] = evidence.find_runs(paper, KEY)
    assert evidence.steps_to_zero(run.record) == first
    assert evidence.get_sample(paper, "recovers", KEY).values.tolist() == [recovered]
