"""Problems of HumanEval+ and MBPP+, compared with evalplus."""

import gzip
import json

import problem_files
import pytest

from jaxent.evaluate import benchmarks, sample_files


@pytest.fixture
def file(tmp_path):
    return problem_files.write(tmp_path / "three.jsonl", problem_files.HUMANEVAL)


@pytest.fixture
def mbpp(tmp_path):
    return problem_files.write(tmp_path / "mbpp.jsonl", problem_files.MBPP)


def test_the_published_file(shared):
    problems = benchmarks.load_problems(
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
        cut = sample_files.cut_at_stops(p.canonical, problems.benchmark.stops)
        assert p.prompt == p.prompt.strip() + "\n"
        assert cut == p.canonical.replace("\t", "    ")


def test_a_limit_is_a_subset_and_says_so(file):
    problems = benchmarks.load_problems(file, limit=2)
    assert [p.task_id for p in problems.items] == ["HumanEval/0", "HumanEval/1"]
    assert (
        problems.subset == "subset: 2 of 164 problems" and problems.version == "unknown"
    )
    assert problems.content == b"".join(file.read_bytes().splitlines(keepends=True)[:2])
    with pytest.raises(ValueError, match="limit 4, expected 1 to 3"):
        benchmarks.load_problems(file, limit=4)


def test_sources(file, tmp_path, monkeypatch):
    packed = tmp_path / "three.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert benchmarks.load_problems(packed) == benchmarks.load_problems(file)
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(file))
    assert benchmarks.load_problems() == benchmarks.load_problems(file)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        benchmarks.load_problems(tmp_path / "nowhere")
    file.write_text(json.dumps({"task_id": "HumanEval/0"}))
    with pytest.raises(ValueError, match="HumanEval/0 lacks .*canonical_solution"):
        benchmarks.load_problems(file)


def test_mbpp_is_read_as_evalplus_reads_it(mbpp, monkeypatch):
    import evalplus.data.mbpp

    problems = benchmarks.load_problems(mbpp, benchmark=benchmarks.MBPP)
    monkeypatch.setattr(evalplus.data.mbpp, "MBPP_OVERRIDE_PATH", str(mbpp))
    theirs = evalplus.data.mbpp.get_mbpp_plus()
    assert [p.task_id for p in problems.items] == list(theirs)
    for p in problems.items:
        raw = theirs[p.task_id]
        assert p.prompt == raw["prompt"].strip() + "\n"
        assert p.canonical == raw["canonical_solution"]
    assert problems.md5 == evalplus.data.mbpp.get_mbpp_plus_hash()
    assert problems.subset == "subset: 4 of 378 problems"
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(mbpp))
    assert benchmarks.load_problems(benchmark=benchmarks.MBPP) == problems


@pytest.mark.parametrize("benchmark", benchmarks.BENCHMARKS.values())
def test_names_and_stops_are_evalplus_s(benchmark):
    import importlib

    from evalplus.provider import utility

    extra = utility.extra_eos_for_direct_completion(benchmark.name)
    assert benchmark.stops == (*utility.EOS, *extra)
    module, function = benchmark.ready
    assert hasattr(importlib.import_module(module), function)
    assert hasattr(importlib.import_module(module), benchmark.override)


@pytest.mark.parametrize("benchmark", benchmarks.BENCHMARKS.values())
def test_no_download_is_one_line_that_says_what_helps(benchmark, monkeypatch):
    import urllib.error

    import evalplus.data.utils

    def refuse(*arguments, **named):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(evalplus.data.utils.wget, "download", refuse)
    monkeypatch.setattr(evalplus.data.utils.os.path, "exists", lambda path: False)
    with pytest.raises(FileNotFoundError) as error:
        benchmarks.load_problems(benchmark=benchmark)
    assert f"{benchmark.title}+: evalplus cannot download it" in str(error.value)
    assert f"--problems={benchmark.file}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: it ends within a value"),
        ("[1]", "line 2: holds a list, expected an object"),
        (json.dumps(problem_files.HUMANEVAL[0]), "HumanEval/0 comes twice"),
        (
            json.dumps(problem_files.HUMANEVAL[1] | {"prompt": 7}),
            "line 2: prompt is 7, expected a string",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, message):
    file = tmp_path / "broken.jsonl"
    file.write_text(json.dumps(problem_files.HUMANEVAL[0]) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=message):
        benchmarks.load_problems(file)


def test_an_mbpp_id_without_a_number_is_refused(tmp_path):
    """evalplus reads the number, and ends in a traceback without one."""
    own = problem_files.MBPP[0] | {"task_id": "mine"}
    file = problem_files.write(tmp_path / "own.jsonl", [own])
    with pytest.raises(ValueError, match="'mine', expected a name and a number"):
        benchmarks.load_problems(file, benchmark=benchmarks.MBPP)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="no problem"):
        benchmarks.load_problems(tmp_path / "empty.jsonl")
