"""Seeds trained in one step over one NF4 base, beside one after the other."""

import functools
from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import cases, models, pairs, step, training
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.model import transformer
from jaxent.runs import spec as specs
from jaxent.train import loop
from jaxent.train import step as steps

_BATCHES = {
    "an example of 256 tokens": (256, [256]),
    "16 examples in 2 rows of 2048": (2048, [256] * 16),
}
"""The batch of a seed: tokens a row, tokens of its examples."""


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """A row for each batch of a seed."""
    number = 4 if settings.quick else 8
    titles = list(_BATCHES)[:1] if settings.quick else list(_BATCHES)
    for title in titles:
        name = f"{models.random_name(settings)}, {number} seeds, each {title}"
        make = functools.partial(_make, settings, number, *_BATCHES[title])
        yield cases.Case("seeds", name, None, make)


def _make(
    settings: cases.Settings,
    number: int,
    length: int,
    sizes: list[int],
    with_peer: bool,
) -> pairs.Workload:
    folder = models.random_model(settings)
    run = specs.RunSpec(folder, max_length=length, batch_size=len(sizes))
    base = hf.load(folder)
    compute = transformer.default_compute("float32")
    examples = [
        step.draw_examples(base.config.vocab, sizes, seed) for seed in range(number)
    ]
    one_by_one = [
        training.Training(base, run, compute, training.always(of_seed), i)
        for i, of_seed in enumerate(examples)
    ]
    together = _Together(one_by_one)

    def apart() -> None:
        for one in one_by_one:
            one.train(0)

    return pairs.Workload(
        unit="tokens",
        amount=number * sum(sizes),
        ours=together.train,
        theirs={"jaxent, one seed after the other": apart},
        remark="seeds: each has its own examples, dropout, adapter and optimizer",
    )


class _Together:
    """The step that trains several runs at once."""

    def __init__(self, runs: list[training.Training]):
        plan = runs[0].plan
        drawn, rows = zip(*(run.batch_at(0) for run in runs))
        joined = batches.Batch(*map(np.stack, zip(*drawn)))
        size = plan.train_config.micro_batch_size
        self.batch = steps.shard_batch(joined, size, None, "seed")
        self.rows = np.int32(max(rows))
        self.model = runs[0].model
        self.step = steps.jit_train_step_seeds(plan.train_config, plan.compute)
        states = [
            loop.initial_state(self.model, plan, seed) for seed in range(len(runs))
        ]
        self.state = loop.stack_seeds(states, plan)
        self.keys = jax.random.split(jax.random.key(0), len(runs))

    def train(self) -> None:
        """One step of every seed."""
        self.state, metrics = self.step(
            self.state, self.model, self.batch, self.rows, self.keys, None
        )
        jax.block_until_ready(metrics)
