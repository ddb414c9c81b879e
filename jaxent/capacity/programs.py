"""What of a study lies on each chip of a slice of accelerators, from shapes alone: nothing is allocated, compiled or run.

A `Job` is a run on a mesh over a topology; its `Program`s are this package's own training step, measuring step and decoding
chunk with the shapes they are called with. `analysed` gives a program's memory and traffic by formula; `compiler` asks a compiler for
them, `roofline` makes times and plans of both.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, SingleDeviceSharding

from jaxent.arrays import lora
from jaxent.capacity import chips, hlo_collectives
from jaxent.checkpoint import hf
from jaxent.data import batches, probes
from jaxent.decode import choose, plan
from jaxent.decode import loop as decoding
from jaxent.distributed import axes
from jaxent.measure import capture
from jaxent.model import blocks, sharding, transformer
from jaxent.model import cache as caches
from jaxent.model import config as configs
from jaxent.runs import cost as costs
from jaxent.runs import spec as specs
from jaxent.train import step as steps

_PROBE = 96  # tokens of a probe text with its padding, at most about
_CHUNK = 32  # tokens a decoding chunk


@dataclasses.dataclass(frozen=True)
class Job:
    """What is planned: a run's settings on a mesh over a topology.

    mesh: axes:sizes, "none" on one chip. seeds: trained together in one step. rows: packed rows an optimizer step uses on average (of
    run.batch_size). problems, prompt, new: a coding benchmark's prompts, tokens of the longest and tokens generated for each at most.
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
        return axes.parse_axis_sizes("data:1" if self.mesh == "none" else self.mesh)

    @property
    def abstract(self) -> AbstractMesh | None:
        """The mesh without devices; None on one chip."""
        sizes = self.sizes
        return (
            AbstractMesh(tuple(sizes.values()), tuple(sizes))
            if self.topology.size > 1
            else None
        )

    @property
    def at_a_time(self) -> int:
        """Packed rows of a micro-batch, over all chips."""
        return self.run.micro_batch_size * axes.axis_size(self.abstract, "batch")

    @property
    def micro_batches(self) -> int:
        """Of a step of `rows`."""
        return math.ceil(self.rows / self.at_a_time)

    @property
    def length(self) -> int:
        return min(self.run.max_length, self.config.context)

    @property
    def hyper(self) -> steps.TrainConfig:
        return dataclasses.replace(self.run.hyper, micro_batch_size=self.at_a_time)

    @property
    def local_seeds(self) -> int:
        """Seeds whose state a chip holds."""
        return self.seeds // self.sizes["seed"]


def check_job(job: Job) -> None:
    """ValueError where the mesh does not cover the topology, or does not split the model, the rows of a step or the seeds."""
    size = math.prod(job.sizes.values())
    if size != job.topology.size:
        raise ValueError(
            f"mesh {job.mesh} has {size} places, but {job.topology} has {job.topology.size} chips: expected as many"
        )
    if job.seeds % job.sizes["seed"]:
        raise ValueError(
            f"mesh {job.mesh}: {job.seeds} seeds do not split {job.sizes['seed']} ways (seed)"
        )
    if job.run.batch_size % job.at_a_time:
        raise ValueError(
            f"mesh {job.mesh} runs {job.at_a_time} packed rows at a time: expected a divisor of the {job.run.batch_size} "
            "examples of a step; give the tensor or seed axis more chips"
        )
    if job.abstract is not None:
        sharding.check_mesh(_model(job.config, job.run.load_in_4bit), job.abstract)


@functools.lru_cache(maxsize=8)
def _model(config: configs.Config, quantize: bool) -> transformer.Transformer:
    return hf.abstract_model(config, quantize)


@functools.lru_cache(maxsize=8)
def _state(
    config: configs.Config, lora_config: lora.LoraConfig, hyper: steps.TrainConfig
) -> steps.TrainState:
    return jax.eval_shape(
        lambda key: steps.init_state(
            lora.init_adapter(
                key, lora_config, config.layers, blocks.linear_shapes(config)
            ),
            hyper,
        ),
        jax.random.key(0),
    )


