"""Checks jaxent against transformers + PEFT + bitsandbytes on a checkpoint of yours.

    pip install -e '.[test]'
    python scripts/check_equivalence.py --model=<folder or Hub id>

One row a check: what was compared, how far the two float32 results are from each other
and from the same computation in float64 (transformers and PEFT), the bound, PASS or
FAIL; exit code 1 if any fails. Distances are relative, of the logits of each position,
of each factor in each layer, of each step's loss. A row passes when jaxent's worst is
within the bound of float64, and its median no further from it than twice the other
framework's, or two float32 roundings. NF4 has to be equal byte by byte. --output_dir
takes equivalence.json beside the table.

Everything runs on the CPU, the model once dense and once in NF4 in each framework, then
in float64, one after the other: allow about ten bytes of memory and one byte of scratch
disk a parameter. The 1M-parameter embedded model takes about a minute. A checkpoint
without tokenizer.json is fed random tokens.
"""

import gc
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id", required=True)
flags.DEFINE_string("revision", None, "branch, tag or commit of a model of the Hub")
flags.DEFINE_integer("lora_r", 8, "rank of the adapter (alpha is three times as much)")
flags.DEFINE_integer("batch_size", 4, "examples an optimizer step")
flags.DEFINE_integer("max_length", 128, "tokens an example, at most")
flags.DEFINE_integer("max_steps", 20, "optimizer steps")
flags.DEFINE_integer(
    "max_new_tokens", 64, "tokens decoded greedily from each of two prompts"
)
flags.DEFINE_string("output_dir", None, "folder for equivalence.json and table.txt")
command.parse(__name__, __doc__)

import bitsandbytes.functional as bnb
import equivalence
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
from jaxent.runs import folder as run_folder
from jaxent.runs import validate
from jaxent.train import gradient
from jaxent.train import step as steps


def logits(model, ids: list[list[int]], adapter=None) -> np.ndarray:
    """Logits [B, T, V] of unpadded rows of one length."""
    array = np.array(ids, np.int32)
    positions = np.arange(array.shape[1], dtype=np.int32)
    positions = np.broadcast_to(positions, array.shape)
    run = jax.jit(_logits)
    return np.asarray(run(model, adapter, array, np.ones_like(array), positions))


def _logits(model, adapter, ids, segments, positions):
    return model.logits(model(ids, segments, positions, adapter))


