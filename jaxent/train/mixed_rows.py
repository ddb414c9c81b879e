"""A training step over rows of several lengths, a compilation for each length.

Rows that are cut to what they hold leave little to compute for nothing. One program for
all lengths would take as long to compile as all of them together before the first step;
here a length is compiled when a step first has such a row.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.data import batches
from jaxent.model import transformer
from jaxent.train import gradient
from jaxent.train import step as steps


@functools.lru_cache(maxsize=8)
def jit_mixed_step(config: steps.TrainConfig, compute: transformer.ComputeConfig):
    """`step.train_step` on rows of several lengths, one row at a time.

    Args:
      config: the optimizer's constants.
      compute: the arithmetic; without a mesh.

    Returns:
      step(state, model, groups, key, reference) -> (state, metrics): groups are host
      batches [rows, T] as `batches.pack_lengths` gives them; the state is donated.
    """
    accumulate = jit_accumulate(compute)
    finish = jax.jit(
        functools.partial(_finish, config=config, compute=compute),
        donate_argnums=0,
    )

    def step(state, model, groups: Sequence[batches.Batch], key, reference=None):
        tokens = np.float32(sum(group.weights.sum() for group in groups))
        total = _zeros(state.adapter)
        for group in groups:
            for row in range(len(group.tokens)):
                micro = batches.Batch(*(x[row : row + 1] for x in group))
                total = accumulate(
                    total, state.adapter, model, micro, tokens, key, state.step
                )
        return finish(state, total, model, tokens, reference)

    return step


@functools.lru_cache(maxsize=8)
def jit_accumulate(compute: transformer.ComputeConfig):
    """Adds a row's share of a step's loss and gradient; compiled once a length."""
    return jax.jit(functools.partial(_accumulate, compute=compute), donate_argnums=0)


@jax.jit
def _zeros(adapter):
    return jnp.float32(0), jax.tree.map(jnp.zeros_like, adapter)


def _accumulate(total, adapter, model, micro, tokens, key, step, compute):
    key = gradient.step_key(adapter, key, step)
    return gradient.add_gradient(total, model, adapter, micro, tokens, key, compute)


def _finish(state, total, model, tokens, reference, config, compute):
    due = steps.is_csr_step(state, config)
    return steps.finish_step(
        state, model, total, tokens, reference, due, config, compute
    )
