"""How the training loop draws a step's batches, and the step that runs on them.

Each function gives a pair, draw and run: draw(step) gives what run takes and, last, the
used rows of each run; run(state, model, drawn, key, reference) gives the state after
the step and its metrics.
"""

from collections.abc import Callable, Sequence

import numpy as np

from jaxent.data import batches
from jaxent.model import transformer
from jaxent.train import mixed_rows
from jaxent.train import step as steps


def one_length(
    batch_ats: Sequence[Callable[[int], tuple[batches.Batch, int]]],
    config: steps.TrainConfig,
    compute: transformer.ComputeConfig,
):
    """Rows of one length, of one run or of several that share every step.

    Args:
      batch_ats: of each run, from a step to its batch ([rows, T] arrays) and used rows.
      config: the optimizer's constants.
      compute: the arithmetic.

    Returns:
      draw and run.
    """
    lead = ("seed",) if len(batch_ats) > 1 else ()
    make_step = steps.jit_train_step_seeds if lead else steps.jit_train_step
    train_step = make_step(config, compute)

    def draw(step: int):
        drawn, rows = zip(*(batch_at(step) for batch_at in batch_ats))
        joined = batches.Batch(*map(np.stack, zip(*drawn))) if lead else drawn[0]
        size = config.micro_batch_size
        return steps.shard_batch(joined, size, compute.mesh, *lead), rows

    def run(state, model, drawn, key, reference):
        batch, rows = drawn
        return train_step(state, model, batch, np.int32(max(rows)), key, reference)

    return draw, run


def several_lengths(
    groups_at: Callable[[int], list[batches.Batch]],
    config: steps.TrainConfig,
    compute: transformer.ComputeConfig,
):
    """Rows of several lengths, of one run.

    Args:
      groups_at: from a step to its batches, as `batches.pack_lengths` gives them.
      config: the optimizer's constants.
      compute: the arithmetic; without a mesh.

    Returns:
      draw and run.
    """
    train_step = mixed_rows.jit_mixed_step(config, compute)

    def draw(step: int):
        groups = groups_at(step)
        return groups, (sum(len(group.tokens) for group in groups),)

    def run(state, model, drawn, key, reference):
        return train_step(state, model, drawn[0], key, reference)

    return draw, run
