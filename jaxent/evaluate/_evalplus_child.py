"""The process that scores: python -m jaxent.evaluate._evalplus_child settings.json.

It runs evalplus.evaluate.evaluate as released, with these functions replaced (all in
this process alone):

    eval.unsafe_execute
        runs in the sandbox, one for each sample and suite; a trusted process waits
    eval.Value, eval.Array
        without locks: evalplus waits for ever for one that a killed sample held
    eval.time_limit
        notes that a limit has struck, which evalplus reports as a failed test
    eval.query_maximum_memory_bytes
        none: the sandbox has set the limits
    evaluate.untrusted_check, evaluate.check_correctness
        note how the sample ended, a line for each sample in outcomes.jsonl
    evaluate.ProcessPoolExecutor
        one whose workers have started
    evaluate.get_groundtruth
        writes its cache atomically, that of a subset nowhere; tries a canonical
        solution first

Generated code runs only in processes that end with it and that see neither this one nor
any file of it. One thing remains as evalplus made it: the verdict is in memory that is
shared with the tested code, so code written to cheat evalplus can. Of jaxent, the
process imports the sandbox alone: no jax in it or in its forks.
"""

import contextlib
import functools
import gc
import json
import multiprocessing
import os
import pathlib
import pickle
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent import futures
from multiprocessing import sharedctypes
from typing import Any

from evalplus import eval as checks
from evalplus import evaluate
from evalplus.eval import utils

from jaxent import json_files
from jaxent.evaluate import resource_limits, sandbox

# Notes on one check, in an array that its processes share.
_STRUCK, _ENDED, _UNRECORDED = range(3)
_NOT_CONTAINED = 2  # of _ENDED, beside 0 (not ended) and 1 (ended by itself)

_settings: dict[str, Any] = {}
_notes = sharedctypes.RawArray("i", 3)
_suites: list[dict] = []  # of the sample that this process checks: base, then plus

_unsafe_execute = checks.unsafe_execute
_time_limit = checks.time_limit
_untrusted_check = evaluate.untrusted_check
_check_correctness = evaluate.check_correctness
_get_groundtruth = evaluate.get_groundtruth


def patch() -> None:
    """Replaces evalplus's functions by those of this module."""
    checks.unsafe_execute = unsafe_execute
    checks.time_limit = time_limit
    checks.Value = sharedctypes.RawValue
    checks.Array = sharedctypes.RawArray
    checks.query_maximum_memory_bytes = _no_maximum
    evaluate.untrusted_check = untrusted_check
    evaluate.check_correctness = check_correctness
    evaluate.get_groundtruth = get_groundtruth


def _no_maximum() -> None:
    """evalplus sets no limit of memory."""


