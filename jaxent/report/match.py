"""Which of the paper's cells a record belongs to, or why it belongs to none: its key, and what of its settings departs.

A record is the paper's if its model, settings and probes are; anything else is measured only, in a section of its own.
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from jaxent.paper import tables as paper_tables
from jaxent.runs import folder as run_folder
from jaxent.runs import records

_ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_SHARED = {
    "lora_dropout": 0.05,
    "learning_rate": 1e-4,
    "warmup_ratio": 0.03,
    "batch_size": 16,
    "max_length": 2048,
    "load_in_4bit": True,
    "curriculum_steps": 1000,
    "probes": "triad",
    "probe_sets": None,
    "data_root": None,
    "max_train_samples": 50_000,
}
_CSR = {
    "csr_every": 50,
    "csr_variance": 0.9,
    "csr_target": "code",
    "csr_centred": False,
    "csr_probes": "hexad",
}
INTERVENTIONS = {  # sections 2.2 and 6.3
    "strong": _SHARED
    | {
        "lora_r": 64,
        "lora_alpha": 128.0,
        "lora_target_modules": _ALL,
        "max_steps": 5000,
    },
    "light": _SHARED
    | {
        "lora_r": 16,
        "lora_alpha": 32.0,
        "lora_target_modules": _ALL[:4],
        "max_steps": 2000,
    },
}
_FURTHER_STEPS = 1500  # section 3.5: of B2 on top of B3
_CODING = {
    "max_new_tokens": 768,
    "temperature": 0.0,
    "n_samples": 1,
    "load_in_4bit": True,
}
_FIT = {
    "alpha": 1.0,
    "pooling": "mean",
    "load_in_4bit": True,
}  # section 3.2, of measurements on their own
_TERMINAL = {"scale_free": False, "final_norm": True}
_LAYERS = {
    paper_tables.QWEN_7B: 28,
    paper_tables.QWEN_14B: 48,
    paper_tables.QWEN_32B: 64,
    paper_tables.MISTRAL: 32,
    paper_tables.DEEPSEEK: 32,
    paper_tables.CODELLAMA: 32,
}
_PROBES = {"triad": 384, "hexad": 480}  # all of a set
_CELL = {
    "model",
    "condition",
    "intervention",
    "seed",
    "adapter",
    "csr_lambda",
}  # what tells a study's runs apart, not how they ran
_NO_MATTER = {
    "micro_batch_size",
    "packing",
    "save_steps",
    "measure_steps",
    "dtype",
}  # of a run's speed; results agree but for rounding
_LAMBDA = 0.1  # B4's unless another is asked for


@dataclasses.dataclass(frozen=True)
class KeyedResult:
    """A record and its key: model, condition (B3>B2: continued), and for trained ones intervention, seed and, for CSR, lambda.

    of: the folder of the run that it is, or that an evaluation or measurement of an adapter is of; None for a base model's.
    """

    key: Mapping
    record: object
    of: str | None = None

    @property
    def base(self) -> str:
        """The name of the base model, without what a label adds to it."""
        about = (
            self.record.found
            if isinstance(self.record, records.Crosstalk)
            else self.record.layers[-1]
            if isinstance(self.record, records.Single)
            else self.record.settings
        )
        return model_name(about["model"])[0]


@dataclasses.dataclass(frozen=True)
class ResultSet:
    """The records of one section, no two runs and no two evaluations of one key. origin: the run another continues, by folder."""

    runs: tuple[KeyedResult, ...] = ()
    evaluations: tuple[KeyedResult, ...] = ()
    crosstalks: tuple[KeyedResult, ...] = ()
    singles: tuple[KeyedResult, ...] = ()
    origin: Mapping[str, records.Run] = dataclasses.field(default_factory=dict)

    @property
    def finished(self) -> tuple[KeyedResult, ...]:
        return tuple(p for p in self.runs if p.record.summary is not None)

    def __bool__(self) -> bool:
        return bool(self.runs or self.evaluations or self.crosstalks or self.singles)


@dataclasses.dataclass(frozen=True)
class MatchedResults:
    """paper: what fills the paper's cells. other: everything else. notes: records left out of both, or put in `other` for their settings."""

    paper: ResultSet
    other: ResultSet
    notes: tuple[records.Note, ...]


