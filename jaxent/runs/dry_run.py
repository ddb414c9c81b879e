"""What a list of runs would cost, for --dry_run."""

import pathlib
from collections.abc import Sequence

from jaxent.model import known_configs
from jaxent.runs import console, queue
from jaxent.runs import cost as costs
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs

_HEADER = ["run", "state", "steps", "tokens at most", "time if all full", "memory"]
_UNKNOWN = "unknown"


def format_plan(
    runs: Sequence[specs.RunSpec], out: pathlib.Path, teraflops: float | None = None
) -> str:
    """The runs with their state and cost at most, as a table and two sentences.

    Nothing is loaded or downloaded but configurations.

    Args:
      runs: the runs.
      out: the folder of all runs, which says which of them have begun.
      teraflops: sustained TFLOP/s to estimate with; None measures them here.

    Raises:
      ValueError: two runs have one folder.
    """
    queue.check_unique_names(runs)
    flops_per_second = teraflops * 1e12 if teraflops else costs.matmul_rate()
    rows: list[list] = []
    hours_left = 0.0
    for run in runs:
        state = _describe_state(run_folder.RunFolder(out / run.name))
        config = known_configs.find_config(run.model)
        if config is None:
            steps = run.max_steps if run.training_mixture else 0
            rows.append([run.name, state, steps, _UNKNOWN, _UNKNOWN, _UNKNOWN])
            continue
        cost = costs.run_cost(run, config)
        hours = cost.flops / flops_per_second / 3600
        if state != "finished":
            hours_left += hours
        tokens, memory = f"{cost.tokens / 1e6:,.1f} M", f"{cost.memory / 2**30:.1f} GiB"
        duration = format_duration(hours)
        rows.append([run.name, state, cost.steps, tokens, duration, memory])
    source = "as given" if teraflops else "0.4 of a 2048 x 2048 matmul's here"
    unknown = sum(row[-1] == _UNKNOWN for row in rows)
    left_out = ""
    if unknown:
        left_out = (
            f", {unknown} of unknown cost left out "
            "(their config.json cannot be reached)"
        )
    return (
        f"{console.format_table(_HEADER, rows)}\n\n{len(rows)} runs, "
        f"{format_duration(hours_left)} for those not finished if every row were "
        f"full{left_out}, at {flops_per_second / 1e12:.3g} TFLOP/s ({source}). "
        "With packing expect an eighth to a half of it; loading and compiling come\n"
        "on top, and models of a few million parameters do not reach that speed."
    )


def _describe_state(folder: run_folder.RunFolder) -> str:
    if folder.finished:
        return "finished"
    return "begun" if folder.begun else "-"


def format_duration(hours: float) -> str:
    """A duration as h:mm:ss.

    Example:
      >>> format_duration(1.51)
      '1:30:36'
    """
    seconds = round(hours * 3600)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
