"""Samples scored by evalplus: canonical ones pass, hostile ones are contained."""

import dataclasses
import json
import pathlib
import shutil
import socket
import subprocess
import textwrap

import pytest

from jaxent.evaluate import benchmarks, evalplus_process, sample_files, sandbox, scoring

QUICK = {"min_time_limit": 1.0, "gt_time_limit_factor": 4.0}
SOLVED = """
    pairs = [(a, b) for i, a in enumerate(numbers) for b in numbers[:i]]
    return any(abs(a - b) < threshold for a, b in pairs)
"""


def body(code):
    """Statements of the function that the prompt begins, and the solution after them.

    They pass the tests only if they succeed.
    """
    return textwrap.indent(textwrap.dedent(code).strip(), "    ") + SOLVED


# Deeds, and what is expected of them: how base ends, and evalplus's status.
HOSTILE = {
    "wrong": ("    return None", "wrong", "fail"),
    "no function": ("    pass\ndel has_close_elements", "error", "fail"),
    "syntax": ("    return (", "error", "fail"),
    "hangs": ("    while True: pass", "timeout", "fail"),
    "hangs and catches": (
        body("""
        import time
        while True:
            try: time.sleep(99)
            except BaseException: pass
        """),
        "timeout",
        "timeout",
    ),
    "hangs without descriptors": (
        body("""
        import os; os.closerange(0, 4096)
        while True: pass
        """),
        "timeout",
        "fail",
    ),
    "exits": ("    import os; os._exit(0)", "died", "timeout"),
    "crashes": ("    import ctypes; ctypes.string_at(0)", "died", "timeout"),
    "eats memory": (
        body("""
        kept = []
        while True: kept.append(bytes(1 << 28))
        """),
        "wrong",
        "fail",
    ),
    "forks": (
        body("""
        import posix, time
        for _ in range(1000):
            if posix.fork() == 0:
                posix.setsid()
                while True: time.sleep(1)
        """),
        "wrong",
        "fail",
    ),
    "kills": (
        body("""
        import posix
        posix.kill(posix.getppid(), 9); posix.kill(-1, 9)
        for pid in range(2, 1 << 15):
            try: posix.kill(pid, 9); break
            except ProcessLookupError: pass
        else: raise ValueError
        """),
        "wrong",
        "fail",
    ),
    "writes": (
        body("import posix; posix.open(MINE + '.new', posix.O_CREAT | posix.O_WRONLY)"),
        "wrong",
        "fail",
    ),
    "overwrites": (
        body("import posix; posix.open(MINE, posix.O_WRONLY | posix.O_TRUNC)"),
        "wrong",
        "fail",
    ),
    "deletes": (body("import posix; posix.unlink(MINE)"), "wrong", "fail"),
    "fills the disk": (
        body("""
        import posix
        for i in range(99):
            out = posix.open(f'f{i}', posix.O_CREAT | posix.O_WRONLY)
            for _ in range(8): assert posix.write(out, bytes(1 << 20)) == 1 << 20
        """),
        "wrong",
        "fail",
    ),
    "calls home": (
        body("import socket; socket.create_connection(('127.0.0.1', PORT), 1)"),
        "wrong",
        "fail",
    ),
    "reads secrets": (
        body("import os; assert 'JAXENT_SECRET' in os.environ"),
        "wrong",
        "fail",
    ),
}


@pytest.fixture
def official(shared):
    return benchmarks.load_problems(shared / "humaneval_plus" / "HumanEvalPlus.jsonl")


def one(problems, task_id, tests, tmp_path):
    """A data file of one problem, with its first tests."""
    raw = next(
        r
        for r in map(json.loads, problems.content.splitlines())
        if r["task_id"] == task_id
    )
    file = tmp_path / "one.jsonl"
    file.write_text(
        json.dumps(raw | {s: raw[s][:tests] for s in ("base_input", "plus_input")})
        + "\n"
    )
    return benchmarks.load_problems(file)


def fill(folder, problems, samples):
    sample_files.append_samples(folder, problems, samples)
    return sample_files.write_sanitized(folder, problems)


def canonical(problems):
    return [sample_files.finish_sample(p, p.canonical) for p in problems.items]


def ends(*numbers):
    """Counts by outcome: pass, wrong, error, timeout, died."""
    return dict(zip(scoring.OUTCOMES, numbers))


def require_sandbox():
    if missing := sandbox.check_protections().missing:
        pytest.skip(missing)


