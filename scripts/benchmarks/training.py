"""Our side of training benchmarks: what finetune.py's loop calls, step by step."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from jaxent.data import batches
from jaxent.model import convert, transformer
from jaxent.runs import memory_choice
from jaxent.runs import spec as specs
from jaxent.train import drawing, loop
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
        length = min(run.max_length, model.config.context)
        choice = memory_choice.choose(run, model.config, length)
        compute = dataclasses.replace(compute, remat=choice.remat)
        self.run, self.examples_at, self.length = run, examples_at, length
        self.plan = make_plan(run, compute)
        self.state = loop.initial_state(model, self.plan, seed)
        self.model = model
        if choice.decoded:
            self.model = convert.decode_once(model, compute.dtype)
        self.key = steps.dropout_keys([seed], None)
        config = self.plan.train_config
        if choice.lengths:
            groups_at = functools.partial(self.groups_at, lengths=choice.lengths)
            self.draw, self.step = drawing.several_lengths(groups_at, config, compute)
        else:
            self.draw, self.step = drawing.one_length([self.batch_at], config, compute)

    def groups_at(self, step: int, lengths: tuple[int, ...]) -> list[batches.Batch]:
        """A step's examples in rows of several lengths."""
        return batches.pack_lengths(self.examples_at(step), lengths)

    def batch_at(self, step: int) -> tuple[batches.Batch, int]:
        """A step's batch ([rows, T] arrays) and the used rows."""
        return batches.pack(self.examples_at(step), self.length, self.run.batch_size)

    def train(self, number: int) -> steps.StepMetrics:
        """One step on the batch of that number, packing included."""
        drawn = self.draw(number)
        self.state, metrics = self.step(self.state, self.model, drawn, self.key, None)
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
