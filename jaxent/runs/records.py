"""Results on disk: `read_records` takes every record below a folder.

A file that it cannot read or does not know becomes a note, and nothing is fatal.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from jaxent import json_files
from jaxent.runs import folder as run_folder
from jaxent.runs import quantities, schema

_FIGURES = {".png", ".svg"}
_FOLDERS_WITHOUT_RECORDS = {
    run_folder.CHECKPOINTS,
    run_folder.ADAPTER,
    run_folder.MODEL,
    run_folder.TENSORBOARD,
    run_folder.FIGURES,
}

Content = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
      folder: its path below the root.
      record: run.json, its settings under today's names.
      measured: measurements of metrics.jsonl, in order.
      trained: training records of metrics.jsonl, in order.
      summary: summary.json; None until the run is finished.
    """

    folder: str
    record: Content
    measured: tuple[quantities.Measured, ...]
    trained: tuple[Content, ...]
    summary: Content | None

    @property
    def settings(self) -> Content:
        """The run's settings, as `jaxent.runs.spec.RunSpec` names them."""
        return self.record["settings"]

    @property
    def about(self) -> Content:
        """Where it comes from: hashes, commit, versions, device, command, seconds."""
        summary = self.summary or {}
        return {
            **self.record,
            "adapter_hash": summary.get("adapter_hash"),
            "probe_hash": self.probe_hash,
            "seconds": summary.get("seconds"),
        }

    @property
    def probe_hash(self) -> str | None:
        """The hash of the probe set it was measured on."""
        return (self.record.get("probes") or {}).get("hash")

    @property
    def before(self) -> quantities.Measured:
        """The first measurement."""
        return self.measured[0]

    @property
    def after(self) -> quantities.Measured:
        """The last measurement."""
        return self.measured[-1]

    def at(self, step: int) -> quantities.Measured | None:
        """The measurement after `step` optimizer steps; None without one."""
        return next((m for m in self.measured if m.step == step), None)

    def result(self, name: str) -> float | None:
        """A number of summary.json, by its name in `quantities.RESULTS`."""
        return quantities.RESULTS[name](self.summary or {})


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A folder of HumanEval(+) results.

    Attributes:
      folder: its path below the root.
      record: evaluation.json, its settings under today's names.
      scores: scores.json.
      passed: by suite (base, plus) and task, the share of its samples that passed.
      likelihood: likelihood.json; None without one.
    """

    folder: str
    record: Content
    scores: Content
    passed: Mapping[str, Mapping[str, float]]
    likelihood: Content | None = None

    @property
    def about(self) -> Content:
        """Where it comes from."""
        return self.record

    @property
    def settings(self) -> Content:
        """Its settings, named as evaluate.py's flags."""
        return self.record["settings"]


@dataclasses.dataclass(frozen=True)
class Document:
    """A record that is one JSON object, which also says where it comes from.

    Attributes:
      folder: its path below the root.
      content: the object.
    """

    folder: str
    content: Content

    @property
    def about(self) -> Content:
        """Where it comes from."""
        return self.content


class Crosstalk(Document):
    """A crosstalk.json."""


class Validity(Document):
    """A validity.json: the estimators against a known truth."""


class Equivalence(Document):
    """An equivalence.json: results beside other frameworks'."""


@dataclasses.dataclass(frozen=True)
class Single:
    """A measure.json: one checkpoint, one record a layer, the last layer last."""

    folder: str
    layers: tuple[Content, ...]

    @property
    def about(self) -> Content:
        """Where it comes from, and the last layer's measurement."""
        return self.layers[-1]


@dataclasses.dataclass(frozen=True)
class Metric:
    """The companion metric of one model (`content`), of a study.json of a folder."""

    folder: str
    model: str
    content: Content

    @property
    def about(self) -> Content:
        """Where it comes from."""
        return self.content


@dataclasses.dataclass(frozen=True)
class Note:
    """A file or folder and what is to be said of it."""

    path: str
    text: str


