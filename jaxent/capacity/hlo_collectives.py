"""What a compiled program sends between chips, read off its text."""

import collections
import math
import re

KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
)
_BYTES = {
    "pred": 1,
    "s4": 1,
    "u4": 1,
    "s8": 1,
    "u8": 1,
    "s16": 2,
    "u16": 2,
    "bf16": 2,
    "f16": 2,
    "s32": 4,
    "u32": 4,
    "f32": 4,
    "s64": 8,
    "u64": 8,
    "f64": 8,
}
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_CALLED = re.compile(
    r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_LOOP = re.compile(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_KNOWN = re.compile(r"known_trip_count\W+n\W+(\d+)")


def received_bytes(text: str, loops: int, devices: int) -> dict[str, float]:
    """Bytes that one chip receives in one run, by kind of collective, from HLO text.

    With n chips in a group and S bytes of the whole array: all-gather, reduce-scatter
    and all-to-all (n - 1) / n S, all-reduce twice that, permute S, as rings move them.
    What is in the body of a loop counts as often as it runs: as the text says, which is
    so for the scans over layers and chunks; loops that do not say it (their count is an
    argument) run `loops` times. Of a conditional all branches count.
    """
    computations, entry = _computations(text)
    total = dict.fromkeys(KINDS, 0.0)

    def walk(name: str, times: int) -> None:
        for line in computations.get(name, ()):
            if found := _LOOP.search(line):
                count = _count(line, computations.get(found[1], ()))
                walk(found[2], times * (loops if count is None else count))
                continue
            if found := _COLLECTIVE.search(line):
                kind, size = _one(line, found, devices)
                # XLA:TPU writes a reduce-scatter as a fusion of this name.
                if kind == "all-reduce" and "all-reduce-scatter" in name:
                    kind, size = "reduce-scatter", size / 2
                total[kind] += times * size
                continue
            called = _CALLED.findall(line)
            if branches := _BRANCHES.search(line):
                called += [b.strip().lstrip("%") for b in branches[1].split(",")]
            for other in called:
                walk(other, times)

    walk(entry, 1)
    return total


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """(lines by computation, the entry's name)."""
    found, entry, current = collections.defaultdict(list), "", None
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            current = head[2]
            entry = current if head[1] else entry
        elif current is not None:
            found[current].append(line)
    return found, entry


def _count(line: str, condition) -> int | None:
    """How often a loop runs.

    Its stated count, or the constant that its counter, from 0, is compared with; None
    where neither is there.
    """
    if known := _KNOWN.search(line):
        return int(known[1])
    constants = dict(
        re.findall(r"%([\w.\-]+) = s32\[\]\S* constant\((\d+)\)", "\n".join(condition))
    )
    root = next(
        (text for text in condition if "ROOT" in text and "direction=LT" in text), ""
    )
    bounds = [
        int(constants[name])
        for name in re.findall(r"%([\w.\-]+)", root.split("compare(")[-1])
        if name in constants
    ]
    return bounds[0] if bounds else None


def _one(line: str, found, devices: int) -> tuple[str, float]:
    """(kind, bytes received) of one collective."""
    shape, kind, started = found.groups()
    sizes = [
        _BYTES.get(t, 4) * math.prod(map(int, filter(None, dims.split(","))))
        for t, dims in re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", shape)
    ]
    if started and kind in ("all-gather", "collective-permute"):
        sizes = [max(sizes)]  # of (operands, results, ...)
    size, n = sum(sizes), _group(line, devices)
    if kind == "collective-permute":
        return kind, size
    if kind == "reduce-scatter":
        size *= n
    return kind, (2 if kind == "all-reduce" else 1) * size * (n - 1) / n


def _group(line: str, devices: int) -> int:
    """Chips in a group of a collective.

    Replica_groups is {{0,1},{2,3}}, [groups,chips]<=..., or a mesh and some of its
    axes.
    """
    if found := re.search(r"replica_groups=\{\{([\d,]*)\}", line):
        return found[1].count(",") + 1
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(found[1])
    if found := re.search(r"replica_groups=mesh\[([^\]]*)\]\s*\{([^}]*)\}", line):
        sizes = dict(re.findall(r"'([^']+)'=(\d+)", found[1]))
        return math.prod(
            int(sizes[name]) for name in re.findall(r"'([^']+)'", found[2])
        )
    return devices
