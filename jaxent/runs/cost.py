"""What a run costs, from its settings and the model's shapes alone."""

import dataclasses
import time

import jax
import jax.numpy as jnp

from jaxent.data import probes
from jaxent.model import blocks, transformer
from jaxent.model import config as configs
from jaxent.runs import spec as specs

_PROBE_TOKENS = 96  # a probe text with its padding, at most about
# The share of one large matmul's speed that a training step reaches on large models.
_SHARE = 0.4
NF4 = 0.5625  # bytes a weight as `arrays.nf4` keeps it on a device


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run costs at most.

    Attributes:
      steps: optimizer steps.
      tokens: trained tokens, if every row were full.
      flops: floating-point operations of training, measuring and CSR.
      memory: bytes on the device.
    """

    steps: int
    tokens: int
    flops: float
    memory: int


def run_cost(run: specs.RunSpec, config: configs.Config) -> Cost:
    """The run's cost, at most.

    Packing leaves rows out, so that a step of short examples costs a small part of
    it. FLOPs of a trained token: 6 for each frozen linear weight (forward,
    recomputed, gradient of its input; 2 a weight each), 8 for each that is trained, 4
    for each of a frozen head's, and 4.5 times attention over half the row. FLOPs of a
    probe's token: 2 for each linear weight; on CSR steps those of training without the
    head. Memory: the base's weights, what is trained with its gradient, moments and a
    copy, saved layer inputs, one layer's activations of a micro-batch, and logits.

    Args:
      run: the run.
      config: its model's shapes.
    """
    number = _trained_parameters(run, config)
    steps = run.max_steps if run.training_mixture else 0
    tokens = steps * run.batch_size * min(run.max_length, config.context)
    flops = _run_flops(run, config, steps, tokens)
    memory = _weight_bytes(run, config) + 5 * 4 * number * bool(steps)
    return Cost(steps, tokens, flops, int(memory + _activation_bytes(run, config)))


def _trained_parameters(run: specs.RunSpec, config: configs.Config) -> int:
    if run.tuner == "full":
        return transformer.parameter_count(config)
    shapes = blocks.linear_shapes(config)
    adapted = sum(sum(shapes[m]) for m in run.lora_target_modules)
    return config.layers * run.lora_r * adapted


def _linear_weights(config: configs.Config) -> int:
    shapes = blocks.linear_shapes(config)
    return config.layers * sum(k * n for k, n in shapes.values())


def _run_flops(
    run: specs.RunSpec, config: configs.Config, steps: int, tokens: int
) -> float:
    linear = _linear_weights(config)
    head = config.vocab * config.embed
    length = min(run.max_length, config.context)
    attention = 2 * config.layers * config.heads * config.head_dim * length
    probe_set = probes.load_probes(run.probes, run.probe_sets)
    measurements = 1 + -(-steps // run.measure_steps)
    measured_tokens = len(probe_set.probes) * measurements * _PROBE_TOKENS
    csr_tokens = 0
    if run.csr:
        csr_probes = probes.load_probes(run.csr_probes)
        csr_steps = steps // run.csr_every
        csr_tokens = len(csr_probes.probes) * csr_steps * _PROBE_TOKENS
    if run.tuner == "full":
        trunk, of_head = 8 * linear, 8 * head
    else:
        trunk = 6 * linear + 8 * _trained_parameters(run, config)
        of_head = 4 * head
    return (
        tokens * (trunk + of_head + 4.5 * attention)
        + measured_tokens * 2 * linear
        + csr_tokens * trunk
    )


def _float_bytes(run: specs.RunSpec) -> int:
    return 2 if (run.dtype or "bfloat16") == "bfloat16" else 4


def _weight_bytes(run: specs.RunSpec, config: configs.Config) -> float:
    size = _float_bytes(run)
    linear = _linear_weights(config) * (NF4 if run.load_in_4bit else size)
    tables = 1 if config.tied else 2  # embedding and head
    return linear + config.vocab * config.embed * size * tables


def _activation_bytes(run: specs.RunSpec, config: configs.Config) -> int:
    """Bytes of saved layer inputs, one layer's activations and weights, and logits."""
    size = _float_bytes(run)
    shapes = blocks.linear_shapes(config).values()
    width = sum(n for _, n in shapes) + max(k for k, _ in shapes)
    largest_weight = max(k * n for k, n in shapes) * size
    rows = run.micro_batch_size * min(run.max_length, config.context)
    saved = config.embed * config.layers + 3 * width
    return rows * size * saved + largest_weight + 2**29


def matmul_rate(dtype: str | None = None) -> float:
    """FLOPs a second that a training step may reach here.

    Measured on one matmul of 2048 x 2048 matrices, times 0.4.

    Args:
      dtype: the arithmetic; None for the device's default.
    """
    x = jnp.ones((2048, 2048), transformer.default_compute(dtype).dtype)
    matmul = jax.jit(lambda x: x @ x)
    matmul(x).block_until_ready()
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < 0.3:
        matmul(x).block_until_ready()
        number += 1
    return _SHARE * number * 2 * 2048**3 / (time.perf_counter() - started)
