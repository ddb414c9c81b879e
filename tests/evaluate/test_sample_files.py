"""Samples and their files, compared with evalplus."""

import json
import sys

import problem_files
import pytest

from jaxent.evaluate import benchmarks, sample_files


@pytest.fixture
def file(tmp_path):
    return problem_files.write(tmp_path / "three.jsonl", problem_files.HUMANEVAL)


def solved(problems):
    return [sample_files.finish_sample(p, p.canonical) for p in problems.items]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("    return 1\n\ndef f(x):\n", "    return 1\n"),
        ("    return 1\nprint(f())\nimport os", "    return 1"),
        ("\treturn 1</s>\n", "    return 1"),
        ("    define = 1\n    import os\n", "    define = 1\n    import os\n"),
        ("x" * 10001, "x" * 10000),
    ],
)
def test_cut(text, expected):
    assert sample_files.cut_at_stops(text, benchmarks.HUMANEVAL.stops) == expected


@pytest.mark.parametrize("value", ["1+" * 1200 + "1", "not " * 5000 + "1", "'\ud800'"])
def test_text_the_parsers_fail_on_is_kept(file, value):
    import evalplus.sanitize

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # Python's own: libraries that tests import raise it
    problem = benchmarks.load_problems(file).items[0]
    sample = sample_files.Sample(problem.task_id, f"def one(x):\n    return {value}\n")
    try:
        with pytest.raises((RecursionError, ValueError)):
            evalplus.sanitize.sanitize(sample.solution, problem.entry_point)
        assert sample_files.sanitize(problem, sample) == sample
    finally:
        sys.setrecursionlimit(limit)


def test_a_killed_run_goes_on(file, tmp_path):
    problems, identity = (
        benchmarks.load_problems(file),
        {"model": "m", "layers": (1, 2)},
    )
    assert sample_files.resume(tmp_path, identity) == []
    samples = solved(problems)
    sample_files.append_samples(tmp_path, problems, samples[:1])
    with open(tmp_path / sample_files.RAW, "a") as raw:
        raw.write('{"task_id": "HumanEval/1", "solu')
    earlier = sample_files.resume(tmp_path, identity)
    assert earlier == samples[:1]
    assert [
        (p.task_id, n) for p, n in sample_files.missing_samples(problems, earlier)
    ] == [
        ("HumanEval/1", 1),
        ("HumanEval/2", 1),
    ]
    assert [n for _, n in sample_files.missing_samples(problems, earlier, n=3)] == [
        2,
        3,
        3,
    ]
    sample_files.append_samples(tmp_path, problems, samples[:0:-1])
    written = sample_files.write_sanitized(tmp_path, problems)
    assert written == [
        sample_files.Sample(s.task_id, s.solution.strip()) for s in samples
    ]
    assert sample_files.read_samples(tmp_path / sample_files.SANITIZED) == written
    with pytest.raises(ValueError, match="made with model 'm', expected 'other'"):
        sample_files.resume(tmp_path, {"model": "other", "layers": [1, 2]})


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        '{"task_id": "HumanEval/0", "solution": ""}\n{"task_id": 1}\n'
    )
    with pytest.raises(ValueError, match="line 2"):
        sample_files.read_samples(tmp_path / "x.jsonl")
    (tmp_path / sample_files.RAW).write_text("")
    with pytest.raises(ValueError, match="expected both or neither"):
        sample_files.resume(tmp_path, {})


def test_an_older_identity_is_of_raw_prompts_of_humaneval(tmp_path):
    older = {"model": "m", "humaneval": "md5"}
    (tmp_path / sample_files.IDENTITY).write_text(json.dumps(older))
    now = {
        "model": "m",
        "problems": "md5",
        "benchmark": "humaneval",
        "prompt_format": "raw",
    }
    assert sample_files.resume(tmp_path, now) == []
    with pytest.raises(ValueError, match="made with prompt_format 'raw', expected"):
        sample_files.resume(tmp_path, now | {"prompt_format": "chat"})


def test_a_chat_s_answer_is_a_program_of_its_own(file):
    problem = benchmarks.load_problems(file).items[0]
    answer = "def one(x):\n\treturn x\n```\nThis adds."
    sample = sample_files.finish_sample(problem, answer, ("\n```\n",), False)
    assert sample.solution == "def one(x):\n    return x"
