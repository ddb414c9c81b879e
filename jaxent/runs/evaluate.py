"""HumanEval(+) of finished runs: `evaluate.py` in a process of its own for each, results in <run folder>/humaneval."""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from jaxent.evaluate import scoring
from jaxent.runs import queue
from jaxent.runs import spec as specs

FOLDER = "humaneval"
_JOIN = {
    "JAXENT_JOIN": "1800"
}  # seconds: of several processes the first comes late to an evaluation, from scoring the one before


def coding_scores(folder: pathlib.Path) -> dict | None:
    """pass@1 on HumanEval (base) and HumanEval+ (plus), passes of the latter and samples, of a run folder; None unless evaluated."""
    here = folder / FOLDER
    if (
        not (here / "evaluation.json").is_file()
        or not (here / scoring.SCORES).is_file()
    ):  # the first is written last
        return None
    found = json.loads((here / scoring.SCORES).read_text())
    counts = found["counts"]["plus"]
    rates = found["pass@1"]
    return {
        "base": rates["base"],
        "plus": rates["plus"],
        "passes": counts["pass"],
        "samples": sum(counts.values()),
    }


def evaluate_command(
    run: specs.RunSpec, folder: pathlib.Path, script: pathlib.Path, flags: Sequence[str]
) -> list[str]:
    """The call of evaluate.py for a run: its model as it was trained, and its adapter unless it is B0."""
    given = [
        f"--model={run.model}",
        f"--output_dir={folder / FOLDER}",
        *([] if run.load_in_4bit else ["--noload_in_4bit"]),
    ]
    given += [f"--adapter={folder / 'adapter'}"] if run.condition != "B0" else []
    return [
        sys.executable,
        str(script),
        *given,
        *([f"--dtype={run.dtype}"] if run.dtype else []),
        *flags,
    ]


def evaluate_all(
    outcomes: Sequence[queue.Outcome],
    script: pathlib.Path,
    flags: Sequence[str] = (),
    progress: bool = True,
) -> list[queue.Outcome]:
    """Evaluates every finished run that is not evaluated yet; those that failed, with the last line of what they complained.

    flags: further flags of the script. No process here may hold the device (`queue.run_in_subprocess`). On every host of several alike: the
    scripts join each other.
    """
    failed, finished = [], [o for o in outcomes if o.state != "failed"]
    say = lambda text: progress and print(text, flush=True)
    for number, outcome in enumerate(finished, 1):
        title = f"[{number}/{len(finished)}] HumanEval(+) of {outcome.run.name}"
        if coding_scores(outcome.folder):
            say(f"{title}: finished before")
            continue
        say(title)
        code, last = _followed(
            evaluate_command(outcome.run, outcome.folder, script, flags)
        )
        if code:
            reason = f"HumanEval(+): {last or f'exit status {code}'}"
            failed.append(queue.Outcome(outcome.run, outcome.folder, "failed", reason))
            say(f"{title} failed: {reason}")
    return failed


def _followed(argv: list[str]) -> tuple[int, str]:
    """Exit status and last line of standard error, which is passed on as it comes."""
    last = ""
    with subprocess.Popen(
        argv,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=_JOIN | os.environ,
    ) as process:
        try:
            for (
                line
            ) in process.stderr:  # a progress bar's carriage returns end lines too
                last = line.strip() or last
                print(line, end="", file=sys.stderr, flush=True)
        except BaseException:
            process.kill()
            raise
    return process.returncode, last
