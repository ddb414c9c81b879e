"""Runs evalplus in a process of its own, in a temporary folder.

The process is `_evalplus_child`: evalplus starts threads and processes, changes the
environment and prints; none of that belongs in the caller's process.
"""

import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from jaxent import json_files
from jaxent.evaluate import benchmarks, sample_files, sandbox

_OUTCOMES = "outcomes.jsonl"
_SETTINGS = "settings.json"
_RESULTS = "samples_eval_results.json"  # evalplus's name for those of samples.jsonl
_SUITE_SECONDS = 65.0  # evalplus's 60 of one sample in one suite, margins and the start
_START_SECONDS = 600  # for the expected outputs
_LOG_TAIL = 1500  # characters of the log in an error


def run(
    samples: bytes,
    count: int,
    problems: benchmarks.Problems,
    settings: dict[str, Any],
    log: pathlib.Path,
) -> tuple[str, list[dict[str, Any]]]:
    """Checks samples with evalplus.

    Args:
        samples: The content of samples.jsonl.
        count: How many samples that is.
        problems: The problems that they solve.
        settings: `kind` of protection, `limits` of a program, whether to `repair`
            HumanEval/32 and to `keep` expected outputs, and under "evaluate" arguments
            of evalplus.evaluate.evaluate; `parallel` is one of them.
        log: The file that gets what the process prints.

    Returns:
        evalplus's eval_results.json, and for every sample in any order a note
        {"task_id", "completion_id", "base", "plus"}, where base and plus are
        {"outcome", "unrecorded"}.

    Raises:
        RuntimeError: If the process fails, or does not end in time.
    """
    rounds = math.ceil(count / settings["evaluate"]["parallel"])
    timeout = _START_SECONDS + 2 * _SUITE_SECONDS * rounds
    with _temporary_folder() as scratch:
        data = scratch / problems.benchmark.file
        data.write_bytes(problems.content)
        (scratch / sample_files.SANITIZED).write_bytes(samples)
        paths = {"scratch": str(scratch), "outcomes": str(scratch / _OUTCOMES)}
        evaluate = {
            "samples": str(scratch / sample_files.SANITIZED),
            **settings["evaluate"],
        }
        dataset = {"dataset": problems.benchmark.name}
        (scratch / _SETTINGS).write_text(
            json.dumps(settings | paths | dataset | {"evaluate": evaluate})
        )
        _run_child(scratch, log, timeout, {problems.benchmark.override: str(data)})
        results = (scratch / _RESULTS).read_text(encoding="utf-8")
        notes = list(json_files.read_json_lines(scratch / _OUTCOMES))
    return results, notes


@contextlib.contextmanager
def _temporary_folder() -> Iterator[pathlib.Path]:
    """A folder that other users may pass through, but not list."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="jaxent-score-"))
    try:
        path.chmod(0o711)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _run_child(
    scratch: pathlib.Path,
    log: pathlib.Path,
    timeout: float,
    variables: dict[str, str],
) -> None:
    """Runs `_evalplus_child` in a process group that ends with this call."""
    module = "jaxent.evaluate._evalplus_child"
    with open(log, "w", encoding="utf-8") as output:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(scratch / _SETTINGS)],
            cwd=scratch,
            env=sandbox.environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout)
            problem = str(code) if code else ""
        except subprocess.TimeoutExpired:
            problem = f"no end after {timeout:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if problem:
        tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
        raise RuntimeError(
            f"evalplus: {problem}, expected exit status 0; the end of {log}:\n{tail}"
        )
