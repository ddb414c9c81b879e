"""Checks jaxent against transformers + PEFT + bitsandbytes on a checkpoint of yours.

    pip install -e '.[test]'
    python scripts/check_equivalence.py --model=<folder or Hub id>

One row a check: what was compared, the measured difference, the bound, PASS or FAIL;
exit code 1 if any fails. Everything runs in float32 on the CPU, the model once dense
and once in NF4 in each framework, one after the other: allow about five bytes of memory
and one byte of scratch disk a parameter. The 1M-parameter embedded model takes about a
minute.
"""

import dataclasses
import gc
import pathlib
import sys
import tempfile
from collections.abc import Iterator

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id", required=True)
flags.DEFINE_integer("lora_r", 8, "rank of the adapter (alpha is three times as much)")
flags.DEFINE_integer("batch_size", 4, "examples an optimizer step")
flags.DEFINE_integer("max_length", 128, "tokens an example, at most")
flags.DEFINE_integer("max_steps", 20, "optimizer steps")
flags.DEFINE_integer(
    "max_new_tokens", 64, "tokens decoded greedily from each of two prompts"
)
command.parse(__name__, __doc__)

import bitsandbytes.functional as bnb
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_reference
import transformers

from jaxent.arrays import dynamic8, lora, nf4
from jaxent.checkpoint import hf, safetensors_folder
from jaxent.checkpoint import peft as adapters
from jaxent.data import batches, embedded, tokens
from jaxent.decode import loop
from jaxent.model import blocks, transformer
from jaxent.model import config as configs
from jaxent.train import step as steps


@dataclasses.dataclass(frozen=True)
class Check:
    """One comparison: measured difference and the bound it must not exceed."""

    name: str
    against: str
    difference: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the bound; False for NaN."""
        return self.difference <= self.bound

    def __str__(self):
        verdict = "PASS" if self.passed else "FAIL"
        return (
            f"{self.name:<34} {self.against:<14} {self.difference:>10.2e} "
            f"{self.bound:>10.2e}  {verdict}"
        )


def relative(actual, expected) -> float:
    """max |actual - expected| / max |expected|."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def tree_relative(actual, expected) -> float:
    """Largest relative L2 difference over the arrays of two trees of one structure.

    Args:
      actual: an adapter, its factors, or a gradient in them.
      expected: the same, or the same without the adapter's configuration.
    """
    differences = []
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        gap = np.asarray(x) - np.asarray(y)
        differences.append(_norm(gap) / max(_norm(y), 1e-30))
    return max(differences)


def _norm(x) -> float:
    return float(np.linalg.norm(np.asarray(x, np.float64)))


def logits(model, ids: list[list[int]], adapter=None) -> np.ndarray:
    """Logits [B, T, V] of unpadded rows of one length."""
    array = np.array(ids, np.int32)
    positions = np.arange(array.shape[1], dtype=np.int32)
    positions = np.broadcast_to(positions, array.shape)
    run = jax.jit(_logits)
    return np.asarray(run(model, adapter, array, np.ones_like(array), positions))


def _logits(model, adapter, ids, segments, positions):
    return model.logits(model(ids, segments, positions, adapter))


