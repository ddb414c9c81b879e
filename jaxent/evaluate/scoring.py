"""Samples to pass or fail: evalplus 0.3.1 in a process of its own, generated code in a sandbox.

`score` reads samples.jsonl in a folder and writes beside it

    eval_results.json   evalplus's own file
    scores.json         the counts, how each sample ended, versions, limits, and the hash of samples.jsonl
    evalplus.log        what the process printed

How a sample ends, for the base and for the plus tests:

    pass      every test held
    wrong     a test failed, or its call raised
    error     no test was reached: the code does not parse, raises when executed, or lacks the function
    timeout   a test's limit struck, or the whole suite's (60 s at most in evalplus); evalplus calls the first "fail"
    died      the process ended without a verdict (os._exit, a crash, a limit of the sandbox); evalplus: "timeout"

Plus counts as evalplus counts it: base and plus both pass. Two numbers are kept, because evalplus 0.3.1 can pass
no solution of HumanEval/32 (its find_zero branch records no result; repaired upstream since): the true count, and
`as_released`. Imports neither jax nor evalplus.
"""

import collections
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from jaxent.evaluate import humaneval, sandbox

SCORES, RESULTS, LOG = "scores.json", "eval_results.json", "evalplus.log"
OUTCOMES = ("pass", "wrong", "error", "timeout", "died")
_SUITE = 65.0  # seconds a sample can take in one suite: evalplus's 60, its margins, the start


@dataclasses.dataclass(frozen=True)
class Ended:
    """How one sample ended; `unrecorded` suites passed, and evalplus 0.3.1 counts them as failed."""

    task_id: str
    base: str
    plus: str
    unrecorded: tuple[str, ...] = ()

    def outcome(self, suite: str, as_released: bool = False) -> str:
        """`suite` base or plus; a sample that fails the base tests fails plus in the same way."""
        suites = ("base",) if suite == "base" else ("base", "plus")
        if as_released and set(suites) & set(self.unrecorded):
            return "wrong"
        return next(
            (o for o in (getattr(self, s) for s in suites) if o != "pass"), "pass"
        )


@dataclasses.dataclass(frozen=True)
class Scores:
    """Every sample's end in the order of samples.jsonl, and what the numbers depend on."""

    ended: tuple[Ended, ...]
    subset: str
    data: dict
    limits: dict
    sandbox: dict
    versions: dict
    samples_sha256: str

    def counts(self, suite: str, as_released: bool = False) -> dict[str, int]:
        """How many samples ended in each of OUTCOMES."""
        found = collections.Counter(e.outcome(suite, as_released) for e in self.ended)
        return {o: found[o] for o in OUTCOMES}

    def pass_at(self, k: int, suite: str, as_released: bool = False) -> float:
        """Mean over problems of 1 - C(n-c, k) / C(n, k), n samples of which c pass: unbiased (Chen et al., 2021)."""
        by_task = collections.defaultdict(list)
        for e in self.ended:
            by_task[e.task_id].append(e.outcome(suite, as_released) == "pass")
        fewest = min(map(len, by_task.values()))
        if not 1 <= k <= fewest:
            raise ValueError(
                f"pass@{k} of {fewest} samples a problem, expected 1 <= k <= {fewest}"
            )
        rates = [
            1 - math.comb(len(p) - sum(p), k) / math.comb(len(p), k)
            for p in by_task.values()
        ]
        return math.fsum(rates) / len(rates)


def summary(scores: Scores) -> str:
    """Four lines for people, and a fifth that marks a subset."""
    lines = []
    for suite, name in (("base", "HumanEval"), ("plus", "HumanEval+")):
        for released in (False, True):
            counts = scores.counts(suite, released)
            ends = ", ".join(f"{n} {o}" for o, n in counts.items())
            how = "as evalplus 0.3.1 counts" if released else "HumanEval/32 repaired"
            lines.append(
                f"{name:<11}pass@1 {scores.pass_at(1, suite, released):.4f}  ({ends}; {how})"
            )
    return "\n".join([*lines, *filter(None, [scores.subset.upper()])])


def score_samples(
    folder: str | os.PathLike,
    problems: humaneval.Problems,
    *,
    min_time_limit: float = 10.0,
    gt_time_limit_factor: float = 20.0,
    workers: int | None = None,
    limits: sandbox.Limits = sandbox.Limits(),
    allow_unsandboxed: bool = False,
    repair: bool = True,
) -> Scores:
    """Scores samples.jsonl of `folder`, anew every time.

    A test may take max(min_time_limit, gt_time_limit_factor x the canonical solution's time) seconds; evalplus's
    own 1 and 4 are too tight for a slow or busy machine. `repair=False` leaves HumanEval/32 as released.
    Raises PermissionError without a sandbox unless allowed, ValueError if a problem has no sample or others have more.
    """
    folder = pathlib.Path(folder)
    text = (folder / humaneval.SANITIZED).read_bytes()
    samples = humaneval.read_samples(folder / humaneval.SANITIZED)
    _check_complete(samples, problems, folder)
    protections = sandbox.require_protections(allow_unsandboxed)
    workers = workers or len(os.sched_getaffinity(0))
    times = {
        "min_time_limit": min_time_limit,
        "gt_time_limit_factor": gt_time_limit_factor,
    }
    with _scratch(folder) as scratch:
        (scratch / "HumanEvalPlus.jsonl").write_bytes(problems.content)
        (scratch / humaneval.SANITIZED).write_bytes(text)
        settings = {
            "kind": protections.kind,
            "limits": dataclasses.asdict(limits),
            "repair": repair,
            "scratch": str(scratch),
            "outcomes": str(scratch / "outcomes.jsonl"),
            "keep": not problems.subset,
            "evaluate": {
                "samples": str(scratch / humaneval.SANITIZED),
                "parallel": workers,
                **times,
            },
        }
        (scratch / "settings.json").write_text(json.dumps(settings))
        _run(
            scratch,
            folder / LOG,
            timeout=600 + 2 * _SUITE * math.ceil(len(samples) / workers),
        )
        results = (scratch / "samples_eval_results.json").read_text(encoding="utf-8")
        ended = _ended(scratch / "outcomes.jsonl", samples)
    _check_results(json.loads(results), samples, problems)
    scores = Scores(
        ended=tuple(ended),
        subset=problems.subset,
        data={
            "version": problems.version,
            "md5": problems.md5,
            "problems": len(problems.items),
        },
        limits=times | {"workers": workers} | dataclasses.asdict(limits),
        sandbox=dataclasses.asdict(protections),
        versions={
            "evalplus": importlib.metadata.version("evalplus"),
            "python": sys.version.split()[0],
            "repair": repair,
        },
        samples_sha256=hashlib.sha256(text).hexdigest(),
    )
    humaneval.write(folder / RESULTS, results)
    humaneval.write(folder / SCORES, json.dumps(_record(scores), indent=1) + "\n")
    return scores


