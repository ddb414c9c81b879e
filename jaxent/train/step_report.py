"""What the numbers of a training step become: a line of the log, the progress bar."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tqdm

from jaxent.distributed import axes
from jaxent.train import step as steps


def split_seeds(metrics: steps.StepMetrics, number: int) -> list[dict[str, Any]]:
    """A step's metrics as plain numbers.

    Args:
      metrics: of one run, scalars; of several that share the step, [number].
      number: of runs.

    Returns:
      One dict a run.
    """
    fields = vars(axes.to_host(metrics))
    return [
        {name: np.atleast_1d(x)[i].item() for name, x in fields.items()}
        for i in range(number)
    ]


def make_record(values: dict[str, Any]) -> dict[str, Any]:
    """What the log keeps of a step: CSR's numbers on its steps only.

    Args:
      values: one run's, from `split_seeds`.

    Returns:
      Loss, gradient norm, learning rate and tokens, and CSR's penalty and ratio.

    Example:
      >>> step = {"loss": 2.0, "grad_norm": 1.0, "learning_rate": 0.1, "tokens": 7}
      >>> sorted(make_record(step | {"csr": np.nan, "csr_ratio": np.nan, "failed": -1}))
      ['grad_norm', 'learning_rate', 'loss', 'tokens']
    """
    names = ["loss", "grad_norm", "learning_rate", "tokens"]
    if not np.isnan(values["csr"]):
        names += ["csr", "csr_ratio"]
    return {name: values[name] for name in names}


def advance(bar: tqdm.tqdm, measured: Sequence[dict[str, Any]], seconds: float) -> None:
    """Advances a progress bar by a step.

    Args:
      bar: the bar.
      measured: a dict a run, from `split_seeds`.
      seconds: that the step took.
    """
    loss = sum(values["loss"] for values in measured) / len(measured)
    tokens = sum(values["tokens"] for values in measured)
    bar.set_postfix(loss=f"{loss:.3f}", tok_s=f"{tokens / seconds:.0f}", refresh=False)
    bar.update()
