"""Results on disk: `write` puts a file there, `read` takes every record of a folder and names what it could not read."""

import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from jaxent.runs import folder as run_folder

_AREAS = {  # folders of a run that hold no records
    run_folder.CHECKPOINTS,
    run_folder.ADAPTER,
    run_folder.TENSORBOARD,
    run_folder.FIGURES,
}
_KNOWN = {
    run_folder.RECORD,
    run_folder.METRICS,
    run_folder.SUMMARY,
    run_folder.CROSSTALK,
    run_folder.MEASURE,
    run_folder.SCORES,
    run_folder.EVALUATION,
    run_folder.STUDY,
    run_folder.VALIDITY,
}
_BESIDE = {
    run_folder.LOCK,
    run_folder.TABLE,
    run_folder.SAMPLES,
    run_folder.RAW_SAMPLES,
    run_folder.SAMPLES_IDENTITY,
    run_folder.EVALPLUS_RESULTS,
    run_folder.EVALPLUS_LOG,
}
_DRAWN = {".png", ".svg"}
_OUTCOMES = {"pass", "wrong", "error", "timeout", "died"}


@dataclasses.dataclass(frozen=True)
class Measured:
    """One measurement of entanglement: `entangle.Measurement` as JSON, after `step` steps.

    Names of quantities: ei, nested_ei, sei, overlap, cvo, v_purity; domain_accuracy (and accuracy.shape, ...); margin, the
    smallest over concepts; rank, the number of directions.
    """

    step: int
    found: Mapping

    def value(self, name: str) -> float | None:
        """The quantity on all probes; None where it is undefined."""
        if name == "domain_accuracy":
            return self.found["accuracy"].get("domain")
        if name.startswith("accuracy."):
            return self.found["accuracy"].get(name.removeprefix("accuracy."))
        if name == "margin":
            return min(self.found["margins"].values())
        if name == "rank":
            return len(self.found["singular"])
        return self.found.get(name)

    def reason(self, name: str) -> str | None:
        return self.found.get("reasons", {}).get(name)

    def interval(self, name: str) -> tuple[float, float] | None:
        """The 95% interval over replicate sets that the measurement came with."""
        recorded = {
            "domain_accuracy": "accuracy.domain",
            "margin": f"margin.{self.found['weakest']}",
        }
        found = self.found["intervals"].get(recorded.get(name, name))
        return (
            None if not found or found["low"] is None else (found["low"], found["high"])
        )

    def sets(self, name: str) -> np.ndarray | None:
        """One value a replicate set [R], to be averaged and differenced: the set's own, and for EI and CVO jackknife pseudo-values.

        EI's are R w - (R - 1) w_r, w the ratio of the sets' flips added up and w_r that without set r: their mean
        stands sets too small for a ratio of their own. None where undefined in some set, or with fewer than two.
        """
        per_set = self.found.get("set_values") or {}
        if name in ("ei", "nested_ei"):
            prefix = name.removesuffix("ei")
            return _pseudo(
                *(per_set.get(f"{prefix}{part}_flips") for part in ("off", "own"))
            )
        if name == "margin":
            every = [v for n, v in per_set.items() if n.startswith("margin.")]
            return _vector(np.min(every, axis=0) if every else None)
        return _vector(
            per_set.get("accuracy.domain" if name == "domain_accuracy" else name)
        )


def _vector(values) -> np.ndarray | None:
    if values is None or len(values) < 2 or any(v is None for v in values):
        return None
    return np.asarray(values, float)


