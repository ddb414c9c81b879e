"""Which of the paper's cells each record fills, or why it fills none.

A record is the paper's if its model, settings and probes are; anything else is measured
only, in a section of its own.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jaxent.paper import models as paper_models
from jaxent.paper import settings as paper_settings
from jaxent.report import departures, labels, match
from jaxent.runs import folder as run_folder
from jaxent.runs import records

_UNKNOWN = "?"  # the condition of a run that is not in the folder


def classify_records(collection: records.Collection) -> match.MatchedResults:
    """Gives every record its key, and sorts the paper's from the others.

    Args:
      collection: records of a folder.

    Returns:
      Both sets; nothing is left out without a note.
    """
    return _Classifier(collection).classify()


@dataclasses.dataclass(frozen=True)
class _Classified:
    """A keyed record, and whether it is the paper's."""

    result: match.KeyedResult
    of_paper: bool


class _Classifier:
    def __init__(self, collection: records.Collection):
        self.collection = collection
        self.origins = _find_origins(collection.runs)
        self.notes: list[records.Note] = []
        self.runs: dict[str, _Classified] = {}  # by folder

    def classify(self) -> match.MatchedResults:
        """Runs first: evaluations and measurements of adapters take their keys."""
        for run in self.collection.runs:
            self.runs[run.folder] = self._classify_run(run)
        evaluations = [
            self._classify_evaluation(e) for e in self.collection.evaluations
        ]
        crosstalks = []
        for crosstalk in self.collection.crosstalks:
            departed = departures.of_crosstalk(crosstalk.content)
            crosstalks.append(self._classify_checkpoint(crosstalk, departed))
        singles = []
        for single in self.collection.singles:
            name, published = paper_models.identify_model(single.about["model"])
            last_layer = paper_models.LAYERS[name] if published else None
            departed = departures.of_measurement(single.about, last_layer)
            singles.append(self._classify_checkpoint(single, departed))
        every = (list(self.runs.values()), evaluations, crosstalks, singles)
        paper = self._on_one_probe_set(self._result_set(every, of_paper=True))
        other = labels.label_models(self._result_set(every, of_paper=False))
        return match.MatchedResults(paper, other, tuple(self.notes))

    def _result_set(
        self, every: Iterable[Sequence[_Classified]], of_paper: bool
    ) -> match.ResultSet:
        runs, evaluations, crosstalks, singles = (
            self._without_copies(kind, of_paper) for kind in every
        )
        return match.ResultSet(runs, evaluations, crosstalks, singles, self.origins)

    def _note(self, path: str, text: str) -> None:
        self.notes.append(records.Note(path, text))

    def _note_departures(self, path: str, departed: Sequence[str]) -> None:
        text = f"among the other models and settings: {'; '.join(departed)}"
        self._note(path, text)

    def _classify_run(self, run: records.Run) -> _Classified:
        settings = run.settings
        name, published = paper_models.identify_model(settings["model"])
        condition = _name_condition(settings)
        continued = bool(settings.get("adapter"))
        if continued:
            condition = f"{self._condition_of_origin(run)}>{condition}"
        key = {"model": name, "condition": condition}
        if condition != "B0":
            key["intervention"] = settings.get("intervention", "strong")
            key["seed"] = settings["seed"]
        if settings["condition"] == "B4" or settings.get("csr_lambda"):
            key["lambda"] = settings.get("csr_lambda", paper_settings.CSR_LAMBDA)
        departed = departures.of_run(settings, continued) if published else []
        if departed:
            self._note_departures(run.folder, departed)
        of_paper = published and not departed and _UNKNOWN not in condition
        return _Classified(match.KeyedResult(key, run, run.folder), of_paper)

    def _condition_of_origin(self, run: records.Run) -> str:
        origin = self.origins.get(run.folder)
        if origin is not None:
            return _name_condition(origin.settings)
        adapter = run.settings["adapter"]
        self._note(run.folder, f"continues {adapter}, which is none of these runs")
        return _UNKNOWN

    def _classify_evaluation(self, evaluation: records.Evaluation) -> _Classified:
        settings = evaluation.settings
        name, of_paper = paper_models.identify_model(settings["model"])
        key, folder = {"model": name, "condition": "B0"}, None
        adapter = settings["adapter"]
        if adapter:
            run = self._run_evaluated(evaluation)
            if run is None:
                text = f"of the adapter {adapter}, which is of none of these runs"
                self._note(evaluation.folder, text)
                key["condition"] = f"adapter {adapter}"
                return _Classified(match.KeyedResult(key, evaluation), False)
            classified = self.runs[run.folder]
            key, folder = dict(classified.result.key), run.folder
            of_paper = classified.of_paper
        departed = departures.of_evaluation(evaluation)
        if of_paper and departed:
            self._note_departures(evaluation.folder, departed)
        result = match.KeyedResult(key, evaluation, folder)
        return _Classified(result, of_paper and not departed)

    def _run_evaluated(self, evaluation: records.Evaluation) -> records.Run | None:
        """The run whose folder the evaluation is in, or whose adapter it names."""
        inside = self.runs.get(str(pathlib.PurePath(evaluation.folder).parent))
        if inside is not None:
            return inside.result.record
        return _find_by_path(evaluation.settings["adapter"], self.collection.runs)

    def _classify_checkpoint(
        self, record: records.Crosstalk | records.Single, departed: Sequence[str]
    ) -> _Classified:
        """A measurement of a base model, or of an adapter, which is never the paper's.

        What a base model's departs in becomes part of the model's name.
        """
        name, published = paper_models.identify_model(record.about["model"])
        adapter = record.about.get("adapter")
        if adapter:
            run = _find_by_path(adapter, self.collection.runs)
            if run is None:
                unknown = {"model": name, "condition": f"adapter {adapter}"}
                return _Classified(match.KeyedResult(unknown, record), False)
            key = dict(self.runs[run.folder].result.key)
            return _Classified(match.KeyedResult(key, record, run.folder), False)
        if departed and published:
            self._note_departures(record.folder, departed)
        if departed:
            name = f"{name} ({'; '.join(departed)})"
        key = {"model": name, "condition": "B0"}
        of_paper = published and not departed
        return _Classified(match.KeyedResult(key, record), of_paper)

    def _without_copies(
        self, classified: Iterable[_Classified], of_paper: bool
    ) -> tuple[match.KeyedResult, ...]:
        """The first record of each key in the paper's cells; all of the others.

        Finished runs come before unfinished ones.
        """
        results = [c.result for c in classified if c.of_paper == of_paper]
        kept: dict[tuple, match.KeyedResult] = {}
        for result in sorted(results, key=_finished_first):
            folder = result.record.folder
            key: tuple[Any, ...] = tuple(sorted(result.key.items(), key=_key_name))
            if not of_paper:
                key = (*key, folder)
            if key in kept:
                first = kept[key].record.folder
                self._note(folder, f"not used: {first} is the same cell")
            else:
                kept[key] = result
        return tuple(sorted(kept.values(), key=_folder))

    def _on_one_probe_set(self, results: match.ResultSet) -> match.ResultSet:
        """The runs, and measurements on their own, on the probe set of most runs.

        Without runs it is that of most measurements. A measurement that does not say
        which it is on stays.
        """
        hashes: list = [run.record.probe_hash for run in results.runs]
        if not hashes:
            hashes = [h for h in map(_probe_hash, results.singles) if h]
        if not hashes:
            return results
        [(most, _)] = collections.Counter(hashes).most_common(1)

        def on_most(result: match.KeyedResult) -> bool:
            hash = _probe_hash(result)
            silent = isinstance(result.record, records.Single) and hash is None
            if hash == most or silent:
                return True
            text = f"not used: probe set {hash}, the others' is {most}"
            self._note(result.record.folder, text)
            return False

        return dataclasses.replace(
            results,
            runs=tuple(filter(on_most, results.runs)),
            singles=tuple(filter(on_most, results.singles)),
        )


