"""The programs of a job: functions of this package and the shapes they take.

Nothing is allocated, compiled or run. `memory` gives a program's memory and traffic by
formula; `compiler` asks a compiler for them; `roofline` makes times and plans of both.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, SingleDeviceSharding

from jaxent.capacity import jobs
from jaxent.data import batches, probes
from jaxent.decode import batch as decode_batch
from jaxent.decode import choose, plan
from jaxent.distributed import axes
from jaxent.measure import capture
from jaxent.model import cache as caches
from jaxent.model import sharding, transformer
from jaxent.train import step as steps

PROBE_TOKENS = 96
"""Tokens of a probe text with its padding, at most about."""

CHUNK = 32
"""Tokens of a decoding chunk."""

TRAINING, MEASURING, DECODING = "training step", "measuring", "decoding"


@dataclasses.dataclass(frozen=True)
class Program:
    """A jitted function of this package and the shapes it is called with.

    name: `TRAINING`, `MEASURING` or `DECODING`.
    lower: lowers it.
    parts: what memory holds before it runs, by name.
    loops: how often its loop of a traced count runs.
    per: what the figures of one call are divided by to be those of a step, a measuring
        batch or a token.
    """

    name: str
    lower: Callable[[], jax.stages.Lowered]
    parts: dict[str, object]
    loops: int = 1
    per: int = 1

    @property
    def rows(self) -> int:
        """Rows of a decoding program's cache."""
        return jax.tree.leaves(self.parts["cache"])[0].shape[1]


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a job's arrays are.

    On a mesh, with or without devices; on one device; or nowhere, for analysis.
    """

    job: jobs.Job
    mesh: Mesh | AbstractMesh | None
    device: jax.Device | None = None

    @property
    def compute(self) -> transformer.ComputeConfig:
        """The arithmetic; cuDNN's attention cannot be lowered without a GPU."""
        kernel = "splash" if self.job.topology.tpu else "xla"
        dtype = jnp.dtype(self.job.run.dtype or "bfloat16")
        return transformer.ComputeConfig(dtype, kernel, self.mesh)

    def with_shardings(self, tree, make_shardings: Callable):
        """The tree as ShapeDtypeStructs on this site.

        Args:
            tree: arrays or their shapes.
            make_shardings: gives shardings like the tree, of a mesh.
        """
        if self.mesh is not None:
            return jax.tree.map(_with_sharding, tree, make_shardings(self.mesh))
        one = None if self.device is None else SingleDeviceSharding(self.device)
        return jax.tree.map(lambda x: _with_sharding(x, one), tree)

    def array(self, shape: tuple[int, ...], dtype, *logical: str | None):
        """The shape of one array with these logical axes."""
        return self.with_shardings(
            jax.ShapeDtypeStruct(shape, dtype),
            lambda mesh: axes.named_sharding(mesh, *logical),
        )

    def model(self) -> transformer.Transformer:
        """The shapes of the base model."""
        shared = jobs.abstract_model(self.job.config, self.job.run.load_in_4bit)
        model = jax.tree.map(lambda x: x, shared)
        for _, param in sharding.iter_params(model):
            param.set_value(self._parameter(param.get_value(), param.logical))
        return model

    def _parameter(self, value, logical: tuple[str | None, ...]):
        return self.with_shardings(
            value, lambda mesh: axes.param_shardings(value, mesh, logical)
        )

    def state(self, seeds: int) -> steps.TrainState:
        """The shapes of the training state, with an axis of the seeds if several."""
        hyper = self.job.run.train_config
        one = jobs.abstract_state(self.job.config, self.job.run.lora_config, hyper)
        if seeds == 1:
            return self.with_shardings(
                one, lambda mesh: steps.state_shardings(one, hyper, mesh)
            )
        stacked = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((seeds, *x.shape), x.dtype), one
        )
        return self.with_shardings(
            stacked, lambda mesh: steps.state_shardings(one, hyper, mesh, "seed")
        )

    def train(self) -> Program:
        """`train.step`'s jitted step, for all seeds together; per step."""
        job, several = self.job, self.job.seeds > 1
        lead, names = ((job.seeds,), ("seed",)) if several else ((), ())
        shape = (*lead, job.run.batch_size // job.at_a_time, job.at_a_time, job.length)
        fields = []
        for field in batches.Batch._fields:
            dtype = jnp.float32 if field == "weights" else jnp.int32
            fields.append(self.array(shape, dtype, *names, None, "batch", None))
        batch = batches.Batch(*fields)
        key = self.array(lead, jax.eval_shape(lambda: jax.random.key(0)).dtype, *names)
        model, state = self.model(), self.state(job.seeds)
        rows = self.array((), jnp.int32)
        jit = steps.jit_train_step_seeds if several else steps.jit_train_step

        def lower() -> jax.stages.Lowered:
            step = jit(job.hyper, self.compute)
            return step.lower(state, model, batch, rows, key, None)

        parts = {
            "weights": model,
            "adapter": state.adapter,
            "optimizer": state.optimizer,
            "batch": batch,
        }
        return Program(TRAINING, lower, parts, loops=job.micro_batches)

    def measure(self) -> Program:
        """`capture.jit_activations` on as many probes as run at a time; per batch."""
        model, adapter = self.model(), self.state(1).adapter
        shape = (probes_at_a_time(self.job), PROBE_TOKENS)
        arrays = [self.array(shape, jnp.int32, "batch", None) for _ in range(3)]

        def lower() -> jax.stages.Lowered:
            where = capture.CaptureConfig()
            return capture.jit_activations.lower(
                model, *arrays, adapter, where, self.compute
            )

        parts: dict[str, object] = {"weights": model, "adapter": adapter}
        parts["batch"] = arrays
        return Program(MEASURING, lower, parts)

    def decode(self) -> Program:
        """A chunk of `decode.loop` over the longest cache, greedy; per token."""
        model, adapter = self.model(), self.state(1).adapter
        cache, rows = self.cache()

        def by_row(dtype, *more: int):
            return self.array((rows, *more), dtype, "batch", *[None] * len(more))

        state = decode_batch.BatchState(
            cache,
            by_row(jnp.int32),
            by_row(jnp.int32),
            by_row(jnp.uint32, 2),
            by_row(jnp.bool),
            by_row(jnp.int32),
        )
        number = self.array((), jnp.int32)

        def lower() -> jax.stages.Lowered:
            return decode_batch.decode_chunk.lower(
                model,
                None,
                state,
                adapter,
                number,
                number,
                size=CHUNK,
                compute=self.compute,
                sampling=choose.Sampling(),
                eos=(0,),
            )

        parts: dict[str, object] = {"weights": model, "adapter": adapter}
        parts["cache"] = cache
        return Program(DECODING, lower, parts, loops=CHUNK, per=CHUNK)

    def cache(self) -> tuple[caches.Cache, int]:
        """The longest cache and its rows.

        As many rows as there are problems, or as fit beside the weights.
        """
        job = self.job
        columns = plan.plan_layout(job.prompt, job.new, CHUNK).columns
        batch_parts = axes.axis_size(self.mesh, "batch")
        head_parts = axes.axis_size(self.mesh, "kv_heads")
        held = held_bytes(self.model()) + held_bytes(self.state(1).adapter)
        free = int(max(job.topology.chip.memory - held, 0)) * batch_parts * head_parts
        fit = plan.rows_that_fit(job.config, columns, self.compute.dtype, free)
        wanted = -(-job.problems // batch_parts)
        rows = min(wanted, max(1, fit // batch_parts)) * batch_parts
        cache = jax.eval_shape(
            lambda: caches.empty(job.config, rows, columns, self.compute.dtype)
        )

        def shardings(mesh):
            one = axes.named_sharding(mesh, "layer", "batch", "kv_heads", None, None)
            return jax.tree.map(lambda _: one, cache)

        return self.with_shardings(cache, shardings), rows


def _with_sharding(x, sharding_of_x) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding_of_x)


def probes_at_a_time(job: jobs.Job) -> int:
    """Probes that a measuring batch holds."""
    number = len(probes.load_probes(job.run.probes, job.run.probe_sets).probes)
    tokens = transformer.default_pass_tokens("tpu")
    compute = transformer.ComputeConfig(mesh=job.abstract)
    return capture.batch_size(number, PROBE_TOKENS, tokens, compute)


def held_bytes(tree) -> int:
    """Bytes of a tree's arrays on one chip, as they are split."""
    total = 0
    for x in jax.tree.leaves(tree):
        shape = x.shape if x.sharding is None else x.sharding.shard_shape(x.shape)
        total += math.prod(shape) * x.dtype.itemsize
    return total
