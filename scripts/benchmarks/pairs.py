"""Two ways of doing the same work, timed in turn in one process.

A round runs each side once: ours, theirs, ours, theirs, ... A ratio is that of one
round, and the median of the rounds counts: what slows the machine for a while slows
both sides.
"""

import contextlib
import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

_COMPILE_EVENT = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass(frozen=True)
class Spent:
    """What one run took, in seconds.

    A side's function may return one, where its clock is not ours to hold: of a child
    process, or extrapolated.

    Attributes:
      wall: by the clock.
      processor: of all threads and of ended child processes.
      compiling: of `wall`, in XLA's compiler.
      programs: compiled within it.
      peak: bytes of its own memory at most, where that was watched.
    """

    wall: float
    processor: float
    compiling: float = 0.0
    programs: int = 0
    peak: int | None = None


@dataclasses.dataclass(frozen=True)
class Workload:
    """The same work as several functions.

    Attributes:
      unit: what the work is counted in, such as "tokens".
      amount: of it in one run; or a function of what our first run returns.
      ours: does the work and waits for the result.
      theirs: as `ours`, by name of the peer and its setting.
      flops: floating-point operations that one run cannot do without; None: not
        counted.
      fastest_only: whether only the peer that was fastest when all warmed up is timed.
      remark: what a reader of the row must know.
      agreement: from what our first run and a peer's return to the share of equal
        results; None: not compared.
    """

    unit: str
    amount: float | Callable[[Any], float]
    ours: Callable[[], Any]
    theirs: Mapping[str, Callable[[], Any]] = dataclasses.field(default_factory=dict)
    flops: float | None = None
    fastest_only: bool = False
    remark: str = ""
    agreement: Callable[[Any, Any], float] | None = None


@dataclasses.dataclass(frozen=True)
class Timing:
    """What the sides of a workload took.

    Attributes:
      amount: of the work in one run.
      first: by side, its first run, which warms up and compiles. "ours" is our side.
      rounds: by side, its timed runs, in order.
      agreement: by peer, the share of results that equal ours; empty where they are
        not compared.
    """

    amount: float
    first: dict[str, Spent]
    rounds: dict[str, list[Spent]]
    agreement: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How many times as long the other side takes, round by round.

    Attributes:
      median: of the rounds.
      low: the least of the rounds.
      high: the most of the rounds.

    Example:
      >>> Ratio(1.5, 1.25, 2.0)
      1.50 (1.25 to 2.00)
    """

    median: float
    low: float
    high: float

    def __repr__(self):
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """The median of the pairwise ratios theirs / ours, and their spread.

    Args:
      ours: seconds of each round.
      theirs: the other side's, in the same order.

    Raises:
      ValueError: there are no rounds, or not as many of each.

    Example:
      >>> ratio([1.0, 2.0, 1.0], [2.0, 3.0, 9.0])
      2.00 (1.50 to 9.00)
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(
            f"{len(ours)} rounds beside {len(theirs)}: expected as many, one at least"
        )
    ratios = [t / o for o, t in zip(ours, theirs)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))


def processor_seconds() -> float:
    """Processor time of this process's threads and of its ended children."""
    return sum(os.times()[:4])


@contextlib.contextmanager
def count_compilations() -> Iterator[list[float]]:
    """Collects the seconds of each program that XLA compiles in the block."""
    seconds: list[float] = []

    def note(event: str, duration: float, **_) -> None:
        if event == _COMPILE_EVENT:
            seconds.append(duration)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield seconds
    finally:
        jax.monitoring.unregister_event_duration_listener(note)


def clock(run: Callable[[], Any]) -> tuple[Spent, Any]:
    """What a run takes, and what it returns.

    Args:
      run: the work; where it returns a `Spent`, that is what it took.
    """
    with count_compilations() as compiled:
        processor, wall = processor_seconds(), time.perf_counter()
        result = run()
        wall = time.perf_counter() - wall
        processor = processor_seconds() - processor
    if isinstance(result, Spent):
        return result, result
    return Spent(wall, processor, sum(compiled), len(compiled)), result


def measure(workload: Workload, rounds: int) -> Timing:
    """Warms every side up, then times them in turn.

    Args:
      workload: the sides.
      rounds: timed runs of each.

    Example:
      >>> timing = measure(Workload("sums", 3.0, lambda: sum(range(9))), rounds=2)
      >>> timing.amount, list(timing.rounds), len(timing.rounds["ours"])
      (3.0, ['ours'], 2)
    """
    first, agreement = {}, {}
    first["ours"], result = clock(workload.ours)
    for name, run in workload.theirs.items():
        first[name], other = clock(run)
        if workload.agreement is not None:
            agreement[name] = workload.agreement(result, other)
    timed = {"ours": workload.ours, **workload.theirs}
    if workload.fastest_only and workload.theirs:
        fastest = min(workload.theirs, key=lambda name: first[name].wall)
        timed = {"ours": workload.ours, fastest: workload.theirs[fastest]}
    taken: dict[str, list[Spent]] = {name: [] for name in timed}
    for _ in range(rounds):
        for name, run in timed.items():
            taken[name].append(clock(run)[0])
    amount = workload.amount
    amount = amount(result) if callable(amount) else amount
    return Timing(amount, first, taken, agreement)
