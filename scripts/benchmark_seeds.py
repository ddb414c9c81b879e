"""Throughput of seeds trained in one step over one NF4 base.

    python scripts/benchmark_seeds.py
    python scripts/benchmark_seeds.py --layers=24 --rows=2 --max_length=2048

Against the same seeds one after the other; 4 layers of Qwen2.5-Coder-0.5B's shapes and
1, 2, 4 and 8 seeds unless asked otherwise.

Random weights. Every seed has its own examples, dropout, adapter and optimizer; a step
has --rows packed rows of --max_length tokens a seed. The first step compiles and does
not count.
"""

import time

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_integer("layers", 4, "decoder layers")
flags.DEFINE_integer("vocab", 32_000, "tokens of the vocabulary")
flags.DEFINE_list("seeds", ["1", "2", "4", "8"], "numbers of seeds")
flags.DEFINE_integer("rows", 1, "packed rows a seed and step")
flags.DEFINE_integer("max_length", 256, "tokens a row")
flags.DEFINE_integer("max_steps", 3, "steps timed")
flags.DEFINE_enum(
    "dtype",
    None,
    ["float32", "bfloat16"],
    "arithmetic (default: float32 on CPU, else bfloat16)",
)
command.parse(__name__, __doc__)

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import batches
from jaxent.model import config as configs
from jaxent.model import transformer
from jaxent.runs import console
from jaxent.train import loop
from jaxent.train import step as steps

HEADER = ["seeds", "one by one, tokens/s", "in one step", "ratio", "temporaries"]


def random_model() -> transformer.Transformer:
    """An NF4 model of random codes and scales: values do not matter to the clock."""
    config = configs.from_dict(
        {
            "model_type": "qwen2",
            "vocab_size": FLAGS.vocab,
            "hidden_size": 896,
            "intermediate_size": 4864,
            "num_hidden_layers": FLAGS.layers,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
            "rope_theta": 1e6,
        }
    )
    rng = np.random.default_rng(0)

    def fill(x):
        if x.dtype == jnp.uint8:
            return jnp.asarray(rng.integers(0, 256, x.shape, np.uint8))
        values = 0.02 * rng.standard_normal(x.shape, np.float32)
        return jnp.asarray(values).astype(x.dtype)

    return jax.tree.map(fill, hf.abstract_model(config))


def draw_batch(seed: int, micro_batch_size: int) -> batches.Batch:
    """A seed's batch: --rows rows of --max_length random tokens, [M, B, T]."""
    rng = np.random.default_rng(seed)
    example = rng.integers(1, FLAGS.vocab, FLAGS.max_length).astype(np.int32)
    batch, _ = batches.pad([example] * FLAGS.rows, FLAGS.max_length, FLAGS.rows)
    return steps.shard_batch(batch, micro_batch_size, None)


def seconds(
    model: transformer.Transformer, plan: loop.LoopConfig, number: int, together: bool
) -> tuple[float, int]:
    """Times steps of several seeds.

    Args:
      model: the base of all.
      plan: adapter, optimizer and arithmetic.
      number: of seeds.
      together: whether one step trains all of them.

    Returns:
      Seconds a step of all seeds, bytes of temporaries of one compiled step.
    """
    micro_batch_size = plan.train_config.micro_batch_size
    drawn = [draw_batch(seed, micro_batch_size) for seed in range(number)]
    states = [loop.initial_state(model, plan, seed) for seed in range(number)]
    keys = jax.random.split(jax.random.key(0), number)
    if together and number > 1:
        train_step = steps.jit_train_step_seeds(plan.train_config, plan.compute)
        states = [loop.stack_seeds(states, plan)]
        inputs = [(batches.Batch(*map(np.stack, zip(*drawn))), keys)]
    else:
        train_step = steps.jit_train_step(plan.train_config, plan.compute)
        inputs = list(zip(drawn, keys))
    rows = np.int32(FLAGS.rows)
    batch, key = inputs[0]
    compiled = train_step.lower(states[0], model, batch, rows, key).compile()
    memory = compiled.memory_analysis().temp_size_in_bytes
    times = []
    for _ in range(FLAGS.max_steps + 1):
        started = time.perf_counter()
        states = [
            train_step(state, model, batch, rows, key)[0]
            for state, (batch, key) in zip(states, inputs)
        ]
        jax.block_until_ready(states)
        times.append(time.perf_counter() - started)
    return min(times[1:]), memory


def main():
    """Prints a row a number of seeds as it is measured, then the whole table."""
    model = random_model()
    compute = transformer.default_compute(FLAGS.dtype)
    plan = loop.LoopConfig(steps.TrainConfig(), lora.LoraConfig(), compute)
    rows = []
    for number in map(int, FLAGS.seeds):
        apart, _ = seconds(model, plan, number, together=False)
        together, memory = seconds(model, plan, number, together=True)
        tokens = number * FLAGS.rows * FLAGS.max_length
        rows.append(
            [
                str(number),
                tokens / apart,
                tokens / together,
                apart / together,
                f"{memory / 2**20:.0f} MiB",
            ]
        )
        print(console.format_table(HEADER, rows[-1:]), flush=True)
    print(
        f"\n{FLAGS.layers} layers, {FLAGS.rows} rows of {FLAGS.max_length} tokens a "
        f"seed, {np.dtype(plan.compute.dtype)}, {jax.devices()[0].device_kind}"
    )
    print(console.format_table(HEADER, rows))


if __name__ == "__main__":
    command.run(main)
