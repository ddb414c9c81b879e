"""Coding of finished runs: `evaluate.py` in a process of its own for each.

The results go to the folder `humaneval` of each run.
"""

import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from jaxent.runs import folder as run_folder
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs

# Seconds: of several processes the first comes late to an evaluation, from scoring
# the one before.
_ENVIRONMENT = {"JAXENT_JOIN": "1800"}


def coding_scores(folder: pathlib.Path) -> dict[str, Any] | None:
    """How a run solves HumanEval and HumanEval+, and how likely it finds solutions.

    Args:
      folder: the run folder.

    Returns:
      pass@1 on HumanEval (base) and on HumanEval+ (plus), passes of the latter and
      samples; nats_a_byte of the canonical solutions, and nats_a_byte_change from the
      same weights without the adapter, None where they were not measured. None unless
      the run is evaluated.
    """
    here = run_folder.RunFolder(folder).humaneval
    record, scores = here / run_folder.EVALUATION, here / run_folder.SCORES
    if not (record.is_file() and scores.is_file()):  # the record is written last
        return None
    content = run_folder.read_json(scores)
    counts, rates = content["counts"]["plus"], content["pass@1"]
    return {
        "base": rates["base"],
        "plus": rates["plus"],
        "passes": counts["pass"],
        "samples": sum(counts.values()),
        **_likelihood(here / run_folder.LIKELIHOOD),
    }


def _likelihood(file: pathlib.Path) -> dict[str, float | None]:
    """What a likelihood.json says of a study's run; an older run has none."""
    content = run_folder.read_json(file) if file.is_file() else {}
    paired = content.get("paired") or {}
    return {
        "nats_a_byte": content.get("nats_a_byte"),
        "nats_a_byte_change": paired.get("estimate"),
    }


def evaluate_command(
    run: specs.RunSpec, folder: pathlib.Path, script: pathlib.Path, flags: Sequence[str]
) -> list[str]:
    """The call of evaluate.py for a run: its model as trained, and its adapter.

    Args:
      run: the run; B0 has no adapter.
      folder: its run folder.
      script: evaluate.py.
      flags: further flags of the script.

    Example:
      >>> run = specs.RunSpec("m", "B0", dtype="float32")
      >>> evaluate_command(run, pathlib.Path("runs/m/B0"), pathlib.Path("e.py"), [])[2:]
      ['--model=m', '--output_dir=runs/m/B0/humaneval', '--dtype=float32']
    """
    of_run = run_folder.RunFolder(folder)
    command = [sys.executable, str(script)]
    command += [f"--model={run.model}", f"--output_dir={of_run.humaneval}"]
    if run.revision:
        command.append(f"--revision={run.revision}")
    if not run.load_in_4bit:
        command.append("--noload_in_4bit")
    if run.condition != "B0":
        command.append(f"--adapter={of_run.trained}")
    if run.dtype:
        command.append(f"--dtype={run.dtype}")
    return [*command, *flags]


def evaluate_all(
    outcomes: Sequence[run_outcomes.Outcome],
    script: pathlib.Path,
    flags: Sequence[str] = (),
    progress: bool = True,
) -> list[run_outcomes.Outcome]:
    """Evaluates every finished run that is not evaluated yet.

    No process here may hold the device (`queue.run_in_subprocess`). Every host of
    several calls this alike: the scripts join each other.

    Args:
      outcomes: of the runs.
      script: evaluate.py.
      flags: further flags of the script.
      progress: whether to print what is evaluated.

    Returns:
      The runs whose evaluation failed, with the last line of its standard error.
    """
    failed = []
    finished = [outcome for outcome in outcomes if outcome.state != "failed"]

    def say(text: str) -> None:
        if progress:
            print(text, flush=True)

    for number, outcome in enumerate(finished, 1):
        title = f"[{number}/{len(finished)}] HumanEval(+) of {outcome.run.name}"
        if coding_scores(outcome.folder):
            say(f"{title}: finished before")
            continue
        say(title)
        command = evaluate_command(outcome.run, outcome.folder, script, flags)
        status, last_line = _run_and_relay(command)
        if status:
            reason = f"HumanEval(+): {last_line or f'exit status {status}'}"
            failed.append(
                run_outcomes.Outcome(outcome.run, outcome.folder, "failed", reason)
            )
            say(f"{title} failed: {reason}")
    return failed


def _run_and_relay(command: list[str]) -> tuple[int, str]:
    """Exit status and last line of standard error, which is passed on as it comes."""
    last_line = ""
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=_ENVIRONMENT | os.environ,
    ) as process:
        assert process.stderr is not None
        try:
            # A progress bar's carriage returns end lines too.
            for line in process.stderr:
                last_line = line.strip() or last_line
                print(line, end="", file=sys.stderr, flush=True)
        except BaseException:
            process.kill()
            raise
    return process.returncode, last_line
