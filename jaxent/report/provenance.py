"""Where every record of a page comes from: hashes, commit, machine, time, command."""

import collections
import dataclasses
import shlex
from collections.abc import Mapping, Sequence

from jaxent.report import grid, match
from jaxent.report.own_studies import companions
from jaxent.runs import console, records

_HASHES = ("model_hash", "adapter_hash", "probe_hash", "git")
_HEADS = (
    "folder",
    "record",
    "cell",
    "state",
    "model hash",
    "adapter hash",
    "probe hash",
    "commit",
    "device",
    "time",
)


@dataclasses.dataclass(frozen=True)
class Source:
    """A record and where it comes from.

    Attributes:
      folder: its folder below the folder of runs.
      kind: run, evaluation, crosstalk, single, metric, validity or equivalence.
      cell: what it is of, in words.
      state: "finished" or "unfinished", of a run; "" of others.
      about: what the record says of its origin.
    """

    folder: str
    kind: str
    cell: str
    state: str
    about: Mapping


def sources(
    results: match.MatchedResults, collection: records.Collection
) -> list[Source]:
    """All records of a page: runs and measurements first, then our own studies.

    Args:
      results: the records by cell.
      collection: the same records, our own studies among them.

    Returns:
      One source a record.
    """
    rows = []
    for part in (results.paper, results.other):
        measured: tuple[match.KeyedResult, ...] = (
            *part.runs,
            *part.evaluations,
            *part.crosstalks,
            *part.singles,
        )
        for one in measured:
            cell = " ".join(
                f"{value:g}" if isinstance(value, float) else str(value)
                for value in one.key.values()
            )
            rows.append(_source(one.record, cell))
    models = companions.model_names(collection.metrics)
    rows += [_source(metric, m) for metric, m in zip(collection.metrics, models)]
    for study in collection.validities:
        rows.append(_source(study, "synthetic and real activations"))
    for check in collection.equivalences:
        rows.append(_source(check, "beside other frameworks"))
    return rows


def _source(record, cell: str) -> Source:
    seed = record.about.get("seed")
    state = ""
    if isinstance(record, records.Run):
        state = "finished" if record.summary else "unfinished"
    return Source(
        record.folder,
        type(record).__name__.lower(),
        cell if seed is None else f"{cell} seed {seed}",
        state,
        record.about,
    )


def table(rows: Sequence[Source]) -> grid.Grid:
    """A row a record.

    Args:
      rows: the records' sources.

    Returns:
      The grid.
    """
    return grid.Grid(
        "provenance-table",
        "Records",
        "A hash is the first 12 digits of the record's; -dirty: files differed from "
        "that commit.",
        tuple(map(grid.Head, _HEADS)),
        tuple(_row(source) for source in rows),
        (),
        tuple(_fact(source) for source in rows),
    )


def _row(source: Source) -> tuple[grid.Cell, ...]:
    texts = (
        source.kind,
        source.cell,
        source.state,
        *(_short_hash(source.about.get(name)) for name in _HASHES),
        _device(source.about),
        _format_seconds(source.about.get("seconds")),
    )
    cells = [
        grid.Cell(grid.NOTHING if text in (None, "") else str(text), "text")
        for text in texts
    ]
    return (grid.Cell(source.folder, "key"), *cells)


def _fact(source: Source) -> dict:
    names = (*_HASHES, "device", "devices", "processes", "seconds")
    return {
        "folder": source.folder,
        "record": source.kind,
        "cell": source.cell,
        "state": source.state,
        **{name: source.about.get(name) for name in names},
        "command": shlex.join(source.about.get("command") or ()),
    }


def _short_hash(value):
    if not isinstance(value, str):
        return value
    return value[:12] + ("-dirty" if value.endswith("-dirty") else "")


def _device(about: Mapping) -> str | None:
    """The kind of device; the numbers of devices and processes if above one."""
    kind = about.get("device")
    if not kind:
        return kind
    devices, processes = about.get("devices") or 1, about.get("processes") or 1
    text = f"{devices} x {kind}" if devices > 1 else kind
    return f"{text}, {processes} processes" if processes > 1 else text


def commands(rows: Sequence[Source]) -> list[tuple[str, str]]:
    """Folder and command of every record that has one."""
    return [
        (source.folder, shlex.join(source.about["command"]))
        for source in rows
        if source.about.get("command")
    ]


def versions(rows: Sequence[Source]) -> list[tuple[str, str]]:
    """How many records were written with which versions of the libraries."""
    numbers = collections.Counter(
        ", ".join(f"{n} {v}" for n, v in (source.about.get("versions") or {}).items())
        for source in rows
    )
    return [
        (f"{number} record{'s' if number > 1 else ''}", text or "not recorded")
        for text, number in numbers.items()
    ]


def _format_seconds(seconds: float | None) -> str | None:
    return console.format_duration(seconds) if seconds else None