@dataclasses.dataclass(frozen=True)
class Collection:
    """All records below a root.

    Attributes:
      failures: runs that a study gave up, with the reason.
      unread: files that could not be read or that no reader knows, with the reason.
    """

    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    crosstalks: tuple[Crosstalk, ...]
    singles: tuple[Single, ...]
    metrics: tuple[Metric, ...]
    validities: tuple[Validity, ...]
    equivalences: tuple[Equivalence, ...]
    failures: tuple[Note, ...]
    unread: tuple[Note, ...]


def read_records(root: pathlib.Path | str) -> Collection:
    """Reads every record below a folder.

    Folders with an earlier report are left out.

    Args:
      root: a folder of run folders, nested as they like.

    Returns:
      The records, and a note on everything that was not read.

    Raises:
      FileNotFoundError: it is no folder.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as root:
      ...     _ = (pathlib.Path(root) / "letter.txt").write_text("")
      ...     read_records(root).unread
      (Note(path='letter.txt', text='not a record that the report knows'),)
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: expected a folder of runs")
    reader = _Reader(root)
    for folder, below, files in os.walk(root):
        below[:] = sorted(set(below) - _FOLDERS_WITHOUT_RECORDS)
        if run_folder.REPORT in files:
            below.clear()
        else:
            reader.read_folder(pathlib.Path(folder), set(files))
    return Collection(**{kind: tuple(items) for kind, items in reader.records.items()})


class _Reader:
    """Reads folder by folder; `records` holds the results by field of `Collection`."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.records: dict[str, list] = {
            field.name: [] for field in dataclasses.fields(Collection)
        }

    def read_folder(self, folder: pathlib.Path, files: set[str]) -> None:
        """Adds the records of one folder; a failure becomes a note on its file."""
        name = str(folder.relative_to(self.root))
        for kind, read, file in self._readers(folder, files):
            try:
                self.records[kind] += read(folder, name)
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                path = (folder / file).relative_to(self.root)
                self.note(str(path), schema.explain_error(error))
        if run_folder.RECORD not in files:
            for orphan in sorted({run_folder.METRICS, run_folder.SUMMARY} & files):
                self.note(
                    f"{name}/{orphan}", f"without a {run_folder.RECORD} beside it"
                )
        for file in sorted(files):
            if not _is_known(file):
                path = (folder / file).relative_to(self.root)
                self.note(str(path), "not a record that the report knows")

    def note(self, path: str, text: str) -> None:
        """Notes that something was not read."""
        self.records["unread"].append(Note(path, text))

    def _readers(self, folder: pathlib.Path, files: set[str]) -> Iterator[tuple]:
        """(field of `Collection`, method, file it is about) for a folder's records."""
        if run_folder.RECORD in files:
            yield "runs", self._read_run, run_folder.RECORD
        if files & {run_folder.SCORES, run_folder.EVALUATION}:
            missing = {run_folder.SCORES, run_folder.EVALUATION} - files
            yield (
                "evaluations",
                _read_evaluation,
                min(missing, default=run_folder.SCORES),
            )
        if run_folder.CROSSTALK in files:
            yield "crosstalks", _read_crosstalk, run_folder.CROSSTALK
        if run_folder.MEASURE in files:
            yield "singles", _read_single, run_folder.MEASURE
        if run_folder.STUDY in files:
            yield "failures", _read_failures, run_folder.STUDY
            yield "metrics", _read_metrics, run_folder.STUDY
        if run_folder.VALIDITY in files:
            yield "validities", _read_validity, run_folder.VALIDITY
        if run_folder.EQUIVALENCE in files:
            yield "equivalences", _read_equivalence, run_folder.EQUIVALENCE

    def _read_run(self, folder: pathlib.Path, name: str) -> list[Run]:
        record = _read_object(folder / run_folder.RECORD, "run")
        settings = schema.require_fields(record["settings"], "run settings")
        record = {**record, "settings": schema.upgrade_run_settings(settings)}
        measured, trained = [], []
        for line in self._read_lines(folder / run_folder.METRICS, name):
            if line.get("kind") == "measure":
                schema.require_fields(line, "measure")
                measured.append(quantities.Measured(line["step"], line))
            elif line.get("kind") == "train":
                trained.append(schema.require_fields(line, "train"))
        if not measured:
            raise ValueError(
                f"{run_folder.METRICS} holds no measurement yet: "
                "the run has hardly begun"
            )
        summary = None
        if (folder / run_folder.SUMMARY).is_file():
            summary = _read_object(folder / run_folder.SUMMARY, "summary")
        else:
            steps = record["settings"].get("max_steps")
            self.note(
                f"{name}/{run_folder.SUMMARY}",
                f"not there: unfinished, at step {measured[-1].step} of {steps}; "
                "only in the trajectories",
            )
        return [Run(name, record, tuple(measured), tuple(trained), summary)]

    def _read_lines(self, file: pathlib.Path, name: str) -> Iterator[dict]:
        """The records of a metrics.jsonl; a line that is none becomes a note."""
        for number, line in json_files.read_lines(file):
            try:
                yield json_files.parse_json(line, "", finite=False, line=number)
            except json_files.FileError as error:
                self.note(f"{name}/{file.name}", f"left out: {error.problem}")


