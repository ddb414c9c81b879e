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
_SHARE = 0.4  # of the speed of one large product that a training step reaches on large models
NF4 = 0.5625  # bytes a weight as `arrays.nf4` keeps it on a device


@dataclasses.dataclass(frozen=True)
class Cost:
    """Optimizer steps, trained tokens (if every row were full), floating-point operations of those, bytes on the device."""

    steps: int
    tokens: int
    flops: float
    memory: int


def run_cost(run: specs.RunSpec, config: configs.Config) -> Cost:
    """The run's cost, at most: packing leaves rows out, so that a step of short examples costs a small part of this.

    A token of training: the frozen linear weights three times over (forward, recomputed, gradient of its input; 2 operations
    a weight each), the adapter four times, the head twice, attention over half the row 4.5 times. A token of a probe: once;
    on CSR steps as one of training without the head. memory: weights, adapter with its gradient, moments and a copy, saved
    layer inputs and one layer's activations of a micro-batch, logits.
    """
    shapes = blocks.linear_shapes(config)
    linear = config.layers * sum(k * n for k, n in shapes.values())
    adapter = (
        config.layers
        * run.lora_r
        * sum(sum(shapes[m]) for m in run.lora_target_modules)
    )
    head = config.vocab * config.embed
    length = min(run.max_length, config.context)
    attention = 2 * config.layers * config.heads * config.head_dim * length
    steps = run.max_steps if run.mixture else 0
    tokens = steps * run.batch_size * length
    measured = (
        len(probes.load_probes(run.probes, run.probe_sets).probes)
        * (1 + -(-steps // run.measure_steps))
        * _PROBE_TOKENS
    )
    penalised = (
        len(probes.load_probes(run.csr_probes).probes)
        * (steps // run.csr_every)
        * _PROBE_TOKENS
        if run.csr
        else 0
    )
    trunk = 6 * linear + 8 * adapter
    flops = (
        tokens * (trunk + 4 * head + 4.5 * attention)
        + measured * 2 * linear
        + penalised * trunk
    )
    size = 2 if (run.dtype or "bfloat16") == "bfloat16" else 4
    weights = linear * (NF4 if run.load_in_4bit else size) + head * size * (
        1 if config.tied else 2
    )
    width = sum(n for _, n in shapes.values()) + max(k for k, _ in shapes.values())
    layer = max(k * n for k, n in shapes.values()) * size
    rows = run.micro_batch_size * length
    activations = (
        rows * size * (config.embed * config.layers + 3 * width) + layer + 2**29
    )
    return Cost(
        steps, tokens, flops, int(weights + 5 * 4 * adapter * bool(steps) + activations)
    )


def matmul_rate(dtype: str | None = None) -> float:
    """Operations a second a training step may reach here: measured on one product of 2048 x 2048 matrices, times 0.4."""
    x = jnp.ones((2048, 2048), transformer.default_compute(dtype).dtype)
    product = jax.jit(lambda x: x @ x)
    product(x).block_until_ready()
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < 0.3:
        product(x).block_until_ready()
        number += 1
    return _SHARE * number * 2 * 2048**3 / (time.perf_counter() - started)