def matches(wanted: Mapping, key: Mapping) -> bool:
    """Whether a record's key holds all of `wanted`. A base model has no intervention and no seed; B4 without a weight is B4 at 0.1."""
    ignored = {"intervention", "seed"} if wanted.get("condition") == "B0" else set()
    if "lambda" not in wanted and key.get("lambda") not in (None, _LAMBDA):
        return False
    return all(key.get(n) == v for n, v in wanted.items() if n not in ignored)


def model_name(model: str) -> tuple[str, bool]:
    """The paper's name of a Hub id or checkpoint folder and True, or else its own last part and False."""
    cached = re.search(r"models--([\w.-]+?)--([\w.-]+)", model)
    last = (
        cached.group(2) if cached else pathlib.PurePath(model.rstrip("/")).name or model
    )
    for name, hub in paper_tables.HUB.items():
        if last.lower() == hub.split("/")[1].lower():
            return name, True
    return last, False


def departures(settings: Mapping, further: bool = False) -> list[str]:
    """What of a run's settings is not the paper's: "steps 8, not 5000". further: a run that continues another's adapter."""
    if settings["condition"] == "B0":
        wanted = {"load_in_4bit": True, "probes": "triad", "probe_sets": None}
    else:
        wanted = dict(
            INTERVENTIONS.get(settings.get("intervention"), INTERVENTIONS["strong"])
        )
        wanted |= _CSR if settings.get("csr_lambda") else {}
        wanted |= {"max_steps": _FURTHER_STEPS} if further else {}
    root = settings.get("data_root") if "data_root" in wanted else None
    texts = (
        []
        if root is None
        else [
            f"{'embedded texts' if root == 'embedded' else f'texts of {root}'}, not the published data"
        ]
    )
    return (
        _differing(settings, {n: v for n, v in wanted.items() if n != "data_root"})
        + texts
    )


def _differing(found: Mapping, wanted: Mapping) -> list[str]:
    """What of a record is not as wanted; what it does not say is."""
    named = lambda v: "+".join(v) if isinstance(v, (list, tuple)) else v
    pairs = [(name, found.get(name, value), value) for name, value in wanted.items()]
    return [
        f"{n} {named(v)}, not {named(w)}"
        for n, v, w in pairs
        if (tuple(v) if isinstance(v, list) else v) != w
    ]


def classify(found: records.Collection) -> MatchedResults:
    """Shelves of a collection; nothing is dropped without a note."""
    origins, notes = _origins(found.runs), []
    trained = [_place_run(run, origins, notes) for run in found.runs]
    by_folder = {
        placed.record.folder: (placed, of_paper) for placed, of_paper in trained
    }
    evaluated = [
        p for e in found.evaluations if (p := _place_evaluation(e, by_folder, notes))
    ]
    crossed = [
        _place_base(c, c.found, "hexad", {}, by_folder, notes) for c in found.crosstalks
    ]
    single = [
        _place_base(s, s.layers[-1], "triad", _TERMINAL, by_folder, notes)
        for s in found.singles
    ]
    shelf = lambda own: ResultSet(
        _once([p for p, mine in trained if mine == own], notes, own),
        _once([p for p, mine in evaluated if mine == own], notes, own),
        _once([p for p, mine in crossed if mine == own], notes, own),
        _once([p for p, mine in single if mine == own], notes, own),
        origins,
    )
    return MatchedResults(
        _one_probe_set(shelf(True), notes), _labelled(shelf(False)), tuple(notes)
    )


def _origins(runs: Sequence[records.Run]) -> dict[str, records.Run]:
    """By folder: the run whose adapter it began from, known by the adapter's hash, or else by its path."""
    by_hash = {
        r.summary["adapter_hash"]: r
        for r in runs
        if r.summary and r.summary.get("adapter_hash")
    }
    found = {}
    for run in runs:
        start = run.settings.get("adapter")
        if start:
            origin = by_hash.get(run.record.get("start")) or _by_path(start, runs)
            if origin is not None and origin is not run:
                found[run.folder] = origin
    return found


