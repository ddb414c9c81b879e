"""Samples to pass or fail: evalplus 0.3.1 in a process of its own, code in a sandbox.

`score_samples` reads samples.jsonl in a folder and writes beside it

    eval_results.json   evalplus's own file
    scores.json         the counts, how each sample ended, versions, limits, and the
                        hash of samples.jsonl
    evalplus.log        what the process printed

How a sample ends, for the base and for the plus tests:

    pass      every test held
    wrong     a test failed, or its call raised
    error     no test was reached: the code does not parse, raises when executed, or
              lacks the function
    timeout   the limit of a test struck (evalplus: "fail"), or that of the whole suite
              (60 s at most in evalplus)
    died      the process ended without a verdict: os._exit, a crash, a limit of the
              sandbox (evalplus: "timeout")

Plus counts as evalplus counts it: base and plus both pass. Two numbers are kept: the
true count, and `as_released`, because evalplus 0.3.1 can pass no solution of
HumanEval/32 (its find_zero branch records no result; repaired upstream since). The
module imports neither jax nor evalplus.
"""

import collections
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from jaxent import json_files
from jaxent.evaluate import (
    benchmarks,
    evalplus_process,
    resource_limits,
    sample_files,
    sandbox,
)

SCORES = "scores.json"
RESULTS = "eval_results.json"
LOG = "evalplus.log"
OUTCOMES = ("pass", "wrong", "error", "timeout", "died")


@dataclasses.dataclass(frozen=True)
class Ended:
    """How one sample ended.

    Attributes:
        task_id: Its problem.
        base: One of OUTCOMES for the base tests.
        plus: One of OUTCOMES for the plus tests alone.
        unrecorded: Suites that passed, and that evalplus 0.3.1 counts as failed.
    """

    task_id: str
    base: str
    plus: str
    unrecorded: tuple[str, ...] = ()

    def outcome(self, suite: str, as_released: bool = False) -> str:
        """How the sample ended in a suite.

        Args:
            suite: "base" or "plus". A sample that fails the base tests fails plus in
                the same way.
            as_released: Whether to count as evalplus 0.3.1 does.

        Returns:
            One of OUTCOMES.

        Example:
            >>> Ended("HumanEval/0", "wrong", "pass").outcome("plus")
            'wrong'
        """
        suites = ("base",) if suite == "base" else ("base", "plus")
        if as_released and set(suites) & set(self.unrecorded):
            return "wrong"
        failures = [getattr(self, s) for s in suites if getattr(self, s) != "pass"]
        return failures[0] if failures else "pass"


@dataclasses.dataclass(frozen=True)
class Scores:
    """How every sample ended, and what the numbers depend on.

    Attributes:
        ended: The samples, in the order of samples.jsonl.
        subset: What is said of problems that are not the whole benchmark; else empty.
        data: Benchmark, version, md5 and number of the problems.
        limits: Time limits, workers and the fields of `resource_limits.Limits`.
        sandbox: The fields of `sandbox.Protections`.
        versions: Of evalplus and Python, and whether HumanEval/32 was repaired.
        samples_sha256: Of samples.jsonl.
    """

    ended: tuple[Ended, ...]
    subset: str
    data: dict
    limits: dict
    sandbox: dict
    versions: dict
    samples_sha256: str

    def counts(self, suite: str, as_released: bool = False) -> dict[str, int]:
        """How many samples ended in which way.

        Args:
            suite: "base" or "plus".
            as_released: Whether to count as evalplus 0.3.1 does.

        Returns:
            The number of samples for each of OUTCOMES.
        """
        numbers = collections.Counter(e.outcome(suite, as_released) for e in self.ended)
        return {outcome: numbers[outcome] for outcome in OUTCOMES}

    def pass_at(self, k: int, suite: str, as_released: bool = False) -> float:
        """The unbiased estimate of pass@k (Chen et al. 2021, equation 1).

        The mean over problems of 1 - C(n - c, k) / C(n, k), with n samples of a problem
        of which c pass.

        Args:
            k: Samples that are drawn of each problem.
            suite: "base" or "plus".
            as_released: Whether to count as evalplus 0.3.1 does.

        Returns:
            A probability.

        Raises:
            ValueError: If a problem has fewer than k samples.

        Example:
            >>> ended = (Ended("a", "pass", "pass"), Ended("a", "wrong", "pass"))
            >>> Scores(ended, "", {}, {}, {}, {}, "").pass_at(1, "plus")
            0.5
        """
        passed = collections.defaultdict(list)
        for e in self.ended:
            passed[e.task_id].append(e.outcome(suite, as_released) == "pass")
        fewest = min(map(len, passed.values()))
        if not 1 <= k <= fewest:
            raise ValueError(
                f"pass@{k} of {fewest} samples a problem, expected 1 <= k <= {fewest}"
            )
        rates = []
        for samples in passed.values():
            n, c = len(samples), sum(samples)
            rates.append(1 - math.comb(n - c, k) / math.comb(n, k))
        return math.fsum(rates) / len(rates)


