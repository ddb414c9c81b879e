"""Factorial probe texts: domain x register x shape of reasoning, in replicate sets.

A probe set is cells x replicates, never a fixed number (section 3.2 states 48, its
accuracies imply 60, section 6.1 states 480). Each replicate covers every cell once, on
topics of its own.
"""

import collections
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from jaxent import json_files

FACTORS = ("domain", "register", "shape")
REGISTERS = ("formal", "informal", "technical", "conversational")
SHAPES = ("hierarchical", "causal", "constraint", "evidence")
_TRIAD = ("code", "math", "medical")
_HEXAD = ("code", "math", "logic", "medical", "legal", "creative")
DOMAINS = {
    "triad": _TRIAD,
    "hexad": _HEXAD,
    "triad_v2": _TRIAD,
    "hexad_v2": _HEXAD,
}
"""The domains of each set of the package; version 2 hides register from word counts."""
_FOLDER = pathlib.Path(__file__).with_name("probes")
_LABEL_WORDS = re.compile(
    r"\b(code|coding|coder|math|medic|legal|logic|creativ|formal|informal|technical"
    r"|conversation|hierarch|causal|cause|causing|constrain|evidence|evident)",
    re.IGNORECASE,
)
_WORDS = (25, 45)  # words a text
_CELL_TOLERANCE = 0.12  # of a cell's mean length, relative to the set's


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
    source: str = ""  # who wrote it, and how

    @property
    def cell(self) -> tuple[str, str, str]:
        """Domain, register and shape."""
        return self.domain, self.register, self.shape


@dataclasses.dataclass(frozen=True)
class ProbeSet:
    """Named probes in order."""

    name: str
    probes: tuple[Probe, ...]

    @property
    def hash(self) -> str:
        """The sha256 of labels and texts, kept with every number measured on them."""
        lines = "\n".join(
            f"{p.domain}\t{p.register}\t{p.shape}\t{p.replicate}\t{p.text}"
            for p in self.probes
        )
        return hashlib.sha256(lines.encode()).hexdigest()[:16]

    @property
    def texts(self) -> list[str]:
        """The texts in order."""
        return [p.text for p in self.probes]

    @property
    def labels(self) -> list[dict]:
        """One dict a probe: domain, register, shape, replicate."""
        names = (*FACTORS, "replicate")
        return [{name: getattr(p, name) for name in names} for p in self.probes]


def load_probes(source: str, replicates: int | None = None) -> ProbeSet:
    """A set of the package, or a JSONL file of one's own with the same fields.

    Args:
        source: a name in `DOMAINS`, or a file.
        replicates: How many replicate sets, from the first; None: all.

    Returns:
        The probes, sorted by replicate.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line is malformed, the set is not balanced, or a topic is in two
            replicate sets; the message names the line, the cell or the topic.

    Example:
        >>> probe_set = load_probes("triad", replicates=2)
        >>> len(probe_set.probes), probe_set.labels[0]["domain"]
        (96, 'code')
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
                f"probes {source!r}: {replicates} replicates asked for,"
                f" expected 1 to {available}"
            )
        probes = [p for p in probes if p.replicate < replicates]
    probes.sort(key=lambda p: p.replicate)
    check_balance(probes, source)
    check_topics(probes, source)
    return ProbeSet(source if source in DOMAINS else files[0].stem, tuple(probes))


def _read(file: pathlib.Path) -> list[Probe]:
    probes = []
    for number, line in json_files.read_lines(file):
        fields = json_files.parse_json(line, str(file), line=number)
        _check_fields(fields, f"{file}, line {number}")
        probes.append(Probe(**fields))
    if not probes:
        raise json_files.FileError(str(file), ": no probes")
    return probes


def _check_fields(fields: dict[str, Any], where: str) -> None:
    """FileError unless a line has a probe's fields with values of the right types."""
    expected = sorted(field.name for field in dataclasses.fields(Probe))
    expected.remove("source")
    names = sorted({*fields} - {"source"})
    if names != expected:
        raise json_files.FileError(where, f": fields {names}, expected {expected}")
    for name, value in fields.items():
        if name == "replicate":
            if type(value) is not int or value < 0:
                problem = f": replicate {value!r}, expected 0, 1, ..."
                raise json_files.FileError(where, problem)
        elif not isinstance(value, str) or not value.strip():
            raise json_files.FileError(where, f": {name} {value!r}, expected text")


