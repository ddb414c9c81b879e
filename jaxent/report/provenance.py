"""Where every record of a page comes from: hashes, commit, versions, machine, time and command."""

import collections
import dataclasses
import html
import shlex
from collections.abc import Mapping, Sequence

from jaxent.report import grid, match, own
from jaxent.runs import console, records


@dataclasses.dataclass(frozen=True)
class Source:
    """A record's folder, kind, what it is of, state (of runs) and what it says of where it comes from."""

    folder: str
    kind: str
    cell: str
    state: str
    about: Mapping


def sources(
    placed: match.MatchedResults, collection: records.Collection
) -> list[Source]:
    """All records of a page: runs, evaluations and measurements, then the studies that the paper lacks."""
    found = []
    for one in (
        p
        for shelf in (placed.paper, placed.other)
        for p in (*shelf.runs, *shelf.evaluations, *shelf.crosstalks, *shelf.singles)
    ):
        state = (
            ""
            if not isinstance(one.record, records.Run)
            else "finished"
            if one.record.summary
            else "unfinished"
        )
        cell = " ".join(
            f"{v:g}" if isinstance(v, float) else str(v) for v in one.key.values()
        )
        found.append(_source(one.record, cell, state))
    found += [
        _source(metric, model)
        for metric, model in zip(collection.metrics, own.names(collection.metrics))
    ]
    return found + [
        _source(validity, "synthetic and real activations")
        for validity in collection.validities
    ]


def _source(record, cell: str, state: str = "") -> Source:
    seed = record.about.get("seed")
    return Source(
        record.folder,
        type(record).__name__.lower(),
        cell + (f" seed {seed}" if seed is not None else ""),
        state,
        record.about,
    )


def table(found: Sequence[Source]) -> grid.Grid:
    """A row a record."""
    text = lambda value: grid.Cell(
        grid.NOTHING if value in (None, "") else str(value), "text"
    )
    short = lambda hash: (
        hash[:12] + "-dirty" * hash.endswith("-dirty")
        if isinstance(hash, str)
        else hash
    )
    hashes = ("model_hash", "adapter_hash", "probe_hash", "git")
    rows = tuple(
        (
            grid.Cell(s.folder, "key"),
            *map(
                text,
                (
                    s.kind,
                    s.cell,
                    s.state,
                    *(short(s.about.get(n)) for n in hashes),
                    _device(s.about),
                    console.format_duration(s.about["seconds"])
                    if s.about.get("seconds")
                    else None,
                ),
            ),
        )
        for s in found
    )
    heads = (
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
    caption = "A hash is the first 12 digits of the record's; -dirty: files differed from that commit."
    facts = tuple(
        {"folder": s.folder, "record": s.kind, "cell": s.cell, "state": s.state}
        | {
            name: s.about.get(name)
            for name in (*hashes, "device", "devices", "processes", "seconds")
        }
        | {"command": shlex.join(s.about.get("command") or ())}
        for s in found
    )
    return grid.Grid(
        "provenance-table",
        "Records",
        caption,
        tuple(map(grid.Head, heads)),
        rows,
        (),
        facts,
    )


def _device(about: Mapping) -> str | None:
    """The kind of device, with the numbers of devices and processes where there is more than one."""
    devices, processes, kind = (
        about.get("devices") or 1,
        about.get("processes") or 1,
        about.get("device"),
    )
    text = f"{devices} x {kind}" if kind and devices > 1 else kind
    return f"{text}, {processes} processes" if text and processes > 1 else text


def lists(
    found: Sequence[Source],
    collection: records.Collection,
    notes: Sequence[records.Note],
) -> list[str]:
    """HTML: commands, versions, notes, what failed and what could not be read."""
    commands = [
        (s.folder, shlex.join(s.about["command"]))
        for s in found
        if s.about.get("command")
    ]
    versions = collections.defaultdict(list)
    for source in found:
        versions[
            ", ".join(
                f"{n} {v}" for n, v in (source.about.get("versions") or {}).items()
            )
        ].append(source.folder)
    item = lambda name, text: (
        f"<li><code>{html.escape(name)}</code>: {html.escape(text)}</li>"
    )
    code = lambda name, text: (
        f"<li><code>{html.escape(name)}</code><br><code>python {html.escape(text)}</code></li>"
    )
    return [
        _block("Commands", [code(*c) for c in commands], "No record."),
        _block(
            "Versions",
            [
                item(f"{len(v)} record{'s' * (len(v) > 1)}", k or "not recorded")
                for k, v in versions.items()
            ],
            "No record.",
        ),
        _block(
            "Notes on single records", [item(n.path, n.text) for n in notes], "None."
        ),
        _block(
            "Runs that failed",
            [item(n.path, n.text) for n in collection.failures],
            "None recorded.",
        ),
        _block(
            "Could not be read",
            [item(n.path, n.text) for n in collection.unread],
            "Every file was read.",
        ),
    ]


def _block(title: str, items: Sequence[str], empty: str) -> str:
    return f"<h3>{title}</h3>" + (
        f'<ul class="list">{"".join(items)}</ul>'
        if items
        else f'<p class="soft">{empty}</p>'
    )
