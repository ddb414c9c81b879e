"""Training steps as compiled programs, from shapes alone: nothing is allocated."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora
from jaxent.capacity import hlo_collectives
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.measure import penalty
from jaxent.model import blocks
from jaxent.model import config as configs
from jaxent.train import step as steps


def step_memory(
    config: configs.Config, probe_count: int, length: int, rank: int, compute
) -> dict[bool, int]:
    """Bytes of temporaries of one compiled training step of 16 rows; shapes only.

    Args:
      config: the model's.
      probe_count: CSR's probes, each 64 tokens long.
      length: tokens a row, and tokens of CSR's probes that run at a time.
      rank: the adapter's.
      compute: the arithmetic.

    Returns:
      {with CSR?: bytes}.
    """
    train_config = steps.TrainConfig()
    inputs = abstract_inputs(config, length, rank, train_config)
    reference = abstract_reference(config, probe_count, length)
    train_step = steps.jit_train_step(train_config, compute)
    needed = {}
    for csr in (False, True):
        compiled = train_step.lower(*inputs, reference if csr else None).compile()
        needed[csr] = compiled.memory_analysis().temp_size_in_bytes
    return needed


def abstract_inputs(
    config: configs.Config, length: int, rank: int, train_config: steps.TrainConfig
) -> tuple:
    """State, model, batch, rows and key of a training step, as shapes."""

    def make_state(key):
        shapes = blocks.linear_shapes(config)
        adapter = lora.init_adapter(key, lora.LoraConfig(rank), config.layers, shapes)
        return steps.init_state(adapter, train_config)

    def make_batch():
        examples = [np.ones(length, np.int32)] * 16
        batch, _ = batches.pack(examples, length, 16)
        split = steps.shard_batch(batch, train_config.micro_batch_size, None)
        return jax.tree.map(jnp.asarray, split)

    key = jax.eval_shape(jax.random.key, 0)
    return (
        jax.eval_shape(make_state, key),
        hf.abstract_model(config),
        jax.eval_shape(make_batch),
        jax.ShapeDtypeStruct((), jnp.int32),
        key,
    )


def abstract_reference(
    config: configs.Config, probe_count: int, length: int
) -> penalty.CsrReference:
    """What CSR compares with, as shapes: probes of 64 tokens, 80 directions."""
    at_a_time = length // 64
    micro = (-(-probe_count // at_a_time), at_a_time)
    ids = jax.ShapeDtypeStruct((*micro, 64), jnp.int32)
    return penalty.CsrReference(
        tokens=ids,
        segments=ids,
        positions=ids,
        counts=jax.ShapeDtypeStruct(micro, jnp.float32),
        base=jax.ShapeDtypeStruct((*micro, config.embed), jnp.float32),
        subspace=jax.ShapeDtypeStruct((config.embed, 80), jnp.float32),
        weight=jax.ShapeDtypeStruct((), jnp.float32),
    )


_DOT = re.compile(r"%([\w.\-]+) = \w+\[([\d,]*)\]\S* dot\(%([\w.\-]+), ")
_SHAPE = re.compile(r"%([\w.\-]+) = \w+\[([\d,]*)\]")
_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")


def dot_flops(text: str, loops: int) -> float:
    """FLOPs of all matmuls of a compiled program, from its HLO text.

    Args:
      text: the optimized HLO.
      loops: how often a loop runs whose count is an argument.
    """
    computations, entry = hlo_collectives._computations(text)
    flops = {name: _own_flops(lines) for name, lines in computations.items()}

    def walk(name: str) -> float:
        total = flops.get(name, 0.0)
        for line in computations.get(name, ()):
            if loop := hlo_collectives._LOOP.search(line):
                condition = computations.get(loop[1], ())
                count = hlo_collectives._count(line, condition)
                total += walk(loop[2]) * (loops if count is None else count)
                continue
            called = hlo_collectives._CALLED.findall(line)
            if branches := hlo_collectives._BRANCHES.search(line):
                called += [b.strip().lstrip("%") for b in branches[1].split(",")]
            total += sum(map(walk, called))
        return total

    return walk(entry)


def _own_flops(lines) -> float:
    """FLOPs of the matmuls that stand in one computation."""
    shapes = {}
    for line in lines:
        if found := _SHAPE.search(line):
            shapes[found[1]] = _dimensions(found[2])
    total = 0.0
    for line in lines:
        if found := _DOT.search(line):
            contracted = _dimensions(_CONTRACTED.search(line)[1])
            left = shapes[found[3]]
            depth = math.prod(left[axis] for axis in contracted)
            total += 2.0 * math.prod(_dimensions(found[2])) * depth
    return total


def _dimensions(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]