def candidate_meshes(job: Job) -> Iterator[Job]:
    """The job on every mesh over its topology that `check` accepts."""
    if job.topology.size == 1:
        yield dataclasses.replace(job, mesh="none")
        return
    divisors = lambda n: [i for i in range(1, n + 1) if n % i == 0]
    for tensor in divisors(job.topology.size):
        for fsdp in divisors(job.topology.size // tensor):
            for data in divisors(job.topology.size // tensor // fsdp):
                seed = job.topology.size // tensor // fsdp // data
                sizes = {"seed": seed, "data": data, "fsdp": fsdp, "tensor": tensor}
                found = dataclasses.replace(
                    job, mesh=",".join(f"{k}:{v}" for k, v in sizes.items() if v > 1)
                )
                try:
                    check_job(found)
                except ValueError:
                    continue
                yield found


@dataclasses.dataclass(frozen=True)
class Program:
    """A jitted function of this package and the shapes it is called with.

    parts: what lies in memory before it runs, by name. loops: how often its loop of a traced count runs. per: what the figures of one
    call are divided by to be those of a step, a measuring batch or a token.
    """

    name: str
    lower: Callable[[], jax.stages.Lowered]
    parts: dict[str, object]
    loops: int = 1
    per: int = 1

    @property
    def rows(self) -> int:
        """Of a decoding program's cache."""
        return jax.tree.leaves(self.parts["cache"])[0].shape[1]


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a job's arrays lie: on a mesh, with or without devices, or on one device (None: nowhere, for analysis)."""

    job: Job
    mesh: Mesh | AbstractMesh | None
    device: jax.Device | None = None

    @property
    def compute(self) -> transformer.ComputeConfig:
        kernel = (
            "splash" if self.job.topology.tpu else "xla"
        )  # cuDNN's cannot be lowered without a GPU
        return transformer.ComputeConfig(
            jnp.dtype(self.job.run.dtype or "bfloat16"), kernel, self.mesh
        )

    def lay(self, tree, lies):
        """The tree as ShapeDtypeStructs that lie as `lies` says: a function of the mesh that gives shardings like the tree."""
        give = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
        if self.mesh is not None:
            return jax.tree.map(give, tree, lies(self.mesh))
        one = None if self.device is None else SingleDeviceSharding(self.device)
        return jax.tree.map(lambda x: give(x, one), tree)

    def array(self, shape, dtype, *logical):
        return self.lay(
            jax.ShapeDtypeStruct(shape, dtype),
            lambda mesh: axes.named_sharding(mesh, *logical),
        )

    def model(self) -> transformer.Transformer:
        model = jax.tree.map(
            lambda x: x, _model(self.job.config, self.job.run.load_in_4bit)
        )
        for _, param in sharding.iter_params(model):
            value = param.get_value()
            param.set_value(
                self.lay(
                    value, lambda mesh: axes.param_shardings(value, mesh, param.logical)
                )
            )
        return model

    def state(self, seeds: int) -> steps.TrainState:
        """With an axis of the seeds if there are several."""
        hyper, several = self.job.run.hyper, seeds > 1
        state = _state(self.job.config, self.job.run.lora_config, hyper)
        stacked = (
            jax.tree.map(
                lambda x: jax.ShapeDtypeStruct((seeds, *x.shape), x.dtype), state
            )
            if several
            else state
        )
        return self.lay(
            stacked,
            lambda mesh: steps.state_shardings(state, hyper, mesh, *["seed"] * several),
        )

    def train(self) -> Program:
        """`train.step`'s jitted step, for all seeds together; per step."""
        job, several = self.job, self.job.seeds > 1
        lead, names = ((job.seeds,), ("seed",)) if several else ((), ())
        shape = (*lead, job.run.batch_size // job.at_a_time, job.at_a_time, job.length)
        dtypes = {"weights": jnp.float32}
        batch = batches.Batch(
            *(
                self.array(shape, dtypes.get(f, jnp.int32), *names, None, "batch", None)
                for f in batches.Batch._fields
            )
        )
        key = self.array(lead, jax.eval_shape(lambda: jax.random.key(0)).dtype, *names)
        model, state = self.model(), self.state(job.seeds)
        make = steps.jit_train_step_seeds if several else steps.jit_train_step
        lower = lambda: make(job.hyper, self.compute).lower(
            state, model, batch, self.array((), jnp.int32), key, None
        )
        parts = {
            "weights": model,
            "adapter": state.adapter,
            "optimizer": state.optimizer,
            "batch": batch,
        }
        return Program("training step", lower, parts, loops=job.micro_batches)

    def measure(self) -> Program:
        """`capture.jit_activations`, as many probes as run at a time; per batch of them."""
        job, model, adapter = self.job, self.model(), self.state(1).adapter
        arrays = [
            self.array((probes_at_a_time(job), _PROBE), jnp.int32, "batch", None)
            for _ in range(3)
        ]
        lower = lambda: capture.jit_activations.lower(
            model, *arrays, adapter, capture.CaptureConfig(), self.compute
        )
        return Program(
            "measuring", lower, {"weights": model, "adapter": adapter, "batch": arrays}
        )

    def decode(self) -> Program:
        """A chunk of `decode.loop` over the longest cache; per token. Sampling is greedy."""
        model, adapter = self.model(), self.state(1).adapter
        cache, rows = self.cache()
        number = lambda dtype, *more: self.array(
            (rows, *more), dtype, "batch", *[None] * len(more)
        )
        state = decoding._State(
            cache,
            number(jnp.int32),
            number(jnp.int32),
            number(jnp.uint32, 2),
            number(jnp.bool),
            number(jnp.int32),
        )
        one = self.array((), jnp.int32)
        lower = lambda: decoding._chunk.lower(
            model,
            None,
            state,
            adapter,
            one,
            one,
            size=_CHUNK,
            compute=self.compute,
            sampling=choose.Sampling(),
            eos=(0,),
            mesh=self.mesh,
        )
        return Program(
            "decoding",
            lower,
            {"weights": model, "adapter": adapter, "cache": cache},
            loops=_CHUNK,
            per=_CHUNK,
        )

    def cache(self) -> tuple[caches.Cache, int]:
        """The longest cache and its rows: of all problems, or as many as fit beside the weights."""
        job = self.job
        columns = plan.plan_layout(job.prompt, job.new, _CHUNK).columns
        ways, heads = (
            axes.axis_size(self.mesh, "batch"),
            axes.axis_size(self.mesh, "kv_heads"),
        )
        free = (
            job.topology.chip.memory
            - held_bytes(self.model())
            - held_bytes(self.state(1).adapter)
        )
        fit = plan.rows_that_fit(
            job.config, columns, self.compute.dtype, int(max(free, 0)) * ways * heads
        )
        rows = min(-(-job.problems // ways), max(1, fit // ways)) * ways
        cache = jax.eval_shape(
            lambda: caches.empty(job.config, rows, columns, self.compute.dtype)
        )
        split = lambda mesh: jax.tree.map(
            lambda _: axes.named_sharding(
                mesh, "layer", "batch", "kv_heads", None, None
            ),
            cache,
        )
        return self.lay(cache, split), rows


def probes_at_a_time(job: Job) -> int:
    number = len(probes.load_probes(job.run.probes, job.run.probe_sets).probes)
    return capture.batch_size(
        number,
        _PROBE,
        transformer.default_pass_tokens("tpu"),
        transformer.ComputeConfig(mesh=job.abstract),
    )


def held_bytes(tree) -> int:
    """Bytes of a tree's arrays on one chip, as they are split."""
    local = lambda x: x.shape if x.sharding is None else x.sharding.shard_shape(x.shape)
    return sum(math.prod(local(x)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


@dataclasses.dataclass(frozen=True)
class Found:
    """A program on a chip. parts: bytes by what they hold, temporaries included; total: bytes at once; received: bytes by kind of
    collective a step, measuring batch or token; how: where the figures come from; refused: what the compiler says where it does not fit.
    """

    name: str
    parts: dict[str, int]
    total: float
    received: dict[str, float]
    how: str
    refused: str | None = None


def analyse_program(program: Program, job: Job) -> Found:
    """Temporaries and collectives by formula.

    Temporaries of training: inputs of all layers, one layer's activations, logits (2^29 bytes), the largest weight decoded and, with
    fsdp, two layers' codes and the head, gathered; and three times the adapter, which is fitted: what libtpu 0.0.42.1 plans for a layer more
    is its input and 2.9 times its adapter. It plans 3.0 GiB for 7B on v5e:1x1 (by this formula 3.1) and 4.0 for 32B on v5e:4x4 as
    fsdp:4,tensor:4 (3.9). Other programs and GPUs were not compared.
    """
    c, sizes, shapes = job.config, job.sizes, blocks.linear_shapes(job.config)
    parts = {name: held_bytes(tree) for name, tree in program.parts.items()}
    tensor, fsdp, adapter = sizes["tensor"], sizes["fsdp"], parts["adapter"]
    linear = c.layers * sum(k * n for k, n in shapes.values())
    size = costs.NF4 if job.run.load_in_4bit else 2
    head = 2 * c.vocab * c.embed / tensor
    temporary = (
        2 * max(k * n for k, n in shapes.values()) / tensor * job.run.load_in_4bit
    )
    temporary += (2 * size * linear / c.layers / tensor + head) * (fsdp > 1)
    width = (
        sum(n for _, n in shapes.values()) + max(k for k, _ in shapes.values())
    ) / tensor
    if program.name == "training step":
        temporary += (
            job.local_seeds
            * (
                job.run.micro_batch_size * job.length * 2 * (c.embed * c.layers + width)
                + 2**29
            )
            + 3 * adapter
        )
    elif program.name == "measuring":
        temporary += 2 * transformer.default_pass_tokens("tpu") * (width + 2 * c.embed)
    else:
        rows = program.rows / axes.axis_size(job.abstract, "batch")
        temporary += plan._LOGITS * 4 * rows * c.vocab
    parts["temporaries"] = int(temporary)
    return Found(
        program.name,
        parts,
        sum(parts.values()),
        expected_parts(program, job),
        "analysed",
    )


def expected_parts(program: Program, job: Job) -> dict[str, float]:
    """Bytes a chip receives, by kind: what FSDP and tensor parallelism need, as libtpu 0.0.42.1 compiles it.

    Codes and adapter are gathered over fsdp twice a micro-batch (forward; once for recomputation and gradient), the head once; the
    adapter's gradient is reduced over data and fsdp in bfloat16; over tensor each layer reduces its outputs twice, and of the residual
    stream's gradient six times (recomputation 1, MLP's two products 2, attention's three 3). Forward alone: once, twice.
    """
    c, sizes = job.config, job.sizes
    shapes, training = blocks.linear_shapes(c), program.name == "training step"
    tensor, fsdp, ways = (
        sizes["tensor"],
        sizes["fsdp"],
        axes.axis_size(job.abstract, "batch"),
    )
    ring = lambda n: (n - 1) / n
    linear = c.layers * sum(k * n for k, n in shapes.values())
    size = costs.NF4 if job.run.load_in_4bit else 2
    split = (
        c.layers * job.run.lora_r * c.embed * len(job.run.lora_target_modules)
    )  # the factors that lie along the embedding axis
    whole = (
        c.layers
        * job.run.lora_r
        * sum(sum(shapes[m]) for m in job.run.lora_target_modules)
        - split
    )
    seeds = job.local_seeds if training else 1
    gathers = ring(fsdp) * (size * linear / tensor + 4 * split * seeds)
    head = ring(fsdp) * 2 * c.vocab * c.embed / tensor
    if training:
        rows = job.run.micro_batch_size * job.length * seeds
    elif program.name == "measuring":
        rows = probes_at_a_time(job) * _PROBE / ways
    else:
        rows = program.rows / ways
    reduces = (8 if training else 2) * c.layers * 2 * ring(tensor) * 2 * rows * c.embed
    times = job.micro_batches if training else 1
    found = dict.fromkeys(hlo_collectives.KINDS, 0.0)
    found["all-gather"] = times * (
        (1 + training) * gathers + head * (program.name != "measuring")
    )
    found["all-reduce"] = times * (
        reduces
        + training
        * seeds
        * 2
        * 2
        * (ring(ways) * whole / tensor + ring(sizes["data"]) * split / fsdp)
    )
    found["reduce-scatter"] = times * training * seeds * 2 * ring(fsdp) * split
    found["all-to-all"] = times * ring(fsdp) * 2 * rows * c.embed / tensor
    return found


def fits_memory(found: Found, job: Job) -> bool:
    """Whether the program was not refused and a chip holds it."""
    return found.refused is None and found.total <= job.topology.chip.memory