def _pseudo(above, below) -> np.ndarray | None:
    above, below = _vector(above), _vector(below)
    if (
        above is None or below is None or (below.sum() - below < 10).any()
    ):  # fewer flips say nothing
        return None
    n = len(above)
    return n * above.sum() / below.sum() - (n - 1) * (above.sum() - above) / (
        below.sum() - below
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder (its path below the root): run.json, metrics.jsonl and, once it is finished, summary.json."""

    folder: str
    record: Mapping
    measured: tuple[Measured, ...]
    trained: tuple[Mapping, ...]
    summary: Mapping | None

    @property
    def settings(self) -> Mapping:
        return self.record["settings"]

    @property
    def about(self) -> Mapping:
        """Where it comes from: hashes, commit, versions, device, command, seconds."""
        summary = self.summary or {}
        hashes = {
            "adapter_hash": summary.get("adapter_hash"),
            "probe_hash": (self.record.get("probes") or {}).get("hash"),
        }
        return {**self.record, **hashes, "seconds": summary.get("seconds")}

    @property
    def before(self) -> Measured:
        return self.measured[0]

    @property
    def after(self) -> Measured:
        return self.measured[-1]

    def at(self, step: int) -> Measured | None:
        return next((m for m in self.measured if m.step == step), None)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation folder: scores.json as `scores`, evaluation.json as `record`.

    passed: by suite (base, plus) and task, the share of the task's samples that passed.
    """

    folder: str
    record: Mapping
    scores: Mapping
    passed: Mapping[str, Mapping[str, float]]

    @property
    def about(self) -> Mapping:
        return self.record

    @property
    def settings(self) -> Mapping:
        return self.record["settings"]


@dataclasses.dataclass(frozen=True)
class _Found:
    """A record that is its own provenance."""

    folder: str
    found: Mapping

    @property
    def about(self) -> Mapping:
        return self.found


class Crosstalk(_Found):
    """A crosstalk.json."""


@dataclasses.dataclass(frozen=True)
class Single:
    """A measure.json: one checkpoint measured, one record a layer, the last layer last."""

    folder: str
    layers: tuple[Mapping, ...]

    @property
    def about(self) -> Mapping:
        return self.layers[-1]


@dataclasses.dataclass(frozen=True)
class Metric:
    """The companion metric of one model, of a companion_metric study's study.json."""

    folder: str
    model: str
    found: Mapping

    @property
    def about(self) -> Mapping:
        return self.found


class Validity(_Found):
    """A validity.json: the estimators against a known truth."""


@dataclasses.dataclass(frozen=True)
class Note:
    """A file or folder and what is to be said of it."""

    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class Collection:
    """All records below a root; unread: files that could not be read or are that it does not know, each with the reason."""

    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    crosstalks: tuple[Crosstalk, ...]
    singles: tuple[Single, ...]
    metrics: tuple[Metric, ...]
    validities: tuple[Validity, ...]
    failures: tuple[Note, ...]
    unread: tuple[Note, ...]


def read_records(root: pathlib.Path) -> Collection:
    """Every record below `root`; nothing in it is fatal. FileNotFoundError if it is no folder."""
    root = pathlib.Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: expected a folder of runs")
    found = {field.name: [] for field in dataclasses.fields(Collection)}
    for folder, below, files in os.walk(root):
        below[:] = sorted(set(below) - _AREAS)
        if run_folder.REPORT in files:  # an earlier report
            below.clear()
            continue
        here = pathlib.Path(folder)
        for kind, records, file in _of_folder(here, set(files), root, found["unread"]):
            try:
                found[kind] += records()
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                found["unread"].append(Note(_below(file, root), _reason(error)))
        found["unread"] += [
            Note(_below(here / f, root), "not a record that the report knows")
            for f in sorted(files)
            if _foreign(f)
        ]
    return Collection(**{name: tuple(values) for name, values in found.items()})


def _of_folder(
    here: pathlib.Path, files: set[str], root: pathlib.Path, unread: list[Note]
):
    """(kind, reader, the file it is about) of each record in one folder."""
    name = _below(here, root)
    if run_folder.RECORD in files:
        yield "runs", lambda: [_run(here, name, unread)], here / run_folder.RECORD
    for orphan in sorted(
        {run_folder.METRICS, run_folder.SUMMARY} & files
        if run_folder.RECORD not in files
        else ()
    ):
        unread.append(Note(f"{name}/{orphan}", "without a run.json beside it"))
    if files & {run_folder.SCORES, run_folder.EVALUATION}:
        missing = {run_folder.SCORES, run_folder.EVALUATION} - files
        yield (
            "evaluations",
            lambda: [_evaluation(here, name)],
            here / (min(missing) if missing else run_folder.SCORES),
        )
    if run_folder.CROSSTALK in files:
        yield (
            "crosstalks",
            lambda: [
                Crosstalk(
                    name,
                    _keys(
                        _json(here / run_folder.CROSSTALK), "model", "domains", "damage"
                    ),
                )
            ],
            here / run_folder.CROSSTALK,
        )
    if run_folder.MEASURE in files:
        yield "singles", lambda: [_single(here, name)], here / run_folder.MEASURE
    if run_folder.STUDY in files:
        yield "failures", lambda: _failures(here), here / run_folder.STUDY
        yield "metrics", lambda: _metrics(here, name), here / run_folder.STUDY
    if run_folder.VALIDITY in files:
        yield (
            "validities",
            lambda: [
                Validity(
                    name, _keys(_json(here / run_folder.VALIDITY), "panels", "coverage")
                )
            ],
            here / run_folder.VALIDITY,
        )


def _run(here: pathlib.Path, name: str, unread: list[Note]) -> Run:
    record = _keys(_json(here / run_folder.RECORD), "settings")
    _keys(record["settings"], "model", "condition", "seed")
    measured, trained = [], []
    for found in _lines(here / run_folder.METRICS, name, unread):
        if found.get("kind") == "measure":
            _keys(found, "step", "ei", "accuracy", "margins", "singular", "intervals")
            measured.append(Measured(found["step"], found))
        elif found.get("kind") == "train":
            trained.append(_keys(found, "step", "loss"))
    if not measured:
        raise ValueError(
            "metrics.jsonl holds no measurement yet: the run has hardly begun"
        )
    summary = None
    if (here / run_folder.SUMMARY).is_file():
        summary = _keys(
            _json(here / run_folder.SUMMARY), "before", "after", "adapter_hash"
        )
    else:
        unread.append(
            Note(
                f"{name}/{run_folder.SUMMARY}",
                f"not there: unfinished, at step {measured[-1].step} of {record['settings'].get('steps')}; only in the trajectories",
            )
        )
    return Run(name, record, tuple(measured), tuple(trained), summary)


def _evaluation(here: pathlib.Path, name: str) -> Evaluation:
    scores, record = (
        _keys(_json(here / run_folder.SCORES), "ended", "subset"),
        _json(here / run_folder.EVALUATION),
    )
    _keys(_keys(record, "settings")["settings"], "model", "adapter")
    passed = {}
    for suite, needed in (("base", ("base",)), ("plus", ("base", "plus"))):
        by_task: dict[str, list[bool]] = {}
        for one in scores["ended"]:
            if not {one["base"], one["plus"]} <= _OUTCOMES:
                raise ValueError(
                    f"scores.json: {one['task_id']} ended in {one['base']!r} and {one['plus']!r}, expected one of {sorted(_OUTCOMES)}"
                )
            by_task.setdefault(one["task_id"], []).append(
                all(one[s] == "pass" for s in needed)
            )
        passed[suite] = {
            task: sum(ends) / len(ends) for task, ends in sorted(by_task.items())
        }
    return Evaluation(name, record, scores, passed)


def _single(here: pathlib.Path, name: str) -> Single:
    layers = _json(here / run_folder.MEASURE, list)
    for layer in layers:
        _keys(layer, "model", "adapter", "layer", "ei", "damage", "intervals")
    return Single(name, tuple(sorted(layers, key=lambda layer: layer["layer"])))


def _failures(here: pathlib.Path) -> list[Note]:
    rows = _keys(_json(here / run_folder.STUDY), "runs")["runs"]
    return [
        Note(row["name"], str(row["reason"]))
        for row in rows
        if row["state"] == "failed"
    ]


def _metrics(here: pathlib.Path, name: str) -> list[Metric]:
    found = _json(here / run_folder.STUDY).get("metric", {})
    needed = ("question", "axes", "ranks", "conditions", "worse", "judged")
    return [
        Metric(name, model, _keys(_object(record), *needed))
        for model, record in found.items()
    ]


def _lines(file: pathlib.Path, name: str, unread: list[Note]) -> list[dict]:
    """The records of a metrics.jsonl; a line that is none becomes a note."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1):
        try:
            found += [_object(json.loads(line))] if line.strip() else []
        except ValueError as error:
            unread.append(
                Note(f"{name}/{file.name}, line {number}", f"left out: {error}")
            )
    return found


def _json(file: pathlib.Path, kind: type = dict):
    return _object(json.loads(file.read_text(encoding="utf-8")), kind)


def _object(found, kind: type = dict):
    if not isinstance(found, kind):
        raise ValueError(f"a JSON {type(found).__name__}, expected a {kind.__name__}")
    return found


def _keys(found: dict, *names: str) -> dict:
    missing = [n for n in names if n not in found]
    if missing:
        raise ValueError(f"lacks {missing[0]!r}")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (
            f"{error.strerror or error}: {pathlib.Path(error.filename).name}"
            if error.filename
            else str(error)
        )
    return (
        str(error)
        if isinstance(error, ValueError)
        else f"{type(error).__name__}: {error}"
    )


def _foreign(name: str) -> bool:
    return not (name in _KNOWN | _BESIDE or pathlib.Path(name).suffix in _DRAWN)


def _below(path: pathlib.Path, root: pathlib.Path) -> str:
    return str(path.relative_to(root))


def companion_answer(judged: Mapping[str, Mapping]) -> str:
    """Whether two axes order the companions better than crosstalk alone, in two sentences; pairs are of n companions, n (n - 1) / 2."""
    both, one = judged["two axes"], judged["crosstalk"]
    if both["pairs"] < one["pairs"]:
        return "Two axes cannot say: transfer is undefined for some companion."
    companions = (1 + math.isqrt(1 + 8 * one["pairs"])) // 2
    orders = math.factorial(companions)
    word = (
        "better"
        if both["right"] > one["right"]
        else "worse"
        if both["right"] < one["right"]
        else "no difference"
    )
    return (
        f"Two axes order {both['right']} of {both['pairs']} pairs rightly, crosstalk alone {one['right']}: {word}. "
        f"{companions} companions{' cannot decide it' * (orders < 20)}: any order is right by chance once in {orders} times."
    )
