"""The companion metric of one model: `transfer`'s two axes and, with a check, what training with each companion did.

`examine` gives the record that study.json keeps and the report reads; `text` is the record for people.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Sequence

from jaxent.checkpoint import peft
from jaxent.companion import transfer
from jaxent.data import corpora, mix
from jaxent.measure import concepts
from jaxent.runs import base_model, conclusions, console, questions, queue, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs
from jaxent.stats import proportions

NAME = "companion_metric"
CONDITIONS = {
    "math": "B2",
    "natural": "B3",
    "creative": "B6",
}  # the condition that trains code beside each


@dataclasses.dataclass(frozen=True)
class Question:
    """What is measured: companions (domains) for a target domain; lists of results have one value a seed.

    batches: optimizer steps' worth of examples in a gradient. few_steps: steps on a companion alone. held_out: texts of the
    target. check: train B1 and the companions' conditions too. ValueError for domains that there are not, or a check without code.
    """

    target: str
    companions: tuple[str, ...]
    seeds: tuple[int, ...]
    batches: int
    few_steps: int
    held_out: int
    check: bool

    def __post_init__(self):
        if wrong := [
            c for c in self.companions if c not in mix.DOMAINS or c == self.target
        ]:
            raise ValueError(
                f"--companions {wrong[0]}: expected domains other than the target, of {', '.join(mix.DOMAINS)}"
            )
        if self.check and self.target != "code":
            raise ValueError(
                f"--check with --target {self.target}: expected code, the conditions' own target"
            )

    def runs(self, model: str, settings: dict) -> list[specs.RunSpec]:
        """What the check trains."""
        conditions = (
            ["B1", *(CONDITIONS[c] for c in self.companions)] if self.check else []
        )
        return [
            run
            for c in conditions
            for run in questions.runs(model, c, "strong", self.seeds, settings)
        ]

    def planned(self, model: str, settings: dict) -> list[specs.RunSpec]:
        """A run that costs about as much as the metric, and what the check trains."""
        number = len(self.companions)
        steps = len(self.seeds) * (
            self.batches * (number + 1) + self.few_steps * number
        )
        (metric,) = questions.runs(
            model, "B1", "strong", (0,), settings, steps=steps, measure_steps=steps
        )
        return [
            dataclasses.replace(metric, intervention="metric"),
            *self.runs(model, settings),
        ]


def examine(
    question: Question,
    model: str,
    settings: dict,
    out: pathlib.Path,
    before: dict | None = None,
) -> tuple[dict, list[run_outcomes.Outcome]]:
    """The record of a model, as plain JSON, and the outcomes of the check's runs, which are in `out`.

    before: an earlier record of the model, given back where it answers the same.

    question, axes (of `transfer.measure`), scores and ranks by predictor and companion; before: the target's held-out loss in
    nats a token; conditions: what trains each companion; worse: what the loss rose by, by condition; judged: `transfer.judged`
    by predictor, None where runs are missing; and where it comes from.
    """
    started, run = time.perf_counter(), specs.RunSpec(model, **settings)
    checked = validate.validate_run(run)
    corpora.check_sources((question.target, *question.companions), run.data_root)
    outcomes = queue.run_all(question.runs(model, settings), out)
    asked = concepts.to_plain(
        {
            "question": dataclasses.asdict(question),
            "settings": run.to_json(),
            **validate.hashes(checked.checkpoint),
        }
    )
    complete = before and (before["judged"] or not question.check)
    if complete and asked == {name: before.get(name) for name in asked}:
        return before, outcomes
    bench = _bench(question, checked)
    axes = transfer.measure(
        bench,
        question.target,
        question.companions,
        question.seeds,
        question.batches,
        question.few_steps,
    )
    bare = transfer.loss(bench.base, bench.rows)
    scores, worse = (
        transfer.scores(axes, question.companions),
        _worse(bench, outcomes, bare),
    )
    measured = {c: worse.get(CONDITIONS.get(c), []) for c in question.companions}
    whole = all(len(v) == len(question.seeds) for v in measured.values())
    found = {
        **asked,
        "axes": {domain: dataclasses.asdict(axis) for domain, axis in axes.items()},
        "scores": scores,
        "ranks": {name: _ranks(values) for name, values in scores.items()},
        "before": bare,
        "conditions": {
            c: CONDITIONS[c] for c in question.companions if c in CONDITIONS
        },
        "worse": worse,
        "judged": {
            name: transfer.judged(predicted, measured)
            for name, predicted in scores.items()
        }
        if whole
        else None,
        **validate.provenance(checked.checkpoint, started),
    }
    return concepts.to_plain(found), outcomes


def recorded(out: pathlib.Path) -> dict[str, dict]:
    """By model: what earlier studies in `out` found."""
    file = out / NAME / run_folder.STUDY
    return run_folder.read_json(file).get("metric", {}) if file.is_file() else {}


def _ranks(scores: dict[str, float]) -> dict[str, int | None]:
    """1 is best, ties share a rank; None where a score is NaN."""
    return {
        c: None if math.isnan(v) else 1 + sum(other > v for other in scores.values())
        for c, v in scores.items()
    }


def _bench(question: Question, checked: validate.ValidatedRun) -> transfer.Bench:
    base, run = base_model.BaseModel(checked), checked.run
    where = base.tokenizer, checked.length, run.data_root, run.max_train_samples
    rows = transfer.held_out(question.target, *where, question.held_out)
    corpus = corpora.load_corpus(
        (question.target, *question.companions), *where, progress=True
    )
    return transfer.Bench(base, run, corpus, checked.length, rows)


def _worse(
    bench: transfer.Bench, outcomes: Sequence[run_outcomes.Outcome], before: float
) -> dict[str, list[float]]:
    """By condition: how far its runs raised the held-out loss, seed by seed."""
    found = {outcome.run.condition: [] for outcome in outcomes}
    for outcome in outcomes:
        if outcome.state != "failed":
            adapter = peft.load_adapter(
                str(run_folder.RunFolder(outcome.folder).adapter),
                bench.base.model.config,
            )
            found[outcome.run.condition].append(
                transfer.loss(bench.base, bench.rows, adapter) - before
            )
    return found


def text(model: str, found: dict) -> str:
    """Axes, then ranks, then what the check measured and how each predictor ordered it."""
    question, axes, ranks = found["question"], found["axes"], found["ranks"]
    drawn = [
        [d, a["ct"], *(_spread(a[name]) for name in ("cosine", "alignment", "drop"))]
        for d, a in axes.items()
    ]
    parts = [
        f"{pathlib.Path(model).name}: held-out {question['target']} loss {found['before']:.3f} nats a token; last row: the target itself",
        console.format_table(
            [
                "companion",
                "crosstalk",
                "cosine",
                "alignment",
                f"drop in {question['few_steps']} steps",
            ],
            drawn,
        ),
        console.format_table(
            ["rank", *ranks],
            [[c, *(of[c] for of in ranks.values())] for c in question["companions"]],
        ),
    ]
    if found["worse"]:
        rows = [
            [condition, _spread(values)] for condition, values in found["worse"].items()
        ]
        parts.append(
            console.format_table(["condition", "change of held-out loss"], rows)
        )
    if found["judged"]:
        header = [
            "predictor",
            "pairs in order",
            "of those all seeds agree on",
            "Spearman's rho",
            "p",
        ]
        of = lambda j, kind: f"{j[f'{kind}right']} of {j[f'{kind}pairs']}"
        rows = [
            [name, of(j, ""), of(j, "clear_"), j["rho"], j["p"]]
            for name, j in found["judged"].items()
        ]
        parts += [
            console.format_table(header, rows),
            conclusions.companion_answer(found["judged"]),
        ]
    return "\n\n".join(parts)


def _spread(values: Sequence[float | None]) -> str:
    """Mean ± SD over seeds; "-" where one is undefined."""
    if None in values or not values:
        return "-"
    summary = proportions.over_seeds(values)
    return f"{summary.mean:.3g}" + (f" ± {summary.sd:.2g}" if summary.n > 1 else "")