def _read_object(file: pathlib.Path, kind: str) -> dict:
    """A JSON object that holds the fields of its kind."""
    return schema.require_fields(run_folder.read_json(file), kind)


def _read_evaluation(folder: pathlib.Path, name: str) -> list[Evaluation]:
    scores = _read_object(folder / run_folder.SCORES, "scores")
    record = _read_object(folder / run_folder.EVALUATION, "evaluation")
    settings = schema.require_fields(record["settings"], "evaluation settings")
    upgraded = schema.upgrade_evaluation_settings(settings)
    passed = {
        "base": quantities.share_passed(scores["ended"], ("base",)),
        "plus": quantities.share_passed(scores["ended"], ("base", "plus")),
    }
    likelihood = None
    if (folder / run_folder.LIKELIHOOD).is_file():
        likelihood = _read_object(folder / run_folder.LIKELIHOOD, "likelihood")
    record = {**record, "settings": upgraded}
    return [Evaluation(name, record, scores, passed, likelihood)]


def _read_crosstalk(folder: pathlib.Path, name: str) -> list[Crosstalk]:
    content = _read_object(folder / run_folder.CROSSTALK, "crosstalk")
    return [Crosstalk(name, schema.upgrade_measurement(content))]


def _read_single(folder: pathlib.Path, name: str) -> list[Single]:
    layers = run_folder.read_json(folder / run_folder.MEASURE, list)
    for layer in layers:
        schema.require_fields(layer, "layer")
    layers = [schema.upgrade_measurement(layer) for layer in layers]
    return [Single(name, tuple(sorted(layers, key=_layer_number)))]


def _layer_number(layer: Content) -> int:
    return layer["layer"]


def _read_failures(folder: pathlib.Path, name: str) -> list[Note]:
    study = _read_object(folder / run_folder.STUDY, "study")
    return [
        Note(row["name"], str(row["reason"]))
        for row in study["runs"]
        if row["state"] == "failed"
    ]


def _read_metrics(folder: pathlib.Path, name: str) -> list[Metric]:
    study = run_folder.read_json(folder / run_folder.STUDY)
    return [
        Metric(name, model, schema.require_fields(content, "metric"))
        for model, content in study.get("metric", {}).items()
    ]


def _read_validity(folder: pathlib.Path, name: str) -> list[Validity]:
    content = _read_object(folder / run_folder.VALIDITY, "validity")
    return [Validity(name, content)]


def _read_equivalence(folder: pathlib.Path, name: str) -> list[Equivalence]:
    content = _read_object(folder / run_folder.EQUIVALENCE, "equivalence")
    return [Equivalence(name, content)]


def _is_known(file: str) -> bool:
    return (
        file in schema.READ | schema.NOT_READ or pathlib.Path(file).suffix in _FIGURES
    )