def summary(scores: Scores) -> str:
    """Lines for people, the last of which marks a subset.

    Args:
        scores: The scores.

    Returns:
        The lines: pass@1 and the counts of each suite, of HumanEval counted both ways.
    """
    benchmark = benchmarks.BENCHMARKS[scores.data.get("benchmark", "humaneval")]
    # Only HumanEval has a problem that evalplus 0.3.1 miscounts.
    ways = {False: "; HumanEval/32 repaired", True: "; as evalplus 0.3.1 counts"}
    if benchmark is not benchmarks.HUMANEVAL:
        ways = {False: ""}
    lines = []
    for suite, plus in (("base", ""), ("plus", "+")):
        for released, how in ways.items():
            counts = scores.counts(suite, released)
            ends = ", ".join(f"{number} {end}" for end, number in counts.items())
            rate = scores.pass_at(1, suite, released)
            name = benchmark.title + plus
            lines.append(f"{name:<11}pass@1 {rate:.4f}  ({ends}{how})")
    if scores.subset:
        lines.append(scores.subset.upper())
    return "\n".join(lines)


def score_samples(
    folder: str | os.PathLike,
    problems: benchmarks.Problems,
    *,
    min_time_limit: float = 10.0,
    gt_time_limit_factor: float = 20.0,
    workers: int | None = None,
    limits: resource_limits.Limits = resource_limits.Limits(),
    allow_unsandboxed: bool = False,
    repair: bool = True,
) -> Scores:
    """Scores samples.jsonl of a folder, anew every time.

    A test may take max(min_time_limit, gt_time_limit_factor x the canonical solution's
    time) seconds. evalplus's own 1 and 4 are too tight for a slow or busy machine.

    Args:
        folder: The folder of samples; the results are written there.
        problems: The problems that the samples solve.
        min_time_limit: Seconds that every test may take.
        gt_time_limit_factor: Multiple of the canonical solution's time.
        workers: Samples checked at the same time; None is one for each core.
        limits: What a program may use.
        allow_unsandboxed: Whether to score where no namespaces can be had.
        repair: Whether HumanEval/32 can pass; False leaves it as released.

    Returns:
        The scores, as written to scores.json.

    Raises:
        PermissionError: Without a sandbox, unless that is allowed.
        ValueError: If a problem has no sample, or fewer than another.
        RuntimeError: If evalplus fails; the message ends with its log.
    """
    folder = pathlib.Path(folder)
    content = (folder / sample_files.SANITIZED).read_bytes()
    samples = sample_files.read_samples(folder / sample_files.SANITIZED)
    _check_complete(samples, problems, folder)
    protections = sandbox.require_protections(allow_unsandboxed)
    settings = {
        "kind": protections.kind,
        "limits": dataclasses.asdict(limits),
        "repair": repair,
        "keep": not problems.subset,
        "evaluate": {
            "parallel": workers or len(os.sched_getaffinity(0)),
            "min_time_limit": min_time_limit,
            "gt_time_limit_factor": gt_time_limit_factor,
        },
    }
    results, notes = evalplus_process.run(
        content, len(samples), problems, settings, folder / LOG
    )
    parsed = json_files.parse_json(results, RESULTS, finite=False)
    _check_results(parsed, samples, problems)
    ended = _match_notes(notes, samples)
    scores = _make_scores(ended, problems, content, settings, protections)
    sample_files.write(folder / RESULTS, results)
    sample_files.write(folder / SCORES, json.dumps(_record(scores), indent=1) + "\n")
    return scores