def _find_origins(runs: Sequence[records.Run]) -> dict[str, records.Run]:
    """By folder, the run whose adapter it began from: of its hash, or else its path."""
    by_hash = {}
    for run in runs:
        if run.summary and run.summary.get("adapter_hash"):
            by_hash[run.summary["adapter_hash"]] = run
    origins = {}
    for run in runs:
        adapter = run.settings.get("adapter")
        if adapter:
            origin = by_hash.get(run.record.get("start")) or _find_by_path(
                adapter, runs
            )
            if origin is not None and origin is not run:
                origins[run.folder] = origin
    return origins


def _find_by_path(path: str, runs: Iterable[records.Run]) -> records.Run | None:
    """The run whose folder a path to an adapter ends in: the longest such."""
    parts = pathlib.PurePath(path).parts
    if parts and parts[-1] in (run_folder.ADAPTER, run_folder.MODEL):
        parts = parts[:-1]
    longest, nearest = 0, None
    for run in runs:
        end = pathlib.PurePath(run.folder).parts
        if len(end) > longest and parts[-len(end) :] == end:
            longest, nearest = len(end), run
    return nearest


def _finished_first(result: match.KeyedResult) -> tuple[bool, str]:
    record = result.record
    unfinished = isinstance(record, records.Run) and record.summary is None
    return unfinished, record.folder


def _folder(result: match.KeyedResult) -> str:
    return result.record.folder


def _key_name(item: tuple[str, Any]) -> str:
    return item[0]


def _probe_hash(result: match.KeyedResult) -> str | None:
    record = result.record
    if isinstance(record, records.Run):
        return record.probe_hash
    return record.about.get("probe_hash")


def _name_condition(settings: Mapping[str, Any]) -> str:
    """The condition of a run; on own data with the mixture or the data set's name.

    Runs on other data are other cells of every table.
    """
    data = settings.get("mixture") or settings.get("dataset")
    if not data:
        return settings["condition"]
    return f"{settings['condition']} {pathlib.PurePath(data).name}"
