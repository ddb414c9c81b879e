"""The companion metric of one model, and what training with each companion did.

It compares companions by the two axes of `transfer`. `examine` gives the record that
study.json keeps and the report reads; `format_record` shows it to people.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Sequence

from jaxent.checkpoint import peft
from jaxent.companion import scores, transfer
from jaxent.data import corpora, mix
from jaxent.measure import concepts
from jaxent.runs import (
    base_model,
    conclusions,
    console,
    questions,
    queue,
    validate,
)
from jaxent.runs import folder as run_folder
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs
from jaxent.stats import intervals

NAME = "companion_metric"

# The condition that trains code beside each companion.
CONDITIONS = {
    "math": "B2",
    "natural": "B3",
    "creative": "B6",
}


@dataclasses.dataclass(frozen=True)
class Question:
    """What is measured.

    Attributes:
      target: the target domain.
      companions: the companion domains.
      seeds: lists of results have one value for each.
      batches: optimizer steps' worth of examples in a gradient.
      few_steps: steps on a companion alone.
      held_out: number of the target's texts that the loss is measured on.
      check: whether B1 and the companions' conditions are trained too.

    Raises:
      ValueError: for a companion that is no other domain, or a check without code.
    """

    target: str
    companions: tuple[str, ...]
    seeds: tuple[int, ...]
    batches: int
    few_steps: int
    held_out: int
    check: bool

    def __post_init__(self):
        for companion in self.companions:
            if companion not in mix.DOMAINS or companion == self.target:
                raise ValueError(
                    f"--companions {companion}: expected domains other than the "
                    f"target, of {', '.join(mix.DOMAINS)}"
                )
        if self.check and self.target != "code":
            raise ValueError(
                f"--check with --target {self.target}: expected code, the conditions' "
                "own target"
            )

    def runs(self, model: str, settings: dict) -> list[specs.RunSpec]:
        """What the check trains."""
        if not self.check:
            return []
        return [
            run
            for condition in ["B1", *(CONDITIONS[c] for c in self.companions)]
            for run in questions.runs(model, condition, "strong", self.seeds, settings)
        ]

    def planned(self, model: str, settings: dict) -> list[specs.RunSpec]:
        """A run that costs about as much as the metric, and what the check trains."""
        number = len(self.companions)
        gradient_steps = self.batches * (number + 1)
        steps = len(self.seeds) * (gradient_steps + self.few_steps * number)
        (metric,) = questions.runs(
            model, "B1", "strong", (0,), settings, max_steps=steps, measure_steps=steps
        )
        metric = dataclasses.replace(metric, intervention="metric")
        return [metric, *self.runs(model, settings)]


def examine(
    question: Question,
    model: str,
    settings: dict,
    out: pathlib.Path,
    before: dict | None = None,
) -> tuple[dict, list[run_outcomes.Outcome]]:
    """Measures a model's companions.

    Args:
      question: what is measured.
      model: checkpoint folder or Hub id.
      settings: of the runs, by `RunSpec`'s names.
      out: folder of the check's runs.
      before: an earlier record of the model, returned where it answers the same.

    Returns:
      (record, outcomes of the check's runs). The record is plain JSON: question and
      settings; axes (of `transfer.measure_axes`); scores and ranks by predictor and
      companion; before, the target's held-out loss in nats a token; conditions, what
      trains each companion; worse, the rise of the loss by condition; judged,
      `scores.judge_predictor` by predictor, None where runs are missing; and
      provenance.

    Raises:
      ValueError: for settings or data that cannot be run.
      FileNotFoundError: for missing files.
      loop.NonFiniteError: for a loss that is not finite.
    """
    started, run = time.perf_counter(), specs.RunSpec(model, **settings)
    if run.tuner == "full":
        raise ValueError(
            "--tuner=full: the axes are of adapters' gradients, expected an adapter"
        )
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
    if before is not None and _answers(before, asked, question):
        return before, outcomes
    record = {
        **asked,
        **_measure(question, _bench(question, checked), outcomes),
        **validate.provenance(checked.checkpoint, started),
    }
    return concepts.to_plain(record), outcomes


def _answers(before: dict, asked: dict, question: Question) -> bool:
    """Whether an earlier record answers what is asked."""
    is_complete = before["judged"] or not question.check
    return bool(is_complete) and asked == {name: before.get(name) for name in asked}


def _measure(
    question: Question, bench: transfer.Bench, outcomes: Sequence[run_outcomes.Outcome]
) -> dict:
    """The record's measured part."""
    axes = transfer.measure_axes(
        bench,
        question.target,
        question.companions,
        question.seeds,
        question.batches,
        question.few_steps,
    )
    before = bench.loss()
    predicted = scores.score_companions(axes, question.companions)
    worse = _worse(bench, outcomes, before)
    return {
        "axes": {domain: dataclasses.asdict(axis) for domain, axis in axes.items()},
        "scores": predicted,
        "ranks": {name: _ranks(values) for name, values in predicted.items()},
        "before": before,
        "conditions": {
            c: CONDITIONS[c] for c in question.companions if c in CONDITIONS
        },
        "worse": worse,
        "judged": _judge(question, predicted, worse),
    }


def _judge(
    question: Question,
    predicted: dict[str, dict[str, float]],
    worse: dict[str, list[float]],
) -> dict[str, dict] | None:
    """How each predictor orders the companions; None where runs are missing."""
    rises = {c: worse.get(CONDITIONS.get(c, ""), []) for c in question.companions}
    if any(len(of_seeds) != len(question.seeds) for of_seeds in rises.values()):
        return None
    return {
        name: scores.judge_predictor(of_companions, rises)
        for name, of_companions in predicted.items()
    }


def load_records(out: pathlib.Path) -> dict[str, dict]:
    """Records of earlier studies in a folder, by model."""
    file = out / NAME / run_folder.STUDY
    return run_folder.read_json(file).get("metric", {}) if file.is_file() else {}


def _ranks(predicted: dict[str, float]) -> dict[str, int | None]:
    """1 is best, ties share a rank; None where a score is NaN."""
    return {
        companion: None
        if math.isnan(score)
        else 1 + sum(other > score for other in predicted.values())
        for companion, score in predicted.items()
    }


def _bench(question: Question, checked: validate.ValidatedRun) -> transfer.Bench:
    """Model, corpus and held-out rows, loaded."""
    base, run = base_model.BaseModel(checked), checked.run
    limit = run.max_train_samples or corpora.PUBLISHED_LIMIT
    where = base.tokenizer, checked.length, run.data_root, limit
    scored = transfer.make_batches(question.target, *where, question.held_out)
    corpus = corpora.load_corpus(
        (question.target, *question.companions), *where, progress=True
    )
    return transfer.Bench(base, run, corpus, checked.length, scored)


def _worse(
    bench: transfer.Bench, outcomes: Sequence[run_outcomes.Outcome], before: float
) -> dict[str, list[float]]:
    """By condition: how far its runs raised the held-out loss, seed by seed."""
    rises: dict[str, list[float]] = {outcome.run.condition: [] for outcome in outcomes}
    for outcome in outcomes:
        if outcome.state == "failed":
            continue
        folder = str(run_folder.RunFolder(outcome.folder).adapter)
        adapter = peft.load_adapter(folder, bench.base.model.config)
        after = bench.loss(adapter)
        rises[outcome.run.condition].append(after - before)
    return rises


def format_record(model: str, record: dict) -> str:
    """A record as text: axes, ranks, and how each predictor ordered what was measured.

    Args:
      model: checkpoint folder or Hub id.
      record: of `examine`.

    Returns:
      A heading and up to four tables.
    """
    target = record["question"]["target"]
    parts = [
        f"{pathlib.Path(model).name}: held-out {target} loss {record['before']:.3f} "
        "nats a token; last row: the target itself",
        _axes_table(record),
        _ranks_table(record),
    ]
    if record["worse"]:
        rows = [
            [condition, _over_seeds(values)]
            for condition, values in record["worse"].items()
        ]
        header = ["condition", "change of held-out loss"]
        parts.append(console.format_table(header, rows))
    if record["judged"]:
        parts.append(_judged_table(record["judged"]))
        parts.append(conclusions.companion_answer(record["judged"]))
    return "\n\n".join(parts)


def _axes_table(record: dict) -> str:
    """Every domain on both axes."""
    few_steps = record["question"]["few_steps"]
    header = [
        "companion",
        "crosstalk",
        "cosine",
        "alignment",
        f"drop in {few_steps} steps",
    ]
    rows = [
        [
            domain,
            axes["ct"],
            _over_seeds(axes["cosine"]),
            _over_seeds(axes["alignment"]),
            _over_seeds(axes["drop"]),
        ]
        for domain, axes in record["axes"].items()
    ]
    return console.format_table(header, rows)


def _ranks_table(record: dict) -> str:
    """Every companion's rank by every predictor."""
    ranks = record["ranks"]
    rows = [
        [companion, *(of_predictor[companion] for of_predictor in ranks.values())]
        for companion in record["question"]["companions"]
    ]
    return console.format_table(["rank", *ranks], rows)


def _judged_table(judged: dict[str, dict]) -> str:
    """How each predictor ordered the companions."""
    header = [
        "predictor",
        "pairs in order",
        "of those all seeds agree on",
        "Spearman's rho",
        "p",
    ]
    rows = [
        [
            name,
            f"{verdict['right']} of {verdict['pairs']}",
            f"{verdict['clear_right']} of {verdict['clear_pairs']}",
            verdict["rho"],
            verdict["p"],
        ]
        for name, verdict in judged.items()
    ]
    return console.format_table(header, rows)


def _over_seeds(values: Sequence[float | None]) -> str:
    """Mean ± SD over seeds; "-" where one is undefined."""
    defined = [value for value in values if value is not None]
    if not values or len(defined) < len(values):
        return "-"
    summary = intervals.over_seeds(defined)
    deviation = f" ± {summary.sd:.2g}" if summary.n > 1 else ""
    return f"{summary.mean:.3g}{deviation}"