def _by_path(path: str, runs: Iterable[records.Run]) -> records.Run | None:
    """The run whose folder a path to an adapter ends in: the longest such."""
    parts = pathlib.PurePath(path).parts
    parts = parts[:-1] if parts and parts[-1] == run_folder.ADAPTER else parts
    ends = [(r, pathlib.PurePath(r.folder).parts) for r in runs]
    matching = [(len(end), r) for r, end in ends if end and parts[-len(end) :] == end]
    return max(matching, key=lambda m: m[0])[1] if matching else None


def _place_run(
    run: records.Run, origins: Mapping, notes: list
) -> tuple[KeyedResult, bool]:
    settings = run.settings
    name, published = model_name(settings["model"])
    condition = settings["condition"]
    if settings.get("adapter"):
        origin = origins.get(run.folder)
        condition = f"{origin.settings['condition'] if origin else '?'}>{condition}"
        if origin is None:
            notes.append(
                records.Note(
                    run.folder,
                    f"continues {settings['adapter']}, which is none of these runs",
                )
            )
    key = {"model": name, "condition": condition}
    if condition != "B0":
        key |= {
            "intervention": settings.get("intervention", "strong"),
            "seed": settings["seed"],
        }
    if settings["condition"] == "B4" or settings.get("csr_lambda"):
        key["lambda"] = settings.get("csr_lambda", _LAMBDA)
    wrong = departures(settings, bool(settings.get("adapter"))) if published else []
    if wrong:
        notes.append(
            records.Note(
                run.folder, f"among the other models and settings: {'; '.join(wrong)}"
            )
        )
    return KeyedResult(
        key, run, run.folder
    ), published and not wrong and "?" not in condition


def _place_evaluation(
    one: records.Evaluation, by_folder: Mapping, notes: list
) -> tuple[KeyedResult, bool] | None:
    settings = one.settings
    name, published = model_name(settings["model"])
    key, own, of = {"model": name, "condition": "B0"}, published, None
    if settings["adapter"]:
        inside = by_folder.get(
            str(pathlib.PurePath(one.folder).parent)
        )  # as companions.py puts it
        origin = (
            inside[0].record
            if inside
            else _by_path(
                settings["adapter"], [p.record for p, _ in by_folder.values()]
            )
        )
        if origin is None:
            notes.append(
                records.Note(
                    one.folder,
                    f"of the adapter {settings['adapter']}, which is of none of these runs",
                )
            )
            return KeyedResult(
                {"model": name, "condition": f"adapter {settings['adapter']}"}, one
            ), False
        placed, own = by_folder[origin.folder]
        key, of = dict(placed.key), origin.folder
    wrong = _differing(settings, _CODING) + [one.scores["subset"]] * bool(
        one.scores["subset"]
    )
    if own and wrong:
        notes.append(
            records.Note(
                one.folder, f"among the other models and settings: {'; '.join(wrong)}"
            )
        )
    return KeyedResult(key, one, of), own and not wrong


def _place_base(
    record,
    about: Mapping,
    probe_set: str,
    further: Mapping,
    by_folder: Mapping,
    notes: list,
) -> tuple[KeyedResult, bool]:
    """A record of a checkpoint: the base model's, or an adapter's. What it departs in becomes part of a base model's name."""
    name, published = model_name(about["model"])
    if about.get("adapter"):
        origin = _by_path(about["adapter"], [p.record for p, _ in by_folder.values()])
        key = (
            by_folder[origin.folder][0].key
            if origin
            else {"model": name, "condition": f"adapter {about['adapter']}"}
        )
        return KeyedResult(key, record, origin.folder if origin else None), False
    layer = {"layer": _LAYERS[name]} if published and further else {}
    wrong = _differing(about, {"probe_set": probe_set}) or _differing(
        about, {"probes": _PROBES[probe_set]}
    )
    wrong += _differing(about, _FIT | further | layer)
    if wrong and published:
        notes.append(
            records.Note(
                record.folder,
                f"among the other models and settings: {'; '.join(wrong)}",
            )
        )
    return KeyedResult(
        {"model": f"{name} ({'; '.join(wrong)})" if wrong else name, "condition": "B0"},
        record,
    ), published and not wrong


