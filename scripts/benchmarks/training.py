"""Our side of training benchmarks: what finetune.py's loop calls, step by step."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from jaxent.data import batches
from jaxent.model import transformer
from jaxent.runs import spec as specs
from jaxent.train import loop
from jaxent.train import step as steps

ExamplesAt = Callable[[int], list[np.ndarray]]
"""From a step to the token ids of its examples."""


class Training:
    """A run that is trained a step at a time.

    Args:
      model: the frozen base.
      run: the run's settings.
      compute: the arithmetic.
      examples_at: its data, which each step packs.
      seed: of adapter and dropout.
    """

    def __init__(
        self,
        model: transformer.Transformer,
        run: specs.RunSpec,
        compute: transformer.ComputeConfig,
        examples_at: ExamplesAt,
        seed: int = 0,
    ):
        self.model, self.run, self.examples_at = model, run, examples_at
        self.plan = make_plan(run, compute)
        self.step = steps.jit_train_step(self.plan.train_config, self.plan.compute)
        self.state = loop.initial_state(model, self.plan, seed)
        self.key = jax.random.key(seed)

    def batch_at(self, step: int) -> tuple[batches.Batch, int]:
        """A step's batch ([rows, T] arrays) and the used rows."""
        length = min(self.run.max_length, self.model.config.context)
        return batches.pack(self.examples_at(step), length, self.run.batch_size)

    def train(self, number: int) -> steps.StepMetrics:
        """One step on the batch of that number, packing included."""
        batch, rows = self.batch_at(number)
        size = self.plan.train_config.micro_batch_size
        split = steps.shard_batch(batch, size, None)
        self.state, metrics = self.step(
            self.state, self.model, split, np.int32(rows), self.key, None
        )
        return jax.block_until_ready(metrics)


def make_plan(
    run: specs.RunSpec, compute: transformer.ComputeConfig
) -> loop.LoopConfig:
    """The loop's settings, as a run of finetune.py on one device has them."""
    train_config = dataclasses.replace(
        run.train_config, micro_batch_size=run.micro_batch_size
    )
    return loop.LoopConfig(train_config, run.lora_config, compute)


def always(examples: list[np.ndarray]) -> ExamplesAt:
    """The same examples at every step."""

    def examples_at(step: int) -> list[np.ndarray]:
        return examples

    return examples_at
