"""The loss on examples that are never trained on."""

import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxent.data import batches, examples
from jaxent.distributed import axes
from jaxent.model import trained, transformer
from jaxent.train import objective
from jaxent.train import step as steps

Batches = Mapping[str, Sequence[batches.Batch]]


def make_batches(
    apart: Mapping[str, Sequence[examples.Example]], length: int, rows: int
) -> Batches:
    """Held-out examples, packed into batches of equal shape.

    Args:
      apart: by domain, its examples.
      length: tokens of a row, T.
      rows: rows of a batch, B.

    Returns:
      By domain, batches of [B, T]; rows that are left over are empty.

    Example:
      >>> import numpy as np
      >>> example = examples.Example(np.arange(5), np.ones(5, bool))
      >>> [batch] = make_batches({"law": [example] * 3}, 8, 4)["law"]
      >>> batch.weights.sum(1).tolist()
      [4.0, 4.0, 4.0, 0.0]
    """
    made: dict[str, list[batches.Batch]] = {}
    for domain, members in apart.items():
        bins = batches.first_fit([len(one.ids) for one in members], length)
        made[domain] = []
        for start in range(0, len(bins), rows):
            some = [members[i] for one in bins[start : start + rows] for i in one]
            # First-fit of the examples of some rows finds these rows again.
            batch, used = batches.pack(
                [one.ids for one in some],
                length,
                max(rows, len(some)),
                counted=[one.counted for one in some],
            )
            assert used <= rows
            made[domain].append(batches.Batch(*(x[:rows] for x in batch)))
    return made


def score(
    model: transformer.Transformer,
    scored: Batches,
    adapter: trained.Trained | None,
    compute: transformer.ComputeConfig,
) -> dict[str, Any]:
    """The mean loss of a model's counted tokens, without dropout.

    Every token weighs the same, whatever example, row or batch it is in.

    Args:
      model: the frozen base.
      scored: what `make_batches` gave.
      adapter: the adapter on it, or all weights in place of its own; None for the base
        alone.
      compute: the arithmetic.

    Returns:
      loss (nats a token over all domains), domains (the same by domain), tokens (those
      counted) and seconds.
    """
    began = time.perf_counter()
    nll = _jit_nll(compute)
    sums: dict[str, float] = {}
    tokens: dict[str, int] = {}
    for domain, members in scored.items():
        sums[domain], tokens[domain] = 0.0, 0
        for batch in members:
            rows = batch.tokens.shape[0]
            placed = steps.shard_batch(batch, rows, compute.mesh)
            sums[domain] += float(axes.to_host(nll(model, adapter, placed)))
            tokens[domain] += int(batch.weights.sum())
    number = sum(tokens.values())
    return {
        "loss": sum(sums.values()) / number,
        "domains": {domain: sums[domain] / tokens[domain] for domain in sums},
        "tokens": number,
        "seconds": time.perf_counter() - began,
    }


@functools.lru_cache(maxsize=8)
def _jit_nll(compute: transformer.ComputeConfig):
    """nll(model, adapter, batch of [1, B, T]) -> the sum of losses, jitted."""

    def nll(model, adapter, batch):
        micro = jax.tree.map(lambda x: x[0], batch)
        return objective.batch_nll(model, micro, adapter, None, compute)

    return jax.jit(nll)