def load_scores(folder: str | os.PathLike) -> Scores:
    """The scores.json of a folder; ValueError if samples.jsonl is no longer the file that was scored."""
    folder = pathlib.Path(folder)
    raw = json.loads((folder / SCORES).read_text(encoding="utf-8"))
    found = hashlib.sha256((folder / humaneval.SANITIZED).read_bytes()).hexdigest()
    if found != raw["samples_sha256"]:
        raise ValueError(
            f"{folder / SCORES}: stale, of samples with sha256 {raw['samples_sha256']}, found {found}"
        )
    fields = {f.name: raw[f.name] for f in dataclasses.fields(Scores)}
    ended = tuple(
        Ended(e["task_id"], e["base"], e["plus"], tuple(e["unrecorded"]))
        for e in raw["ended"]
    )
    return Scores(**fields | {"ended": ended})


def _record(scores: Scores) -> dict:
    """What scores.json holds: the fields, the counts first."""
    views = {"": False, " as_released": True}
    counts = {
        f"{s}{v}": scores.counts(s, released)
        for s in ("base", "plus")
        for v, released in views.items()
    }
    rates = {
        f"{s}{v}": scores.pass_at(1, s, released)
        for s in ("base", "plus")
        for v, released in views.items()
    }
    return {"pass@1": rates, "counts": counts} | dataclasses.asdict(scores)


def _check_complete(samples, problems, folder) -> None:
    have = collections.Counter(s.task_id for s in samples)
    wanted = [p.task_id for p in problems.items]
    most = max(have.values(), default=1)
    for task_id in wanted:
        if have[task_id] != most:
            raise ValueError(
                f"{folder / humaneval.SANITIZED}: {have[task_id]} samples of {task_id}, expected {most}"
            )
    if surplus := sorted(have.keys() - set(wanted)):
        raise ValueError(
            f"{folder / humaneval.SANITIZED}: samples of {surplus[0]}, which is not among the {len(wanted)} problems"
        )


@contextlib.contextmanager
def _scratch(folder: pathlib.Path):
    """A folder that does not exist before or after; others may pass through it, not look around."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="jaxent-score-"))
    try:
        path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _run(scratch: pathlib.Path, log: pathlib.Path, timeout: float) -> None:
    """The child, in a process group that ends with this call."""
    environment = sandbox.environment() | {
        "HUMANEVAL_OVERRIDE_PATH": str(scratch / "HumanEvalPlus.jsonl")
    }
    script = pathlib.Path(__file__).with_name("_evalplus_child.py")
    argv = [sys.executable, str(script), str(scratch / "settings.json")]
    with open(log, "w", encoding="utf-8") as output:
        child = subprocess.Popen(
            argv,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code = f"no end after {timeout:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if code != 0:
        tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise RuntimeError(
            f"evalplus: {code}, expected exit status 0; the end of {log}:\n{tail}"
        )


def _ended(file: pathlib.Path, samples) -> list[Ended]:
    """The child's notes in the order of the samples; `completion_id` numbers a task's samples."""
    raw = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    notes = {(r["task_id"], r["completion_id"]): r for r in raw}
    numbers = collections.Counter()
    ended = []
    for sample in samples:
        note = notes[sample.task_id, numbers[sample.task_id]]
        numbers[sample.task_id] += 1
        unrecorded = tuple(s for s in ("base", "plus") if note[s]["unrecorded"])
        ended.append(
            Ended(
                sample.task_id,
                note["base"]["outcome"],
                note["plus"]["outcome"],
                unrecorded,
            )
        )
    return ended


def _check_results(results: dict, samples, problems) -> None:
    """evalplus's file is of these samples and these problems."""
    if results["hash"] != problems.md5:
        raise ValueError(
            f"{RESULTS}: of data with md5 {results['hash']}, expected {problems.md5}"
        )
    scored = sorted(
        (r["task_id"], r["solution"]) for rows in results["eval"].values() for r in rows
    )
    if scored != sorted((s.task_id, s.solution) for s in samples):
        raise ValueError(
            f"{RESULTS}: {len(scored)} solutions that are not the {len(samples)} of {humaneval.SANITIZED}"
        )
