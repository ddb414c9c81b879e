"""Factorial probe texts: domain x register x shape of reasoning, in replicate sets.

A probe set is cells x replicates, never a fixed number (section 3.2 states 48, its accuracies imply
60, section 6.1 states 480). Each replicate covers every cell once, on topics of its own.
"""

import collections
import dataclasses
import hashlib
import json
import pathlib
import re

FACTORS = ("domain", "register", "shape")
REGISTERS = ("formal", "informal", "technical", "conversational")
SHAPES = ("hierarchical", "causal", "constraint", "evidence")
DOMAINS = {
    "triad": ("code", "math", "medical"),
    "hexad": ("code", "math", "logic", "medical", "legal", "creative"),
}
_FOLDER = pathlib.Path(__file__).with_name("probes")
_LABEL_WORDS = re.compile(
    r"\b(code|coding|coder|math|medic|legal|logic|creativ|formal|informal|technical|conversation|hierarch"
    r"|causal|cause|causing|constrain|evidence|evident)",
    re.IGNORECASE,
)
_WORDS = (25, 45)  # words a text
_CELL_TOLERANCE = 0.12  # a cell's mean length against the set's


@dataclasses.dataclass(frozen=True)
class Probe:
    """One text and its labels."""

    id: str
    domain: str
    register: str
    shape: str
    replicate: int
    topic: str
    text: str


@dataclasses.dataclass(frozen=True)
class ProbeSet:
    """Named probes in order; `hash` (sha256 of labels and texts) goes with every number measured on them."""

    name: str
    probes: tuple[Probe, ...]

    @property
    def hash(self) -> str:
        lines = "\n".join(
            f"{p.domain}\t{p.register}\t{p.shape}\t{p.replicate}\t{p.text}"
            for p in self.probes
        )
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @property
    def texts(self) -> list[str]:
        return [p.text for p in self.probes]

    @property
    def labels(self) -> list[dict]:
        """One dict a probe: domain, register, shape, replicate."""
        return [
            {f: getattr(p, f) for f in (*FACTORS, "replicate")} for p in self.probes
        ]


def load_probes(source: str, replicates: int | None = None) -> ProbeSet:
    """The set `triad` or `hexad`, or a JSONL file of one's own with the same fields; the first `replicates` of it.

    Raises ValueError naming the line or cell of whatever makes it unbalanced or malformed.
    """
    if source in DOMAINS:
        files = [_FOLDER / f"{source}_{domain}.jsonl" for domain in DOMAINS[source]]
    else:
        files = [pathlib.Path(source)]
        if not files[0].is_file():
            raise FileNotFoundError(
                f"probes {source!r}: expected {', '.join(DOMAINS)} or a JSONL file"
            )
    probes = [probe for file in files for probe in _read(file)]
    if replicates is not None:
        available = max(p.replicate for p in probes) + 1
        if not 1 <= replicates <= available:
            raise ValueError(
                f"probes {source!r}: {replicates} replicates asked for, expected 1 to {available}"
            )
        probes = [p for p in probes if p.replicate < replicates]
    probes.sort(key=lambda p: p.replicate)
    check_balance(probes, source)
    return ProbeSet(source if source in DOMAINS else files[0].stem, tuple(probes))


def _read(file: pathlib.Path) -> list[Probe]:
    fields = {f.name for f in dataclasses.fields(Probe)}
    probes = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{file}, line {number}"
        try:
            raw = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: no JSON ({error})") from error
        if not isinstance(raw, dict) or set(raw) != fields:
            raise ValueError(
                f"{where}: fields {sorted(raw) if isinstance(raw, dict) else raw!r}, expected {sorted(fields)}"
            )
        for name, value in raw.items():
            if name == "replicate":
                if type(value) is not int or value < 0:
                    raise ValueError(
                        f"{where}: replicate {value!r}, expected 0, 1, ..."
                    )
            elif not isinstance(value, str) or not value.strip():
                raise ValueError(f"{where}: {name} {value!r}, expected text")
        probes.append(Probe(**raw))
    if not probes:
        raise ValueError(f"{file}: no probes")
    return probes


def check_balance(probes: list[Probe], where: str) -> None:
    """Each replicate holds every cell exactly once, and no text or id appears twice."""
    levels = [sorted({getattr(p, f) for p in probes}) for f in FACTORS]
    cells = {(d, r, s) for d in levels[0] for r in levels[1] for s in levels[2]}
    for replicate in range(max(p.replicate for p in probes) + 1):
        counts = collections.Counter(
            (p.domain, p.register, p.shape) for p in probes if p.replicate == replicate
        )
        for cell in sorted(cells):
            if counts[cell] != 1:
                raise ValueError(
                    f"probes {where!r}: replicate {replicate} has {counts[cell]} texts in cell {cell}, expected 1"
                )
    for field in ("text", "id"):
        most = collections.Counter(getattr(p, field) for p in probes).most_common(1)[0]
        if most[1] > 1:
            raise ValueError(
                f"probes {where!r}: the {field} {most[0]!r} appears {most[1]} times"
            )


def find_problems(probes: list[Probe]) -> list[str]:
    """What a careful reader would object to, one line each: label words, lengths, repeated topics, odd labels."""
    found = []
    for p in probes:
        words = len(p.text.split())
        if match := _LABEL_WORDS.search(p.text):
            found.append(f"{p.id}: label word {match.group()!r}")
        if not _WORDS[0] <= words <= _WORDS[1]:
            found.append(f"{p.id}: {words} words, expected {_WORDS[0]} to {_WORDS[1]}")
        if p.register not in REGISTERS or p.shape not in SHAPES or "\n" in p.text:
            found.append(
                f"{p.id}: register {p.register!r}, shape {p.shape!r} or a line break"
            )
    topics = collections.Counter(p.topic for p in probes)
    found += [f"topic {t!r} appears {n} times" for t, n in topics.items() if n > 1]
    return found + _unmatched_lengths(probes)


def _unmatched_lengths(probes) -> list[str]:
    """Cells whose mean length differs from the whole set's by more than the tolerance."""
    lengths = collections.defaultdict(list)
    for p in probes:
        lengths[p.domain, p.register, p.shape].append(len(p.text.split()))
    overall = sum(map(sum, lengths.values())) / len(probes)
    means = {cell: sum(v) / len(v) for cell, v in lengths.items()}
    return [
        f"cell {cell}: {mean:.1f} words on average, the set {overall:.1f}"
        for cell, mean in sorted(means.items())
        if abs(mean / overall - 1) > _CELL_TOLERANCE
    ]
