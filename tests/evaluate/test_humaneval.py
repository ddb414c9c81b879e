"""Problems and samples, compared with evalplus."""

import gzip
import json
import sys

import pytest

from jaxent.evaluate import humaneval

LINES = [
    {
        "task_id": f"HumanEval/{i}",
        "entry_point": name,
        "prompt": f'\n\ndef {name}(x):\n    """Adds {i}."""\n',
        "canonical_solution": f"    return x + {i}\n",
        "contract": "",
        "base_input": [[1]],
        "plus_input": [[2]],
        "atol": 0,
    }
    for i, name in enumerate(["one", "two", "three"])
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "three.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return path


def solved(problems):
    return [humaneval.finish_sample(p, p.canonical) for p in problems.items]


def test_the_published_file(shared):
    problems = humaneval.load_problems(
        shared / "humaneval_plus" / "HumanEvalPlus.jsonl"
    )
    assert (len(problems.items), problems.version, problems.subset) == (
        164,
        "v0.1.10",
        "",
    )
    assert problems.md5 == "fe585eb4df8c88d844eeb463ea4d0302"
    assert problems.items[0].entry_point == "has_close_elements"
    for p in problems.items:
        assert p.prompt == p.prompt.strip() + "\n" and humaneval.cut_at_stops(
            p.canonical
        ) == p.canonical.replace("\t", "    ")


def test_a_limit_is_a_subset_and_says_so(file):
    problems = humaneval.load_problems(file, limit=2)
    assert [p.task_id for p in problems.items] == ["HumanEval/0", "HumanEval/1"]
    assert (
        problems.subset == "subset: 2 of 164 problems" and problems.version == "unknown"
    )
    assert problems.content == b"".join(file.read_bytes().splitlines(keepends=True)[:2])
    with pytest.raises(ValueError, match="limit 4, expected 1 to 3"):
        humaneval.load_problems(file, limit=4)


def test_sources(file, tmp_path, monkeypatch):
    packed = tmp_path / "three.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert humaneval.load_problems(packed) == humaneval.load_problems(file)
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(file))
    assert humaneval.load_problems() == humaneval.load_problems(file)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        humaneval.load_problems(tmp_path / "nowhere")
    file.write_text(json.dumps({"task_id": "HumanEval/0"}))
    with pytest.raises(ValueError, match="HumanEval/0 lacks .*canonical_solution"):
        humaneval.load_problems(file)


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
    assert humaneval.cut_at_stops(text) == expected


@pytest.mark.parametrize("value", ["1+" * 1200 + "1", "not " * 5000 + "1", "'\ud800'"])
def test_text_the_parsers_fail_on_is_kept(file, value):
    import evalplus.sanitize

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # Python's own: libraries that tests import raise it
    problem = humaneval.load_problems(file).items[0]
    sample = humaneval.Sample(problem.task_id, f"def one(x):\n    return {value}\n")
    try:
        with pytest.raises((RecursionError, ValueError)):
            evalplus.sanitize.sanitize(sample.solution, problem.entry_point)
        assert humaneval.sanitize(problem, sample) == sample
    finally:
        sys.setrecursionlimit(limit)


def test_a_killed_run_goes_on(file, tmp_path):
    problems, identity = humaneval.load_problems(file), {"model": "m", "layers": (1, 2)}
    assert humaneval.resume(tmp_path, identity) == []
    samples = solved(problems)
    humaneval.append_samples(tmp_path, problems, samples[:1])
    with open(tmp_path / humaneval.RAW, "a") as raw:
        raw.write('{"task_id": "HumanEval/1", "solu')
    earlier = humaneval.resume(tmp_path, identity)
    assert earlier == samples[:1]
    assert [
        (p.task_id, n) for p, n in humaneval.missing_samples(problems, earlier)
    ] == [
        ("HumanEval/1", 1),
        ("HumanEval/2", 1),
    ]
    assert [n for _, n in humaneval.missing_samples(problems, earlier, n=3)] == [
        2,
        3,
        3,
    ]
    humaneval.append_samples(tmp_path, problems, samples[:0:-1])
    written = humaneval.write_sanitized(tmp_path, problems)
    assert written == [humaneval.Sample(s.task_id, s.solution.strip()) for s in samples]
    assert humaneval.read_samples(tmp_path / humaneval.SANITIZED) == written
    with pytest.raises(ValueError, match="made with model 'm', expected 'other'"):
        humaneval.resume(tmp_path, {"model": "other", "layers": [1, 2]})


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        '{"task_id": "HumanEval/0", "solution": ""}\n{"task_id": 1}\n'
    )
    with pytest.raises(ValueError, match="line 2"):
        humaneval.read_samples(tmp_path / "x.jsonl")
    (tmp_path / humaneval.RAW).write_text("")
    with pytest.raises(ValueError, match="expected both or neither"):
        humaneval.resume(tmp_path, {})