def test_every_canonical_solution_passes(official, tmp_path):
    fill(tmp_path, official, canonical(official))
    scores = scoring.score_samples(tmp_path, official, allow_unsandboxed=True)
    for suite in ("base", "plus"):
        assert scores.counts(suite) == ends(164, 0, 0, 0, 0)
        assert scores.counts(suite, as_released=True)["pass"] == 163
        assert (
            scores.pass_at(1, suite) == 1.0
            and scores.pass_at(1, suite, as_released=True) == 163 / 164
        )
    assert [e.task_id for e in scores.ended if e.unrecorded] == ["HumanEval/32"]
    assert scores.subset == "" and "SUBSET" not in scoring.summary(scores)
    assert scoring.load_scores(tmp_path) == scores
    theirs = json.loads((tmp_path / scoring.RESULTS).read_text())
    assert theirs["hash"] == official.md5 and len(theirs["eval"]) == 164
    assert not list(pathlib.Path.cwd().glob("*eval_results.json"))


def test_the_embedded_problems_tell_right_from_wrong(tmp_path):
    problems = benchmarks.load_problems(benchmarks.EMBEDDED)
    fill(
        tmp_path,
        problems,
        [
            *canonical(problems),
            *(
                sample_files.finish_sample(p, "    return None\n")
                for p in problems.items
            ),
        ],
    )
    scores = scoring.score_samples(tmp_path, problems, allow_unsandboxed=True)
    for suite in ("base", "plus"):
        assert scores.counts(suite) == ends(8, 8, 0, 0, 0)
    assert (
        scores.subset == "subset: 8 problems that are not HumanEval's"
        and "NOT HUMANEVAL" in scoring.summary(scores)
    )


def test_evalplus_as_released_fails_humaneval_32(official, tmp_path):
    """Without the repair evalplus itself says fail.

    The count made from a repaired run says the same.
    """
    problems = one(official, "HumanEval/32", 20, tmp_path)
    fill(
        tmp_path,
        problems,
        [
            *canonical(problems),
            sample_files.finish_sample(problems.items[0], "    return 1e9\n"),
        ],
    )
    scores = scoring.score_samples(
        tmp_path, problems, repair=False, allow_unsandboxed=True, **QUICK
    )
    rows = json.loads((tmp_path / scoring.RESULTS).read_text())["eval"]["HumanEval/32"]
    assert (
        [r["base_status"] for r in rows]
        == [r["plus_status"] for r in rows]
        == ["fail", "fail"]
    )
    assert (
        scores.counts("plus")["pass"]
        == scores.counts("plus", as_released=True)["pass"]
        == 0
    )
    repaired = scoring.score_samples(
        tmp_path, problems, allow_unsandboxed=True, **QUICK
    )
    rows = json.loads((tmp_path / scoring.RESULTS).read_text())["eval"]["HumanEval/32"]
    assert [r["plus_status"] for r in rows] == ["pass", "fail"]
    assert (
        repaired.counts("plus")["pass"] == 1
        and repaired.counts("plus", as_released=True)["pass"] == 0
    )
    for text in (
        (tmp_path / scoring.SCORES).read_text(),
        scoring.summary(repaired).lower(),
    ):
        assert "subset: 1 of 164 problems" in text
    assert (
        '"subset"' in (tmp_path / sample_files.RAW).read_text()
        and '"subset"' in (tmp_path / sample_files.SANITIZED).read_text()
    )


