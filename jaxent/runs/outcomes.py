"""How the runs of a study ended, and the study's own results."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.runs import validate


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of a study ended.

    Attributes:
      run: the run.
      folder: its run folder.
      state: "done", "skipped" (it was finished before) or "failed".
      reason: why it failed; None otherwise.
      summary: its summary where this program has it in memory; None where it is to
        be read from the folder, or where there is none.
    """

    run: specs.RunSpec
    folder: pathlib.Path
    state: Literal["done", "skipped", "failed"]
    reason: str | None = None
    summary: run_folder.Summary | None = dataclasses.field(
        default=None, compare=False, repr=False
    )

    def finished_summary(self) -> run_folder.Summary | None:
        """The run's summary; None for a run that failed."""
        if self.state == "failed":
            return None
        return self.summary or run_folder.RunFolder(self.folder).read_summary()


def finished_summaries(
    outcomes: Sequence[Outcome],
) -> list[tuple[specs.RunSpec, run_folder.Summary]]:
    """Every finished run with its summary."""
    pairs = [(outcome.run, outcome.finished_summary()) for outcome in outcomes]
    return [(run, summary) for run, summary in pairs if summary is not None]


def read_measurements(
    runs: Sequence[specs.RunSpec], out: pathlib.Path
) -> list[tuple[specs.RunSpec, list[dict[str, Any]]]]:
    """Every run with its measurements in order, from the run folders below `out`."""
    return [
        (run, run_folder.RunFolder(out / run.name).read_measurements()) for run in runs
    ]


def write_study(
    name: str,
    outcomes: Sequence[Outcome],
    table: str,
    out: pathlib.Path,
    more: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Writes a study's record and table to the folder of its name below `out`.

    Args:
      name: the study's.
      outcomes: of its runs.
      table: what its terminal shows.
      out: the folder of all runs.
      more: further keys of the record.

    Returns:
      The study's folder. Its study.json holds every run's outcome, settings and
      summary, `validate.origin`, and `more`.
    """
    runs = [
        {
            "name": outcome.run.name,
            "state": outcome.state,
            "reason": outcome.reason,
            "settings": outcome.run.to_json(),
            "summary": outcome.finished_summary(),
        }
        for outcome in outcomes
    ]
    record = {"study": name, **validate.origin(), "runs": runs, **(more or {})}
    folder = out / name
    run_folder.write_json(folder / run_folder.STUDY, record)
    run_folder.write_text(folder / run_folder.TABLE, table + "\n")
    return folder


def format_failures(outcomes: Sequence[Outcome]) -> str:
    """The failed runs with their reasons, a line each; empty if there are none.

    Example:
      >>> run = specs.RunSpec("m", "B3")
      >>> lost = Outcome(run, pathlib.Path("runs/m"), "failed", "no such folder")
      >>> format_failures([lost])
      'm/B3-strong-seed0 failed: no such folder'
    """
    return "\n".join(
        f"{outcome.run.name} failed: {outcome.reason}"
        for outcome in outcomes
        if outcome.state == "failed"
    )