def check_dense(
    path: str, ids: list[list[int]], new_tokens: int
) -> list[equivalence.Check]:
    """Unquantised logits and greedy tokens.

    Args:
      path: folder of the checkpoint.
      ids: two rows of one length; prompts are half of the first, and the second.
      new_tokens: tokens decoded from each prompt.
    """
    prompts = [ids[0][: len(ids[0]) // 2], ids[1]]
    model = hf.load(path, quantize=False, dtype=jnp.float32)
    our_tokens = loop.complete(loop.Runner(model), prompts, loop.Request(new_tokens))
    our_logits = logits(model, ids)
    del model
    gc.collect()
    model = torch_reference.load_dense(path)
    their_logits = torch_reference.logits(model, ids)
    their_tokens = [torch_reference.greedy(model, p, new_tokens) for p in prompts]
    model = torch_reference.to_float64(model)
    with torch_reference.Float64Mode():
        reference = torch_reference.logits(model, ids)
        ours_wrong = torch_reference.count_not_greedy(model, prompts, our_tokens)
        theirs_wrong = torch_reference.count_not_greedy(model, prompts, their_tokens)
    unequal = int((np.array(our_tokens) != np.array(their_tokens)).sum())
    return [
        equivalence.compare(
            "logits, float32",
            "transformers",
            equivalence.row_distances,
            (our_logits, their_logits, reference),
            1e-4,
        ),
        equivalence.Check(
            f"greedy tokens, {2 * new_tokens}",
            "transformers",
            unequal,
            0,
            ours_wrong,
            theirs_wrong,
            ours_wrong,
        ),
    ]


def check_nf4(path: str) -> list[equivalence.Check]:
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
    counts = zip(names, differ.tolist())
    return [equivalence.Check(n, "bitsandbytes", count, 0) for n, count in counts]


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
) -> list[equivalence.Check]:
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
        arguments = (folder / "given", folder / "initial", groups, train_config)
        theirs = torch_reference.train_lora(base, *arguments)
        base = torch_reference.to_float64(base)
        with torch_reference.Float64Mode():
            reference = torch_reference.train_lora(base, *arguments)
        del base
        gc.collect()
        model = hf.load(str(folder / "base"))
    ours = _train_lora(model, given, initial, groups, train_config)
    return compare_lora(ours, theirs, reference)


def compare_lora(
    ours: torch_reference.LoraResults,
    theirs: torch_reference.LoraResults,
    reference: torch_reference.LoraResults,
) -> list[equivalence.Check]:
    """The checks of LoRA on NF4: two float32 results and their float64 reference."""
    steps_done = f"{len(reference.losses)} optimizer steps"
    rows_of, layers = equivalence.row_distances, equivalence.layer_distances
    losses = equivalence.element_distances
    rows = (
        ("LoRA on NF4, logits", "PEFT", rows_of, "logits", 1e-4),
        ("LoRA on NF4, gradient", "PEFT", layers, "gradient", 1e-4),
        (f"{steps_done}, losses", "torch", losses, "losses", 1e-5),
        (f"{steps_done}, adapter", "torch", layers, "adapter", 1e-3),
    )
    checks = []
    for name, against, distance, field, bound in rows:
        results = [getattr(one, field) for one in (ours, theirs, reference)]
        check = equivalence.compare(name, against, distance, results, bound)
        checks.append(check)
    return checks


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
    def gradient_of(model, adapter, batch, rows):
        _, gradients, _ = gradient.step_gradient(
            model, adapter, batch, rows, None, compute=compute
        )
        return gradients

    given_gradient = gradient_of(model, given, *packed[0])
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
    """Examples of text in the checkpoint's own tokens, code and prose in turn.

    Random tokens where the checkpoint has no tokenizer.
    """
    if not (pathlib.Path(path) / "tokenizer.json").is_file():
        vocabulary = configs.read_config(pathlib.Path(path)).vocab
        random = np.random.default_rng(0)
        rows = random.integers(0, vocabulary, (count, length), dtype=np.int32)
        return list(rows)
    texts = []
    for pair in zip(embedded.examples("code"), embedded.examples("natural")):
        texts += pair
    tokenizer = tokens.load_tokenizer(path)
    encoded = tokenizer.encode(texts[:count])
    return [np.array(ids[:length], np.int32) for ids in encoded]


def run_checks(path: str) -> Iterator[equivalence.Check]:
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


def write_results(
    out: pathlib.Path, path: str, checks: list[equivalence.Check], started: float
) -> None:
    """Writes equivalence.json and table.txt."""
    names = ("model", "revision", "lora_r", "batch_size", "max_length", "max_steps")
    names += ("max_new_tokens",)
    record = equivalence.to_record(checks)
    record |= {
        "settings": {name: FLAGS[name].value for name in names},
        "model_hash": validate.fingerprint(pathlib.Path(path)),
        "seconds": time.perf_counter() - started,
        **validate.origin(),
    }
    out.mkdir(parents=True, exist_ok=True)
    run_folder.write_json(out / run_folder.EQUIVALENCE, record)
    table = "\n".join([equivalence.HEADER, *map(str, checks)])
    run_folder.write_text(out / run_folder.TABLE, table + "\n")


def main():
    """Prints a row a check; the exit code is 1 if any fails."""
    started = time.perf_counter()
    path = str(safetensors_folder.locate(FLAGS.model, FLAGS.revision))
    print(equivalence.HEADER)
    checks = []
    for check in run_checks(path):
        print(check, flush=True)
        checks.append(check)
    if FLAGS.output_dir:
        write_results(pathlib.Path(FLAGS.output_dir), path, checks, started)
    sys.exit(0 if all(check.passed for check in checks) else 1)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    command.run(main)