def test_hostile_samples_are_contained_and_fail(official, tmp_path, monkeypatch):
    require_sandbox()
    monkeypatch.setenv("JAXENT_SECRET", "s")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(evalplus_process.tempfile, "tempdir", str(scratch))
    mine = tmp_path / "mine"
    mine.write_text("mine")
    problems = one(official, "HumanEval/0", 3, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        names = f"MINE, PORT = {str(mine)!r}, {server.getsockname()[1]}\n"
        deeds = [
            names + problems.items[0].prompt + deed for deed, _, _ in HOSTILE.values()
        ]
        good = problems.items[0].prompt + SOLVED
        # Not sanitized: that would drop what a deed needs. Good ones are before,
        # between and after.
        lines = [
            json.dumps({"task_id": "HumanEval/0", "solution": s})
            for s in (good, *deeds[:8], good, *deeds[8:], good)
        ]
        sample_files.write(tmp_path / sample_files.SANITIZED, "\n".join(lines))
        scores = scoring.score_samples(tmp_path, problems, **QUICK)
        with pytest.raises(BlockingIOError):
            server.accept()
    rows = json.loads((tmp_path / scoring.RESULTS).read_text())["eval"]["HumanEval/0"]
    outcomes = [
        (e.base, row["base_status"]) for e, row in zip(scores.ended, rows, strict=True)
    ]
    good, expected = ("pass", "pass"), [tuple(ends) for _, *ends in HOSTILE.values()]
    names = ["good", *list(HOSTILE)[:8], "good", *list(HOSTILE)[8:], "good"]
    assert dict(zip(names, outcomes)) == {"good": good} | dict(zip(HOSTILE, expected))
    assert scores.counts("base")["pass"] == scores.counts("plus")["pass"] == 3
    assert mine.read_text() == "mine" and not list(scratch.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "eval_results.json",
        "evalplus.log",
        "mine",
        "one.jsonl",
        "samples.jsonl",
        "scores.json",
        "scratch",
    ]
    if shutil.which("pgrep"):
        assert (
            subprocess.run(
                ["pgrep", "-f", str(scratch)], capture_output=True, text=True
            ).stdout
            == ""
        )


def test_a_sandbox_in_which_canonical_solutions_fail_is_an_error(official, tmp_path):
    """Rather than 0 for every sample."""
    require_sandbox()
    problems = one(official, "HumanEval/0", 3, tmp_path)
    raw = json.loads(problems.content) | {
        "canonical_solution": f"    import posix; posix.stat({str(tmp_path)!r})\n"
        + SOLVED
    }
    problems = dataclasses.replace(problems, content=json.dumps(raw).encode() + b"\n")
    fill(tmp_path, problems, canonical(problems))
    with pytest.raises(
        RuntimeError, match="HumanEval/0: the canonical solution ends in 'wrong'"
    ):
        scoring.score_samples(tmp_path, problems, **QUICK)
    assert (
        not (tmp_path / scoring.SCORES).exists()
        and not (tmp_path / scoring.RESULTS).exists()
    )


def scores_of(ends) -> scoring.Scores:
    ended = tuple(scoring.Ended(f"HumanEval/{i}", b, p, u) for i, b, p, u in ends)
    return scoring.Scores(ended, "", {}, {}, {}, {}, "")


def test_plus_needs_base_and_estimates_are_unbiased():
    scores = scores_of(
        [
            (0, "pass", "pass", ()),
            (0, "wrong", "pass", ()),
            (0, "pass", "timeout", ()),
            (1, "pass", "pass", ("plus",)),
            (1, "died", "wrong", ()),
            (1, "error", "error", ()),
        ]
    )
    assert scores.counts("base") == ends(3, 1, 1, 0, 1)
    assert scores.counts("plus") == ends(2, 1, 1, 1, 1)
    assert scores.counts("plus", as_released=True) == ends(1, 2, 1, 1, 1)
    assert scores.pass_at(1, "base") == pytest.approx((2 / 3 + 1 / 3) / 2)
    # Of 3 samples, 1 or 2 right: drawing 2 misses in 1 or 0 of 3 pairs.
    assert scores.pass_at(2, "base") == pytest.approx((1 + 2 / 3) / 2)
    assert scores.pass_at(3, "plus", as_released=True) == 0.5
    with pytest.raises(ValueError, match="pass@4 of 3 samples"):
        scores.pass_at(4, "base")


def test_stale_scores_are_refused(tmp_path):
    scores = dataclasses.replace(
        scores_of([(0, "pass", "pass", ())]), samples_sha256="0" * 64
    )
    sample_files.write(tmp_path / scoring.SCORES, json.dumps(scoring._record(scores)))
    (tmp_path / sample_files.SANITIZED).write_text("")
    with pytest.raises(ValueError, match="stale"):
        scoring.load_scores(tmp_path)


def test_missing_and_surplus_samples_are_named(official, tmp_path):
    fill(tmp_path, official, canonical(official)[:-1])
    with pytest.raises(ValueError, match="0 samples of HumanEval/163, expected 1"):
        scoring.score_samples(tmp_path, official)
    with pytest.raises(
        ValueError, match="samples of HumanEval/1, which is not among the 1 problems"
    ):
        scoring.score_samples(tmp_path, one(official, "HumanEval/0", 3, tmp_path))


def test_no_scoring_without_a_sandbox_unless_allowed(official, tmp_path, monkeypatch):
    problems = one(official, "HumanEval/0", 3, tmp_path)
    fill(tmp_path, problems, canonical(problems))
    lacking = sandbox.Protections("limits", "no namespaces here")
    monkeypatch.setattr(sandbox, "check_protections", lambda: lacking)
    with pytest.raises(PermissionError, match="no namespaces here"):
        scoring.score_samples(tmp_path, problems, **QUICK)
    scores = scoring.score_samples(tmp_path, problems, allow_unsandboxed=True, **QUICK)
    assert (
        scores.counts("plus")["pass"] == 1
        and scores.sandbox["missing"] == "no namespaces here"
    )
