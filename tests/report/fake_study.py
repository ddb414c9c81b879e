"""The paper's whole study with invented numbers: for tests of the report only."""

import json

import numpy as np
from fake_own_studies import companion_metric, validity
from fake_runs import crosstalk, evaluation, run

from jaxent.paper import models as paper_models


def write_study(root):
    """Numbers near the published ones, but CodeLlama falls and B6 is no worse."""
    rng = np.random.default_rng(0)
    _baselines(root, rng)
    _conditions(root, rng)
    _follow_ups(root)
    domains = {
        "creative": (0.002, -0.01, 0.01),
        "math": (0.09, 0.05, 0.12),
        "logic": (0.09, 0.05, 0.12),
        "medical": (0.17, 0.1, 0.2),
        "legal": (0.3, 0.2, 0.4),
    }
    crosstalk(root, paper_models.HUB[paper_models.QWEN_7B], domains)
    companion_metric(root, paper_models.HUB[paper_models.QWEN_7B])
    validity(root)


def _baselines(root, rng):
    """Every model's B3, over the seeds of the paper."""
    ladder = {
        paper_models.QWEN_7B: ((42, 0, 1), 0.945, 0.64),
        paper_models.QWEN_14B: ((42, 0, 1), 0.81, 0.05),
        paper_models.QWEN_32B: (range(8), 0.622, 0.0),
    }
    others = {
        paper_models.MISTRAL: ((42, 0, 1), 1.044, 0.8),
        paper_models.DEEPSEEK: ((0, 1), 1.374, 1.0),
        paper_models.CODELLAMA: ((0, 1), 0.874, 0.5),
    }
    for model, (seeds, before, after) in (ladder | others).items():
        for seed in seeds:
            end = max(0.0, after + 0.03 * rng.normal()) if after else 0.0
            path = [
                (s, before + (end - before) * min(1, s / 3500))
                for s in range(0, 5001, 500)
            ]
            run(
                root,
                paper_models.HUB[model],
                "B3",
                seed,
                path,
                energy=1.1,
                margin=1.5 if model == paper_models.QWEN_32B else 0.01,
            )


def _conditions(root, rng):
    """The largest model's other conditions, and its coding scores."""
    big = paper_models.HUB[paper_models.QWEN_32B]
    evaluation(root, big, 96, name="he/B0")
    for condition, passes, energy in (
        ("B1", 78, 0.014),
        ("B2", 79, 0.006),
        ("B4", 81, 0.001),
        ("B5", 17, 0.6),
        ("B6", 96, 0.04),
    ):
        seeds = range(3) if condition == "B2" else (0,)
        for seed in seeds:
            path = [
                (s, 0.622 if s == 0 else 0.55 + 0.03 * rng.normal())
                for s in range(0, 5001, 500)
            ]
            folder = run(root, big, condition, seed, path, energy=energy, margin=1.5)
        evaluation(
            root,
            big,
            passes,
            folder.parent / f"{condition}-strong-seed0" / "adapter",
            name=f"he/{condition}",
        )
    evaluation(
        root, big, 60, root / "qwen2.5-coder-32b/B3-strong-seed0/adapter", name="he/B3"
    )


def _follow_ups(root):
    """Weights of the penalty, the light preset and a run that starts from another's."""
    big = paper_models.HUB[paper_models.QWEN_32B]
    for weight, end in ((0.03, 0.5), (0.3, 0.2)):
        run(
            root,
            big,
            "B4",
            0,
            [(s, 0.622 + (end - 0.622) * s / 5000) for s in range(0, 5001, 500)],
            settings={"csr_lambda": weight},
            margin=1.5,
        )
    for condition, end, passes in (("B2", 0.56, 95), ("B4", 0.17, 94)):
        folder = run(
            root, big, condition, 0, [(0, 0.622), (2000, end)], "light", margin=1.5
        )
        evaluation(root, big, passes, folder / "adapter", name=f"he/light-{condition}")
    start = root / "qwen2.5-coder-14b/B3-strong-seed0"
    run(
        root,
        paper_models.HUB[paper_models.QWEN_14B],
        "B2",
        0,
        [(0, 0.279), (500, 0.2), (1000, 0.0), (1500, 0.0)],
        name="qwen2.5-coder-14b/B2-from-B3",
        settings={"adapter": "qwen2.5-coder-14b/B3-strong-seed0", "max_steps": 1500},
        record={
            "start": json.loads((start / "summary.json").read_text())["adapter_hash"]
        },
    )
