import fake_runs

from jaxent.paper import models as paper_models
from jaxent.report import classify, match
from jaxent.report.plots import families
from jaxent.runs import records


def ladder(root, models, **more):
    for i, model in enumerate(models):
        for seed in (0, 1):
            fake_runs.run(
                root, model, "B3", seed, ((0, 0.6), (5000, 0.5 - 0.1 * i)), **more
            )


def test_ladders_of_other_families_are_by_parameters(tmp_path):
    ladder(
        tmp_path,
        [
            "deepseek-ai/deepseek-coder-33b-base",
            "deepseek-ai/deepseek-coder-1.3b-base",
            "Qwen/Qwen2.5-Coder-0.5B",
            "Qwen/Qwen3-8B",
        ],
    )
    ladder(
        tmp_path,
        [
            paper_models.HUB[paper_models.DEEPSEEK],
            paper_models.HUB[paper_models.QWEN_7B],
            paper_models.HUB[paper_models.CODELLAMA],
        ],
    )
    for model, number in (("a/tiny", 1_000_000), ("a/tiny-small", 300_000)):
        ladder(
            tmp_path,
            [model],
            settings={"steps": 8, "data_root": "embedded"},
            record={"parameters": number},
        )
    placed = classify.classify_records(records.read_records(tmp_path))
    found = families.ladders(placed.other, placed.paper)
    sizes = {
        name: [(size, len(runs)) for size, runs in rungs]
        for name, rungs in found.items()
    }
    assert sizes == {
        "deepseek-coder-base": [(1.3e9, 2), (6.7e9, 2), (33e9, 2)],
        "Qwen2.5-Coder": [(0.5e9, 2), (7e9, 2)],
        "tiny": [(300_000, 2), (1_000_000, 2)],
    }
    left, right = families.draw(placed.other, placed.paper).axes
    assert [text.get_text() for text in left.get_xticklabels()] == [
        "0.3M",
        "1M",
        "500M",
        "1.3B",
        "6.7B",
        "33B",
    ]
    assert families.draw(match.ResultSet(), placed.paper) is None


def test_the_papers_models_stay_out_of_ladders_with_other_settings(tmp_path):
    ladder(
        tmp_path,
        ["Qwen/Qwen2.5-Coder-0.5B", "Qwen/Qwen2.5-Coder-1.5B"],
        settings={"lora_r": 8},
    )
    ladder(tmp_path, [paper_models.HUB[paper_models.QWEN_7B]])
    placed = classify.classify_records(records.read_records(tmp_path))
    (rungs,) = families.ladders(placed.other, placed.paper).values()
    assert [size for size, _ in rungs] == [0.5e9, 1.5e9]