def _make_scores(
    ended: tuple[Ended, ...],
    problems: benchmarks.Problems,
    content: bytes,
    settings: dict[str, Any],
    protections: sandbox.Protections,
) -> Scores:
    """How the samples ended, and all that it depends on."""
    evaluate = settings["evaluate"]
    limits = {
        "min_time_limit": evaluate["min_time_limit"],
        "gt_time_limit_factor": evaluate["gt_time_limit_factor"],
        "workers": evaluate["parallel"],
    }
    return Scores(
        ended=ended,
        subset=problems.subset,
        data={
            "benchmark": problems.benchmark.name,
            "version": problems.version,
            "md5": problems.md5,
            "problems": len(problems.items),
        },
        limits=limits | settings["limits"],
        sandbox=dataclasses.asdict(protections),
        versions={
            "evalplus": importlib.metadata.version("evalplus"),
            "python": sys.version.split()[0],
            "repair": settings["repair"],
        },
        samples_sha256=hashlib.sha256(content).hexdigest(),
    )


def load_scores(folder: str | os.PathLike) -> Scores:
    """The scores.json of a folder.

    Args:
        folder: The folder of samples.

    Returns:
        The scores.

    Raises:
        ValueError: If samples.jsonl is no longer the file that was scored.
    """
    folder = pathlib.Path(folder)
    raw = json_files.read_json(folder / SCORES, finite=False)
    sha256 = hashlib.sha256((folder / sample_files.SANITIZED).read_bytes()).hexdigest()
    if sha256 != raw["samples_sha256"]:
        raise ValueError(
            f"{folder / SCORES}: stale, of samples with sha256 "
            f"{raw['samples_sha256']}, found {sha256}"
        )
    fields = {field.name: raw[field.name] for field in dataclasses.fields(Scores)}
    fields["ended"] = tuple(
        Ended(e["task_id"], e["base"], e["plus"], tuple(e["unrecorded"]))
        for e in raw["ended"]
    )
    return Scores(**fields)


def _record(scores: Scores) -> dict:
    """What scores.json holds: pass@1, the counts, then the fields."""
    rates, counts = {}, {}
    for suite in ("base", "plus"):
        for released in (False, True):
            key = f"{suite} as_released" if released else suite
            rates[key] = scores.pass_at(1, suite, released)
            counts[key] = scores.counts(suite, released)
    return {"pass@1": rates, "counts": counts} | dataclasses.asdict(scores)


def _check_complete(
    samples: Sequence[sample_files.Sample],
    problems: benchmarks.Problems,
    folder: pathlib.Path,
) -> None:
    """ValueError unless every problem has equally many samples, and no other has."""
    file = folder / sample_files.SANITIZED
    numbers = collections.Counter(sample.task_id for sample in samples)
    wanted = [problem.task_id for problem in problems.items]
    most = max(numbers.values(), default=1)
    for task_id in wanted:
        if numbers[task_id] != most:
            raise ValueError(
                f"{file}: {numbers[task_id]} samples of {task_id}, expected {most}"
            )
    surplus = sorted(numbers.keys() - set(wanted))
    if surplus:
        raise ValueError(
            f"{file}: samples of {surplus[0]}, which is not among the {len(wanted)} "
            "problems"
        )


def _match_notes(
    notes: list[dict[str, Any]], samples: Sequence[sample_files.Sample]
) -> tuple[Ended, ...]:
    """The child's notes in the order of the samples.

    `completion_id` numbers the samples of one task.
    """
    by_sample = {(note["task_id"], note["completion_id"]): note for note in notes}
    numbers: collections.Counter[str] = collections.Counter()
    ended = []
    for sample in samples:
        task_id = sample.task_id
        note = by_sample[task_id, numbers[task_id]]
        numbers[task_id] += 1
        unrecorded = tuple(s for s in ("base", "plus") if note[s]["unrecorded"])
        base, plus = note["base"]["outcome"], note["plus"]["outcome"]
        ended.append(Ended(task_id, base, plus, unrecorded))
    return tuple(ended)


def _check_results(
    results: dict[str, Any],
    samples: Sequence[sample_files.Sample],
    problems: benchmarks.Problems,
) -> None:
    """ValueError unless evalplus's file is of these samples and these problems."""
    if results["hash"] != problems.md5:
        raise ValueError(
            f"{RESULTS}: of data with md5 {results['hash']}, expected {problems.md5}"
        )
    rows = [row for rows in results["eval"].values() for row in rows]
    scored = sorted((row["task_id"], row["solution"]) for row in rows)
    if scored != sorted((sample.task_id, sample.solution) for sample in samples):
        raise ValueError(
            f"{RESULTS}: {len(scored)} solutions that are not the {len(samples)} of "
            f"{sample_files.SANITIZED}"
        )
