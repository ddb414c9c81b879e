"""What a program holds and receives on one chip, by formula.

The formulas follow what libtpu 0.0.42.1 makes of the same programs; `compiler` asks the
compiler itself.
"""

import dataclasses

from jaxent.capacity import hlo_collectives, jobs, programs
from jaxent.decode import plan
from jaxent.distributed import axes
from jaxent.model import blocks, transformer
from jaxent.runs import cost as costs


@dataclasses.dataclass(frozen=True)
class ProgramCost:
    """A program on one chip.

    name: the program's.
    parts: bytes by what they hold, temporaries included.
    total: bytes at once.
    received: bytes by kind of collective, a step, measuring batch or token.
    how: where the figures come from.
    refused: what the compiler says where the program does not fit.
    """

    name: str
    parts: dict[str, int]
    total: float
    received: dict[str, float]
    how: str
    refused: str | None = None


def fits_memory(cost: ProgramCost, job: jobs.Job) -> bool:
    """Whether the program was not refused and a chip holds it."""
    return cost.refused is None and cost.total <= job.topology.chip.memory


def analyse_program(program: programs.Program, job: jobs.Job) -> ProgramCost:
    """The program's memory and traffic by formula.

    Temporaries of training: inputs of all layers, one layer's activations, logits (2^29
    bytes), the largest weight decoded and, with fsdp, two layers' codes and the head,
    gathered; and three times the adapter, which is fitted: what libtpu 0.0.42.1 plans
    for a layer more is its input and 2.9 times its adapter. It plans 3.0 GiB for 7B on
    v5e:1x1 (by this formula 3.1) and 4.0 for 32B on v5e:4x4 as fsdp:4,tensor:4 (3.9).
    Other programs and GPUs were not compared.
    """
    parts = {name: programs.held_bytes(tree) for name, tree in program.parts.items()}
    temporaries = _decoded_weights(job)
    if program.name == programs.TRAINING:
        temporaries += _training_activations(job) + 3 * parts["adapter"]
    elif program.name == programs.MEASURING:
        tokens = transformer.default_pass_tokens("tpu")
        temporaries += 2 * tokens * (_layer_width(job) + 2 * job.config.embed)
    else:
        rows = program.rows / axes.axis_size(job.abstract, "batch")
        temporaries += plan.LOGITS_COPIES * 4 * rows * job.config.vocab
    parts["temporaries"] = int(temporaries)
    received = expected_traffic(program, job)
    return ProgramCost(program.name, parts, sum(parts.values()), received, "analysed")


def _weight_bytes(job: jobs.Job) -> float:
    """Bytes a weight as it is stored."""
    return costs.NF4 if job.run.load_in_4bit else 2


def _linear_weights(job: jobs.Job) -> int:
    """Weights of all linear modules."""
    shapes = blocks.linear_shapes(job.config).values()
    return job.config.layers * sum(k * n for k, n in shapes)


def _layer_width(job: jobs.Job) -> float:
    """Elements a token of one layer's activations on one chip."""
    shapes = blocks.linear_shapes(job.config).values()
    width = sum(n for _, n in shapes) + max(k for k, _ in shapes)
    return width / job.sizes["tensor"]


def _decoded_weights(job: jobs.Job) -> float:
    """Bytes of the largest weight decoded, and of what fsdp gathers."""
    c, tensor = job.config, job.sizes["tensor"]
    shapes = blocks.linear_shapes(c).values()
    largest = 2 * max(k * n for k, n in shapes) / tensor * job.run.load_in_4bit
    if job.sizes["fsdp"] == 1:
        return largest
    codes = 2 * _weight_bytes(job) * _linear_weights(job) / c.layers / tensor
    head = 2 * c.vocab * c.embed / tensor
    return largest + (codes + head)


def _training_activations(job: jobs.Job) -> float:
    """Bytes of all layers' inputs, one layer's activations and the logits."""
    c = job.config
    tokens = job.run.micro_batch_size * job.length
    activations = tokens * 2 * (c.embed * c.layers + _layer_width(job))
    return job.local_seeds * (activations + 2**29)


def expected_traffic(program: programs.Program, job: jobs.Job) -> dict[str, float]:
    """Bytes a chip receives, by kind of collective.

    What FSDP and tensor parallelism need, as libtpu 0.0.42.1 compiles it. Codes and
    adapter are gathered over fsdp twice a micro-batch (forward; once for recomputation
    and gradient), the head once. The adapter's gradient is reduced over data and fsdp
    in bfloat16. Over tensor each layer reduces its outputs twice, and of the residual
    stream's gradient six times (recomputation 1, the MLP's two matmuls 2, attention's
    three 3). A forward pass alone gathers once and reduces twice.
    """
    c, sizes, training = job.config, job.sizes, program.name == programs.TRAINING
    tensor, fsdp, data = sizes["tensor"], sizes["fsdp"], sizes["data"]
    parts = axes.axis_size(job.abstract, "batch")
    split, whole = _adapter_sizes(job)
    seeds = job.local_seeds if training else 1
    codes = _weight_bytes(job) * _linear_weights(job) / tensor
    gathers = _ring(fsdp) * (codes + 4 * split * seeds)
    head = _ring(fsdp) * 2 * c.vocab * c.embed / tensor
    rows = _tokens_on_a_chip(program, job, seeds, parts)
    reduces = 8 if training else 2
    outputs = reduces * c.layers * 2 * _ring(tensor) * 2 * rows * c.embed
    times = job.micro_batches if training else 1
    gradient = _ring(parts) * whole / tensor + _ring(data) * split / fsdp
    received = dict.fromkeys(hlo_collectives.KINDS, 0.0)
    heads = head * (program.name != programs.MEASURING)
    received["all-gather"] = times * ((1 + training) * gathers + heads)
    received["all-reduce"] = times * (outputs + training * seeds * 2 * 2 * gradient)
    received["reduce-scatter"] = times * training * seeds * 2 * _ring(fsdp) * split
    received["all-to-all"] = times * _ring(fsdp) * 2 * rows * c.embed / tensor
    return received


def _ring(chips: int) -> float:
    """The share of an array that each chip of a ring receives."""
    return (chips - 1) / chips


def _adapter_sizes(job: jobs.Job) -> tuple[int, int]:
    """Numbers of the LoRA factors that split along "embed", and of the others."""
    c, modules = job.config, job.run.lora_target_modules
    shapes = blocks.linear_shapes(c)
    split = c.layers * job.run.lora_r * c.embed * len(modules)
    every = c.layers * job.run.lora_r * sum(sum(shapes[m]) for m in modules)
    return split, every - split


def _tokens_on_a_chip(
    program: programs.Program, job: jobs.Job, seeds: int, parts: int
) -> float:
    """Tokens that one chip runs at a time."""
    if program.name == programs.TRAINING:
        return job.run.micro_batch_size * job.length * seeds
    if program.name == programs.MEASURING:
        return programs.probes_at_a_time(job) * programs.PROBE_TOKENS / parts
    return program.rows / parts
