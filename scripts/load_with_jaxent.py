"""A child of benchmark_loading: loads a checkpoint into NF4 with jaxent."""

import jax
import timed_load

from jaxent.checkpoint import hf


def load(folder: str) -> int:
    """Loads a model; its bytes."""
    model = hf.load(folder)
    return sum(x.nbytes for x in jax.tree.leaves(jax.block_until_ready(model)))


if __name__ == "__main__":
    timed_load.answer(load)
