"""Samples of MBPP+ scored by evalplus in the sandbox."""

import problem_files
import pytest

from jaxent.evaluate import benchmarks, sample_files, scoring


def test_mbpp_is_scored_with_evalplus_s_types_and_oracles(tmp_path):
    """Inputs get their types by the task's number, and some outputs their own oracle.

    Mbpp/2 takes tuples and any order, check_str anything that is not None, Mbpp/252
    complex numbers.
    """
    file = problem_files.write(tmp_path / "mbpp.jsonl", problem_files.MBPP)
    problems = benchmarks.load_problems(file, benchmark=benchmarks.MBPP)
    others = [
        "def similar_elements(a, b):\n    return [x for x in b[::-1] if x in a]\n",
        "def check_str(s):\n    return len(s) or None if s[:1].isupper() else None\n",
        "def largest(numbers):\n    return numbers.sort() or numbers[-1]\n",
        "def double(z):\n    return z + z.real + 1j * z.imag\n",
    ]
    wrong = ["def similar_elements(a, b):\n    return a + b\n", "def check_str(s):\n"]
    wrong += ["    return s", "def double(z):\n    return z.missing\n"]

    def samples(codes):
        pairs = zip(problems.items, codes, strict=True)
        stops = problems.benchmark.stops
        return [sample_files.finish_sample(p, code, stops) for p, code in pairs]

    canonical = [p.canonical for p in problems.items]
    every = [*samples(canonical), *samples(others), *samples(wrong)]
    sample_files.append_samples(tmp_path, problems, every)
    sample_files.write_sanitized(tmp_path, problems)
    scores = scoring.score_samples(tmp_path, problems, allow_unsandboxed=True)
    passed = [(e.base, e.plus) for e in scores.ended].count(("pass", "pass"))
    assert passed == scores.counts("plus")["pass"] == 8
    assert scores.pass_at(1, "plus") == pytest.approx(8 / 12)
    assert scores.subset == "subset: 4 of 378 problems"
    text = scoring.summary(scores)
    assert text.startswith("MBPP       pass@1 0.6667") and "HumanEval" not in text