def check_dense(path: str, ids: list[list[int]], new_tokens: int) -> list[Check]:
    """Unquantised logits and greedy tokens.

    Args:
      path: folder of the checkpoint.
      ids: two rows of one length; prompts are half of the first, and the second.
      new_tokens: tokens decoded from each prompt.
    """
    theirs = torch_reference.load_dense(path)
    expected = torch_reference.logits(theirs, ids)
    prompts = [ids[0][: len(ids[0]) // 2], ids[1]]
    continuations = [torch_reference.greedy(theirs, p, new_tokens) for p in prompts]
    del theirs
    gc.collect()
    ours = hf.load(path, quantize=False, dtype=jnp.float32)
    generated = loop.complete(loop.Runner(ours), prompts, loop.Request(new_tokens))
    wrong = sum(
        a != b
        for row, continuation in zip(generated, continuations, strict=True)
        for a, b in zip(row, continuation, strict=True)
    )
    gap = relative(logits(ours, ids), expected)
    return [
        Check("logits, float32", "transformers", gap, 1e-4),
        Check(f"greedy tokens, {2 * new_tokens}", "transformers", wrong, 0),
    ]


def check_nf4(path: str) -> list[Check]:
    """Codes, second-level codes and scales, and values of every linear weight.

    The difference is the number of elements that are not equal.
    """
    folder = safetensors_folder.open_folder(safetensors_folder.locate(path))
    config = configs.read_config(folder.path)
    differ = np.zeros(4, np.int64)
    for row in hf.tensor_table(config):
        if row.linear:
            for name in hf.tensor_names(row, config):
                differ += _count_nf4_differences(folder.read(name).astype(np.float32))
    names = (
        "NF4 codes, bytes that differ",
        "NF4 second-level codes",
        "NF4 second-level scales",
        "NF4 decoded values",
    )
    return [Check(n, "bitsandbytes", int(d), 0) for n, d in zip(names, differ)]


_decode = jax.jit(nf4.decode, static_argnums=1)


def _count_nf4_differences(weight: np.ndarray) -> list[int]:
    """Elements of a weight's four NF4 arrays that differ from bitsandbytes'."""
    codes, state = bnb.quantize_4bit(
        torch.tensor(weight), quant_type="nf4", compress_statistics=True
    )
    ours = nf4.encode(weight, double=False)
    second = dynamic8.encode(ours.scales, "cpu_grid", state.offset.numpy())
    packed = nf4.Packed(ours.codes, second, ours.shape)
    decoded = np.asarray(_decode(nf4.repack(packed), jnp.float32)).T
    pairs = (
        (ours.codes, codes.reshape(-1)),
        (second.codes, state.absmax),
        (second.scales, state.state2.absmax),
        (decoded, bnb.dequantize_4bit(codes, state)),
    )
    return [np.count_nonzero(a != b.numpy()) for a, b in pairs]


def random_adapter(
    config: configs.Config, lora_config: lora.LoraConfig, seed: int
) -> lora.Adapter:
    """An adapter whose B is not zero, so that every factor has a gradient."""
    adapter = lora.init_adapter(
        jax.random.key(seed),
        lora_config,
        config.layers,
        blocks.linear_shapes(config),
    )
    keys = jax.random.split(jax.random.key(seed + 1), len(adapter.params))
    filled = {
        path: lora.LoraParams(f.a, 0.02 * jax.random.normal(k, f.b.shape))
        for k, (path, f) in zip(keys, adapter.params.items())
    }
    return lora.Adapter(filled, lora_config)


def check_qlora(
    path: str,
    examples: list[np.ndarray],
    lora_config: lora.LoraConfig,
    train_config: steps.TrainConfig,
) -> list[Check]:
    """LoRA on the same NF4 bytes: forward, gradient, optimizer steps.

    Args:
      path: folder of the checkpoint.
      examples: token ids of all steps, an equal number a step.
      lora_config: the adapter's shape; no dropout.
      train_config: the optimizer's constants and the number of steps.
    """
    config = configs.read_config(safetensors_folder.locate(path))
    number = train_config.steps
    per_step = len(examples) // number
    groups = [examples[i * per_step : (i + 1) * per_step] for i in range(number)]
    shapes = blocks.linear_shapes(config)
    initial = lora.init_adapter(jax.random.key(0), lora_config, config.layers, shapes)
    given = random_adapter(config, lora_config, 1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        base = torch_reference.load_quantized(path, str(folder / "base"))
        adapters.save_adapter(given, folder / "given", path)
        adapters.save_adapter(initial, folder / "initial", path)
        model = hf.load(str(folder / "base"))
        theirs = torch_reference.train_lora(
            base, folder / "given", folder / "initial", groups, train_config
        )
        del base
        gc.collect()
    ours = _train_lora(model, given, initial, groups, train_config)
    losses_gap = np.abs(np.array(ours.losses) / np.array(theirs.losses) - 1).max()
    gaps = (
        relative(ours.logits, theirs.logits),
        tree_relative(ours.gradient, theirs.gradient),
        float(losses_gap),
        tree_relative(ours.adapter, theirs.adapter),
    )
    return [
        Check("LoRA on NF4, logits", "PEFT", gaps[0], 1e-4),
        Check("LoRA on NF4, gradient", "PEFT", gaps[1], 1e-4),
        Check(f"{number} optimizer steps, losses", "torch", gaps[2], 1e-5),
        Check(f"{number} optimizer steps, adapter", "torch", gaps[3], 1e-3),
    ]


def _train_lora(
    model: transformer.Transformer,
    given: lora.Adapter,
    initial: lora.Adapter,
    groups: list[list[np.ndarray]],
    train_config: steps.TrainConfig,
) -> torch_reference.LoraResults:
    """What jaxent gives for the arguments of `torch_reference.train_lora`."""
    compute = transformer.ComputeConfig()
    length = max(len(example) for group in groups for example in group)
    packed = []
    for group in groups:
        batch, used = batches.pack(group, length * 2, rows=len(group))
        packed.append((steps.shard_batch(batch, 1, None), used))

    @jax.jit
    def gradient(model, adapter, batch, rows):
        _, gradients, _ = steps.step_gradient(
            model, adapter, batch, rows, None, compute=compute
        )
        return gradients

    given_gradient = gradient(model, given, *packed[0])
    state = steps.init_state(initial, train_config)
    train_step = steps.jit_train_step(train_config, compute)
    losses = []
    for batch, used in packed:
        state, metrics = train_step(state, model, batch, used, jax.random.key(0))
        losses.append(metrics.loss.item())
    return torch_reference.LoraResults(
        logits(model, [groups[0][0].tolist()], given),
        given_gradient.params,
        losses,
        state.adapter.params,
    )


def sample(path: str, count: int, length: int) -> list[np.ndarray]:
    """Examples of real text in the checkpoint's own tokens, code and prose in turn."""
    texts = []
    for pair in zip(embedded.examples("code"), embedded.examples("natural")):
        texts += pair
    tokenizer = tokens.load_tokenizer(path)
    encoded = tokenizer.encode(texts[:count])
    return [np.array(ids[:length], np.int32) for ids in encoded]


def run_checks(path: str) -> Iterator[Check]:
    """The checks of a checkpoint, with the flags' sizes."""
    examples = sample(path, FLAGS.batch_size * FLAGS.max_steps, FLAGS.max_length)
    shortest = min(map(len, examples))
    ids = [e[:shortest].tolist() for e in examples[:2]]
    yield from check_dense(path, ids, FLAGS.max_new_tokens)
    gc.collect()
    yield from check_nf4(path)
    gc.collect()
    lora_config = lora.LoraConfig(FLAGS.lora_r, 3.0 * FLAGS.lora_r, dropout=0.0)
    train_config = steps.TrainConfig(
        steps=FLAGS.max_steps, learning_rate=1e-3, warmup_ratio=0.1
    )
    yield from check_qlora(path, examples, lora_config, train_config)


def main():
    """Prints a row a check; the exit code is 1 if any fails."""
    path = str(safetensors_folder.locate(FLAGS.model))
    print(f"{'check':<34} {'against':<14} {'difference':>10} {'bound':>10}")
    failed = 0
    for check in run_checks(path):
        print(check, flush=True)
        failed += not check.passed
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    command.run(main)