def check_balance(probes: Sequence[Probe], where: str) -> None:
    """Checks that each replicate has every cell once and no text or id comes twice.

    Args:
        probes: The probes.
        where: The name of the set, for errors.

    Raises:
        ValueError: It is not so; the message names the cell, the text or the id.

    Example:
        >>> probes = load_probes("triad").probes[1:]
        >>> check_balance(probes, "mine")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: probes 'mine': replicate 0 has 0 texts in cell ..., expected 1
    """
    levels = [sorted({getattr(p, factor) for p in probes}) for factor in FACTORS]
    cells = [(d, r, s) for d in levels[0] for r in levels[1] for s in levels[2]]
    for replicate in range(max(p.replicate for p in probes) + 1):
        counts = collections.Counter(p.cell for p in probes if p.replicate == replicate)
        for cell in cells:
            if counts[cell] != 1:
                raise ValueError(
                    f"probes {where!r}: replicate {replicate} has {counts[cell]} texts"
                    f" in cell {cell}, expected 1"
                )
    for field in ("text", "id"):
        uses = collections.Counter(getattr(p, field) for p in probes)
        value, count = uses.most_common(1)[0]
        if count > 1:
            raise ValueError(
                f"probes {where!r}: the {field} {value!r} appears {count} times"
            )


def check_topics(probes: Sequence[Probe], where: str) -> None:
    """Checks that no two replicate sets share a topic.

    Sets with a common topic are no independent draws: their intervals do not cover, and
    CVO, which compares sets, takes what the topic gives for noise-free structure.

    Args:
        probes: The probes.
        where: The name of the set, for errors.

    Raises:
        ValueError: Two sets share one; the message names the topic and the sets.

    Example:
        >>> check_topics(load_probes("hexad").probes, "hexad")
    """
    first: dict[str, int] = {}
    for p in probes:
        replicate = first.setdefault(p.topic.strip().casefold(), p.replicate)
        if replicate != p.replicate:
            raise ValueError(
                f"probes {where!r}: the topic {p.topic!r} is in replicates {replicate}"
                f" and {p.replicate}, expected in one: sets that share a topic are not"
                " independent"
            )


def find_problems(probes: Sequence[Probe]) -> list[str]:
    """What a careful reader would object to.

    Label words in texts, texts too short or long, repeated topics, labels that are
    none, and cells whose texts are longer or shorter than the others'.

    Args:
        probes: The probes.

    Returns:
        One line a problem.

    Example:
        >>> find_problems(load_probes("hexad").probes)
        []
    """
    problems = []
    for p in probes:
        words = len(p.text.split())
        if match := _LABEL_WORDS.search(p.text):
            problems.append(f"{p.id}: label word {match.group()!r}")
        if not _WORDS[0] <= words <= _WORDS[1]:
            problems.append(
                f"{p.id}: {words} words, expected {_WORDS[0]} to {_WORDS[1]}"
            )
        if p.register not in REGISTERS or p.shape not in SHAPES or "\n" in p.text:
            problems.append(
                f"{p.id}: register {p.register!r}, shape {p.shape!r} or a line break"
            )
    topics = collections.Counter(p.topic for p in probes)
    for topic, count in topics.items():
        if count > 1:
            problems.append(f"topic {topic!r} appears {count} times")
    return problems + _unmatched_lengths(probes)


def _unmatched_lengths(probes: Sequence[Probe]) -> list[str]:
    """Cells whose mean length is too far from the whole set's."""
    lengths = collections.defaultdict(list)
    for p in probes:
        lengths[p.cell].append(len(p.text.split()))
    overall = sum(map(sum, lengths.values())) / len(probes)
    means = {cell: sum(values) / len(values) for cell, values in lengths.items()}
    return [
        f"cell {cell}: {mean:.1f} words on average, the set {overall:.1f}"
        for cell, mean in sorted(means.items())
        if abs(mean / overall - 1) > _CELL_TOLERANCE
    ]
