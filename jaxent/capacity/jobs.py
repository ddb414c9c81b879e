"""What is planned: a run's settings on a mesh over a topology of chips."""

import dataclasses
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from jaxent.arrays import lora
from jaxent.capacity import chips
from jaxent.checkpoint import hf
from jaxent.distributed import axes
from jaxent.model import blocks, sharding, transformer
from jaxent.model import config as configs
from jaxent.runs import spec as specs
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class Job:
    """A run's settings on a mesh over a topology.

    run: the run's settings.
    config: the model's shapes.
    topology: the chips.
    mesh: axis:size pairs, "none" on one chip.
    seeds: seeds trained together in one step.
    rows: packed rows an optimizer step uses on average (of run.batch_size).
    problems: prompts of a coding benchmark.
    prompt: tokens of the longest prompt.
    new: tokens generated for each prompt at most.
    """

    run: specs.RunSpec
    config: configs.Config
    topology: chips.Topology
    mesh: str = "none"
    seeds: int = 1
    rows: float = 4.84
    problems: int = 164
    prompt: int = 448
    new: int = 768

    @property
    def sizes(self) -> dict[str, int]:
        """Chips by axis of the mesh."""
        return axes.parse_axis_sizes("data:1" if self.mesh == "none" else self.mesh)

    @property
    def abstract(self) -> AbstractMesh | None:
        """The mesh without devices; None on one chip."""
        if self.topology.size == 1:
            return None
        sizes = self.sizes
        return AbstractMesh(tuple(sizes.values()), tuple(sizes))

    @property
    def at_a_time(self) -> int:
        """Packed rows of a micro-batch, over all chips."""
        return self.run.micro_batch_size * axes.axis_size(self.abstract, "batch")

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a step of `rows`."""
        return math.ceil(self.rows / self.at_a_time)

    @property
    def length(self) -> int:
        """Tokens of a packed row."""
        return min(self.run.max_length, self.config.context)

    @property
    def hyper(self) -> steps.TrainConfig:
        """The optimizer's constants, micro-batches over all chips."""
        return dataclasses.replace(
            self.run.train_config, micro_batch_size=self.at_a_time
        )

    @property
    def local_seeds(self) -> int:
        """Seeds whose state one chip holds."""
        return self.seeds // self.sizes["seed"]


def check_job(job: Job) -> None:
    """Checks that the mesh covers the topology and splits what it must.

    Raises:
        ValueError: naming what does not split: the topology, the model, the rows of a
            step or the seeds.
    """
    size = math.prod(job.sizes.values())
    if size != job.topology.size:
        raise ValueError(
            f"mesh {job.mesh} has {size} places, but {job.topology} has "
            f"{job.topology.size} chips: expected as many"
        )
    if job.seeds % job.sizes["seed"]:
        raise ValueError(
            f"mesh {job.mesh}: {job.seeds} seeds are not divisible by axis size "
            f"{job.sizes['seed']} (seed)"
        )
    if job.run.batch_size % job.at_a_time:
        raise ValueError(
            f"mesh {job.mesh} runs {job.at_a_time} packed rows at a time: expected a "
            f"divisor of the {job.run.batch_size} examples of a step; give the tensor "
            "or seed axis more chips"
        )
    if job.abstract is not None:
        model = abstract_model(job.config, job.run.load_in_4bit)
        sharding.check_mesh(model, job.abstract)


def candidate_meshes(job: Job) -> Iterator[Job]:
    """The job on every mesh over its topology that `check_job` accepts."""
    if job.topology.size == 1:
        yield dataclasses.replace(job, mesh="none")
        return
    for tensor in _divisors(job.topology.size):
        for fsdp in _divisors(job.topology.size // tensor):
            for data in _divisors(job.topology.size // tensor // fsdp):
                seed = job.topology.size // tensor // fsdp // data
                sizes = {"seed": seed, "data": data, "fsdp": fsdp, "tensor": tensor}
                mesh = ",".join(f"{k}:{v}" for k, v in sizes.items() if v > 1)
                candidate = dataclasses.replace(job, mesh=mesh)
                try:
                    check_job(candidate)
                except ValueError:
                    continue
                yield candidate


def _divisors(n: int) -> list[int]:
    return [i for i in range(1, n + 1) if n % i == 0]


@functools.lru_cache(maxsize=8)
def abstract_model(config: configs.Config, quantize: bool) -> transformer.Transformer:
    """The model's shapes; nothing is allocated."""
    return hf.abstract_model(config, quantize)


@functools.lru_cache(maxsize=8)
def abstract_state(
    config: configs.Config, lora_config: lora.LoraConfig, hyper: steps.TrainConfig
) -> steps.TrainState:
    """The training state's shapes; nothing is allocated."""

    def make(key: jax.Array) -> steps.TrainState:
        shapes = blocks.linear_shapes(config)
        norms = {m: jnp.zeros((config.layers, n)) for m, (_, n) in shapes.items()}
        adapter = lora.init_adapter(key, lora_config, config.layers, shapes, norms)
        return steps.init_state(adapter, hyper)

    return jax.eval_shape(make, jax.random.key(0))