def _once(placed: list[KeyedResult], notes: list, own: bool) -> tuple[KeyedResult, ...]:
    """The first record of each key in the paper's cells; all others, but for copies of one record."""
    kept: dict = {}
    for one in sorted(
        placed,
        key=lambda p: (
            isinstance(p.record, records.Run) and p.record.summary is None,
            p.record.folder,
        ),
    ):
        mark = tuple(sorted(one.key.items(), key=lambda i: i[0]))
        if not own:
            mark = (*mark, one.record.folder)
        if mark in kept:
            notes.append(
                records.Note(
                    one.record.folder,
                    f"not used: {kept[mark].record.folder} is the same cell",
                )
            )
        else:
            kept[mark] = one
    return tuple(sorted(kept.values(), key=lambda p: p.record.folder))


def _one_probe_set(shelf: ResultSet, notes: list) -> ResultSet:
    """The runs, and measurements on their own, on the probe set that most runs share (without runs: most measurements)."""
    single = lambda p: isinstance(p.record, records.Single)
    of = lambda p: (
        p.record.layers[-1].get("probe_hash")
        if single(p)
        else (p.record.record.get("probes") or {}).get("hash")
    )
    counted = [*map(of, shelf.runs)] or [h for h in map(of, shelf.singles) if h]
    if not counted:
        return shelf
    most = collections.Counter(counted).most_common(1)[0][0]
    shares = lambda p: of(p) == most or (single(p) and of(p) is None)
    for placed in (*shelf.runs, *shelf.singles):
        if not shares(placed):
            notes.append(
                records.Note(
                    placed.record.folder,
                    f"not used: probe set {of(placed)}, the others' is {most}",
                )
            )
    return dataclasses.replace(
        shelf,
        runs=tuple(filter(shares, shelf.runs)),
        singles=tuple(filter(shares, shelf.singles)),
    )


def _labelled(shelf: ResultSet) -> ResultSet:
    """Runs of one name that differ in settings get what differs into their model's name, so that none are averaged together."""
    groups = collections.defaultdict(list)
    for placed in shelf.runs:
        settings = placed.record.settings
        groups[
            placed.key["model"],
            placed.key.get("intervention"),
            bool(settings.get("adapter")),
        ].append(placed)
    named: dict[str, str] = {}
    for members in groups.values():
        every = [_facts(p.record) for p in members]
        fields = dict.fromkeys(f for e in every for f in e)
        differing = [
            f for f in fields if len({repr(e[f]) for e in every if f in e}) > 1
        ]
        for placed, facts in zip(members, every):
            extra = ", ".join(f"{f} {facts[f]}" for f in differing if f in facts)
            named[placed.record.folder] = (
                f"{placed.key['model']} ({extra})" if extra else placed.key["model"]
            )
    repeats = collections.Counter()
    for placed in shelf.runs:
        mark = (
            named[placed.record.folder],
            *sorted((n, str(v)) for n, v in placed.key.items() if n != "model"),
        )
        repeats[mark] += 1
        if repeats[mark] > 1:
            named[placed.record.folder] += f" [{repeats[mark]}]"
    relabel = lambda p: dataclasses.replace(
        p, key=dict(p.key) | {"model": named.get(p.of, p.key["model"])}
    )
    every = {
        f: tuple(map(relabel, getattr(shelf, f)))
        for f in ("runs", "evaluations", "singles")
    }
    return dataclasses.replace(shelf, **every)


def _facts(run: records.Run) -> dict:
    """What else than its cell decides a run's result."""
    idle = _NO_MATTER | (
        set()
        if run.settings.get("csr_lambda")
        else {n for n in run.settings if n.startswith("csr_")}
    )
    idle |= set() if run.settings["condition"] == "B5" else {"curriculum_steps"}
    settings = {n: v for n, v in run.settings.items() if n not in _CELL | idle}
    short = lambda h: h[:8] if isinstance(h, str) else h
    return settings | {
        "checkpoint": short(run.record.get("model_hash")),
        "probe set": short((run.record.get("probes") or {}).get("hash")),
    }
