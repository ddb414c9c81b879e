"""Verdicts on records of known answer: shared by the tests of verdicts."""

import fake_runs

from jaxent.paper import claims
from jaxent.paper import models as paper_models
from jaxent.report import classify, verdicts
from jaxent.runs import records

HUB, SEEDS = paper_models.HUB, range(4)


def decide(root, *ids):
    shelf = classify.classify_records(records.read_records(root)).paper
    found = [verdicts.decide(claims.find_claim(id), shelf) for id in ids]
    return [v.outcome for v in found] if len(ids) > 1 else found[0]


def ladder(root, ends, seeds=SEEDS, before=(0.9, 0.7, 0.5), noise=0.02, **more):
    for model, start, end in zip(
        (paper_models.QWEN_7B, paper_models.QWEN_14B, paper_models.QWEN_32B),
        before,
        ends,
    ):
        for seed in seeds:
            own = end + noise * (seed - 1.5) if end else 0.0
            fake_runs.run(
                root,
                HUB[model],
                "B3",
                seed,
                ((0, start), (2500, more.get("middle", start)), (5000, own)),
            )


SUPPORTED, CONTRADICTED, UNDECIDED = (
    verdicts.SUPPORTED,
    verdicts.CONTRADICTED,
    verdicts.UNDECIDED,
)


def conditions(
    root, passes, energies=None, model=paper_models.QWEN_32B, intervention="strong"
):
    fake_runs.evaluation(root, HUB[model], 96, name="B0")
    for condition, number in passes.items():
        folder = fake_runs.run(
            root,
            HUB[model],
            condition,
            0,
            intervention=intervention,
            energy=(energies or {}).get(condition, 0.01),
        )
        fake_runs.evaluation(
            root, HUB[model], number, folder / "adapter", name=f"he-{condition}"
        )
