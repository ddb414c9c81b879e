"""The process that scores, a script: python jaxent/evaluate/_evalplus_child.py settings.json

evalplus.evaluate.evaluate as released, with these places replaced (all in this process alone):

    eval.unsafe_execute      runs inside the sandbox, one for each sample and suite; a trusted process waits beside it
    eval.Value, eval.Array   without locks: evalplus waits for ever for one that a killed sample held
    eval.time_limit          notes that a limit has struck, which evalplus reports as a failed test
    eval.query_maximum_memory_bytes   none: the sandbox has set the limits
    evaluate.untrusted_check, evaluate.check_correctness   note how it ended, a line a sample in outcomes.jsonl
    evaluate.ProcessPoolExecutor      one whose workers have started
    evaluate.get_groundtruth writes its cache atomically, that of a subset nowhere; tries a canonical solution first

Generated code runs only in processes that end with it and that see neither this one nor any file of its. One
thing remains as evalplus made it: the verdict lies in memory shared with the tested code, so code written to
cheat evalplus can. Imports nothing of jaxent but the sandbox: no jax in it or in its forks.
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
from concurrent import futures
from multiprocessing import sharedctypes

import sandbox  # beside this file: importing it as jaxent.evaluate.sandbox would import all of jaxent.decode

sys.path.pop(
    0
)  # the folder of this file, where Python looks first for everything else too

from evalplus import eval as checks
from evalplus import evaluate
from evalplus.eval import utils

_STRUCK, _ENDED, _UNRECORDED = range(
    3
)  # notes on one check, shared between its processes
_NOT_CONTAINED = 2

_settings: dict = {}
_notes = None
_seen: list[dict] = []  # of the sample being checked in this process: base, then plus
_unsafe_execute, _time_limit = checks.unsafe_execute, checks.time_limit
_untrusted_check, _check_correctness = (
    evaluate.untrusted_check,
    evaluate.check_correctness,
)
_get_groundtruth = evaluate.get_groundtruth


def patch() -> None:
    checks.unsafe_execute = unsafe_execute
    checks.time_limit = time_limit
    checks.Value, checks.Array = sharedctypes.RawValue, sharedctypes.RawArray
    checks.query_maximum_memory_bytes = lambda: None
    evaluate.untrusted_check = untrusted_check
    evaluate.check_correctness = check_correctness
    evaluate.get_groundtruth = get_groundtruth


def check_correctness(dataset, completion_id, problem, solution, *rest, **named):
    """evalplus's, and a line in outcomes.jsonl."""
    _seen.clear()
    result = _check_correctness(
        dataset, completion_id, problem, solution, *rest, **named
    )
    line = {
        "task_id": problem["task_id"],
        "completion_id": completion_id,
        "base": _seen[0],
        "plus": _seen[1],
    }
    with open(_settings["outcomes"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return result


def untrusted_check(*arguments, **named):
    """evalplus's, and what its status does not tell."""
    global _notes
    _notes = sharedctypes.RawArray("i", 3)
    status, details = _untrusted_check(*arguments, **named)
    if _notes[_ENDED] == _NOT_CONTAINED:
        raise OSError(
            f"sandbox: {_settings['kind']} worked before and now do not; the log says why"
        )
    _seen.append(
        {"outcome": _outcome(status, details), "unrecorded": bool(_notes[_UNRECORDED])}
    )
    return status, details


def _outcome(status, details) -> str:
    if status == checks.PASS:
        return "pass"
    if status == checks.TIMEOUT:
        return "died" if _notes[_ENDED] else "timeout"
    if _notes[_STRUCK]:
        return "timeout"
    return "wrong" if len(details) or _notes[_UNRECORDED] else "error"


def unsafe_execute(*arguments) -> None:
    """evalplus's, in the sandbox; this process only waits, and dies at evalplus's overall limit."""
    limits = sandbox.Limits(**_settings["limits"])
    _notes[_ENDED] = _NOT_CONTAINED
    with tempfile.TemporaryDirectory(dir=_settings["scratch"]) as scratch:
        sandbox.contain(
            functools.partial(_execute, *arguments), _settings["kind"], scratch, limits
        )
    _notes[_ENDED] = 1


def _execute(dataset, entry_point, code, inputs, *rest) -> None:
    """Runs in the sandbox. evalplus 0.3.1 records no test of find_zero (HumanEval/32), so that it can never pass:
    all tests gone through and none recorded means that all held.
    """
    _notes[_ENDED] = 0
    sandbox.silence()
    tempfile.tempdir = os.getcwd()
    _unsafe_execute(dataset, entry_point, code, inputs, *rest)
    stat, details, progress = rest[-3:]
    if (
        entry_point == "find_zero"
        and stat.value == checks._SUCCESS
        and not progress.value
    ):
        _notes[_UNRECORDED] = 1
        if _settings["repair"]:
            details[:] = [1] * len(inputs)
            progress.value = len(inputs)


@contextlib.contextmanager
def time_limit(seconds):
    try:
        with _time_limit(seconds):
            yield
    except utils.TimeoutException:
        _notes[_STRUCK] = 1
        raise


def get_groundtruth(problems, md5, *rest):
    """Expected outputs, before any generated code runs; ends the run if a canonical solution fails on them."""
    outputs = _outputs(problems, md5, *rest)
    task_id, problem = next(iter(problems.items()))
    solution = problem["prompt"] + problem["canonical_solution"]
    times = {
        k: _settings["evaluate"][k] for k in ("min_time_limit", "gt_time_limit_factor")
    }
    _seen.clear()
    _check_correctness(
        "humaneval", 0, problem, solution, outputs[task_id], fast_check=True, **times
    )
    if ends := [
        s["outcome"] for s in _seen if s["outcome"] != "pass" and not s["unrecorded"]
    ]:
        raise RuntimeError(
            f"{task_id}: the canonical solution ends in {ends[0]!r}, expected 'pass': limits {_settings['limits']}"
        )
    return outputs


def _outputs(problems, md5, *rest):
    """From evalplus's cache or computed there; those of a subset are kept nowhere."""
    cache = pathlib.Path(evaluate.CACHE_DIR)
    if not _settings["keep"] or not _writable(cache):
        cache = pathlib.Path(_settings["scratch"])
    try:
        with open(cache / f"{md5}.pkl", "rb") as file:
            return pickle.load(file)
    except (FileNotFoundError, EOFError, pickle.UnpicklingError):
        pass  # not there, or cut off by a kill: evalplus writes in place
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        evaluate.CACHE_DIR = folder
        outputs = _get_groundtruth(problems, md5, *rest)
        os.replace(pathlib.Path(folder) / f"{md5}.pkl", cache / f"{md5}.pkl")
    return outputs


def _writable(folder: pathlib.Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _pool(workers: int) -> futures.ProcessPoolExecutor:
    """Workers forked now, before expected outputs of hundreds of megabytes make each of their own forks slow."""
    gc.freeze()
    pool = futures.ProcessPoolExecutor(workers)
    list(pool.map(time.sleep, [0.5] * workers))
    return pool


def main(file: str) -> None:
    _settings.update(json.loads(pathlib.Path(file).read_text()))
    multiprocessing.set_start_method("fork")
    patch()
    pool = _pool(_settings["evaluate"]["parallel"])
    evaluate.ProcessPoolExecutor = lambda max_workers: pool
    evaluate.evaluate("humaneval", **_settings["evaluate"])


if __name__ == "__main__":
    code = 1
    try:
        main(sys.argv[1])
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:  # not sys.exit: evalplus's thread that looks for stuck samples sleeps on, for ever after an error
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