def check_correctness(dataset, completion_id, problem, solution, *rest, **named):
    """evalplus's function, and a line in outcomes.jsonl."""
    _suites.clear()
    result = _check_correctness(
        dataset, completion_id, problem, solution, *rest, **named
    )
    line = {
        "task_id": problem["task_id"],
        "completion_id": completion_id,
        "base": _suites[0],
        "plus": _suites[1],
    }
    with open(_settings["outcomes"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return result


def untrusted_check(*arguments, **named):
    """evalplus's function, and a note of what its status does not say."""
    global _notes
    _notes = sharedctypes.RawArray("i", 3)
    status, details = _untrusted_check(*arguments, **named)
    if _notes[_ENDED] == _NOT_CONTAINED:
        raise OSError(
            f"sandbox: {_settings['kind']} worked before and now do not; the log says "
            "why"
        )
    _suites.append(
        {"outcome": _outcome(status, details), "unrecorded": bool(_notes[_UNRECORDED])}
    )
    return status, details


def _outcome(status, details) -> str:
    """How a suite ended, one of `scoring.OUTCOMES`."""
    if status == checks.PASS:
        return "pass"
    if status == checks.TIMEOUT:
        return "died" if _notes[_ENDED] else "timeout"
    if _notes[_STRUCK]:
        return "timeout"
    return "wrong" if len(details) or _notes[_UNRECORDED] else "error"


def unsafe_execute(*arguments) -> None:
    """evalplus's function in the sandbox.

    This process only waits, and evalplus ends it at its overall limit.
    """
    limits = resource_limits.Limits(**_settings["limits"])
    _notes[_ENDED] = _NOT_CONTAINED
    action = functools.partial(_execute, *arguments)
    with tempfile.TemporaryDirectory(dir=_settings["scratch"]) as scratch:
        sandbox.run_contained(action, _settings["kind"], scratch, limits)
    _notes[_ENDED] = 1


def _execute(dataset, entry_point, code, inputs, *rest) -> None:
    """Runs in the sandbox.

    evalplus 0.3.1 records no test of find_zero (HumanEval/32), so that it can never
    pass. If the program went through all tests and none is recorded, all of them held.
    """
    _notes[_ENDED] = 0
    sandbox.silence()
    tempfile.tempdir = os.getcwd()
    _unsafe_execute(dataset, entry_point, code, inputs, *rest)
    stat, details, progress = rest[-3:]
    finished = stat.value == checks._SUCCESS
    is_find_zero = dataset == "humaneval" and entry_point == "find_zero"
    if is_find_zero and finished and not progress.value:
        _notes[_UNRECORDED] = 1
        if _settings["repair"]:
            details[:] = [1] * len(inputs)
            progress.value = len(inputs)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """evalplus's context, and a note if the limit strikes."""
    try:
        with _time_limit(seconds):
            yield
    except utils.TimeoutException:
        _notes[_STRUCK] = 1
        raise


def get_groundtruth(problems, md5, *rest):
    """Expected outputs, before any generated code runs.

    Raises:
        RuntimeError: If the first problem's canonical solution fails on them: then the
            sandbox or its limits are wrong, not the samples.
    """
    outputs = _expected_outputs(problems, md5, *rest)
    task_id, problem = next(iter(problems.items()))
    solution = problem["prompt"] + problem["canonical_solution"]
    names = ("min_time_limit", "gt_time_limit_factor")
    times = {name: _settings["evaluate"][name] for name in names}
    _suites.clear()
    dataset = _settings["dataset"]
    _check_correctness(
        dataset, 0, problem, solution, outputs[task_id], fast_check=True, **times
    )
    for suite in _suites:
        if suite["outcome"] != "pass" and not suite["unrecorded"]:
            raise RuntimeError(
                f"{task_id}: the canonical solution ends in {suite['outcome']!r}, "
                f"expected 'pass': limits {_settings['limits']}"
            )
    return outputs


def _expected_outputs(problems, md5, *rest):
    """From evalplus's cache, or computed there; those of a subset are not kept."""
    cache = pathlib.Path(evaluate.CACHE_DIR)
    if not _settings["keep"] or not _is_writable(cache):
        cache = pathlib.Path(_settings["scratch"])
    try:
        with open(cache / f"{md5}.pkl", "rb") as file:
            return pickle.load(file)
    except (FileNotFoundError, EOFError, pickle.UnpicklingError):
        pass  # no file, or one that a kill cut off while evalplus wrote it
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        evaluate.CACHE_DIR = folder
        outputs = _get_groundtruth(problems, md5, *rest)
        os.replace(pathlib.Path(folder) / f"{md5}.pkl", cache / f"{md5}.pkl")
    return outputs


def _is_writable(folder: pathlib.Path) -> bool:
    """Whether the folder is there, or can be made, and takes files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _start_pool(workers: int) -> futures.ProcessPoolExecutor:
    """Workers forked now: expected outputs of 100 MB would slow each of their forks."""
    gc.freeze()
    pool = futures.ProcessPoolExecutor(workers)
    list(pool.map(time.sleep, [0.5] * workers))
    return pool


def main(file: str) -> None:
    """Scores the samples that a settings file of `scoring.score_samples` names."""
    _settings.update(json_files.read_json(file))
    multiprocessing.set_start_method("fork")
    patch()
    pool = _start_pool(_settings["evaluate"]["parallel"])

    def started_pool(max_workers: int) -> futures.ProcessPoolExecutor:
        return pool

    evaluate.ProcessPoolExecutor = started_pool
    evaluate.evaluate(_settings["dataset"], **_settings["evaluate"])


if __name__ == "__main__":
    code = 1
    try:
        main(sys.argv[1])
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # sys.exit would wait for evalplus's thread that looks for stuck samples, which
        # sleeps for ever after an error.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
