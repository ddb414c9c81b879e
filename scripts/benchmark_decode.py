"""Tokens per second of the decode loop against transformers' generate.

    pip install -e '.[test]'
    python scripts/benchmark_decode.py
    python scripts/benchmark_decode.py --layers=24 --vocab=151936 --batches=1,8
    python scripts/benchmark_decode.py --max_new_tokens=768 --ends

Same weights, prompts, dtype and machine: 4 layers of Qwen2.5-Coder-0.5B's shapes unless
asked otherwise, batches 1, 8, 32 and 164. With --ends rows end one by one, as those of
HumanEval do at their stop strings.

Greedy, ragged prompts, no eos: both generate the same number of tokens. transformers is
warmed up with two tokens, ours runs twice: it compiles in the first, which is printed,
and the second counts. `of the limit` compares a step of ours with the time that reading
every weight and the cache once takes at this machine's measured memory bandwidth
(without --ends).

With --ends each row has a length of its own, drawn from an exponential distribution of
mean a quarter of --max_new_tokens and cut at --max_new_tokens. Both are told of a row's
end by a function of the row: transformers by a stopping criterion after every token,
ours by `stopped` after every chunk. Tokens per second count the tokens up to the rows'
ends; transformers pads ended rows until all have ended, ours decodes on to the end of
the chunk.
"""

import pathlib
import tempfile
import time

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_integer("layers", 4, "decoder layers")
flags.DEFINE_integer("vocab", 32_000, "tokens of the vocabulary")
flags.DEFINE_list("batches", ["1", "8", "32", "164"], "rows decoded together")
flags.DEFINE_integer(
    "max_new_tokens", 256, "new tokens a row (HumanEval is allowed 768)"
)
flags.DEFINE_bool(
    "ends", False, "rows end at lengths of their own instead of at --max_new_tokens"
)
flags.DEFINE_integer(
    "longest", 256, "tokens of the longest prompt; the shortest has an eighth"
)
flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "arithmetic of both")
command.parse(__name__, __doc__)

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from jaxent.checkpoint import hf
from jaxent.decode import loop
from jaxent.model import cache as caches
from jaxent.model import transformer
from jaxent.runs import console

HEADER = (
    "batch",
    "tokens/s",
    "transformers",
    "ratio",
    "of the limit",
    "prefill s",
    "compiling s",
)


def random_model(folder: pathlib.Path) -> str:
    """Writes a random checkpoint of Qwen2.5-Coder-0.5B's shapes, --layers deep."""
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=FLAGS.vocab,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=FLAGS.layers,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_theta=1e6,
        pad_token_id=0,
        eos_token_id=None,
        bos_token_id=None,
    )
    dtype = getattr(torch, FLAGS.dtype)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.save_pretrained(folder)
    return str(folder)


def bandwidth() -> float:
    """Bytes a second that this machine reads: the sum of a gigabyte, best of five."""
    x = jnp.ones((1 << 28,), jnp.float32)
    total = jax.jit(jnp.sum)
    total(x).block_until_ready()
    times = []
    for _ in range(5):
        started = time.perf_counter()
        total(x).block_until_ready()
        times.append(time.perf_counter() - started)
    return x.nbytes / min(times)


class Ends(transformers.StoppingCriteria):
    """Tells transformers' generate which rows have as many new tokens as they want."""

    def __init__(self, width: int, lengths: np.ndarray):
        self.width, self.lengths = width, torch.tensor(lengths)

    def __call__(self, input_ids, scores, **kwargs):
        """Bool [rows]: whether a row has its length of new tokens."""
        return input_ids.shape[1] - self.width >= self.lengths


def draw_prompts(rng: np.random.Generator, batch: int) -> list[list[int]]:
    """Random token ids, --longest at most and an eighth of it at least."""
    sizes = rng.integers(FLAGS.longest // 8, FLAGS.longest + 1, batch)
    return [rng.integers(1, FLAGS.vocab, size).tolist() for size in sizes]


def draw_lengths(rng: np.random.Generator, batch: int) -> np.ndarray:
    """The new tokens of every row, int [batch]: all alike unless --ends."""
    if not FLAGS.ends:
        return np.full(batch, FLAGS.max_new_tokens)
    lengths = np.ceil(rng.exponential(FLAGS.max_new_tokens / 4, batch))
    return np.clip(lengths, 1, FLAGS.max_new_tokens).astype(int)


def torch_run(model, prompts: list[list[int]], lengths: np.ndarray) -> list[list[int]]:
    """transformers' greedy generate of the left-padded batch.

    Returns:
      Every row's new tokens up to its length.
    """
    width, ragged = max(map(len, prompts)), len(set(lengths)) > 1
    ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    criteria = [Ends(width, lengths)] if ragged else None
    with torch.no_grad():
        out = model.generate(
            ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=int(lengths.max()),
            stopping_criteria=criteria,
        )
    return [row[width : width + n].tolist() for row, n in zip(out, lengths)]


def our_run(
    runner: loop.Runner, prompts: list[list[int]], lengths: np.ndarray
) -> list[list[int]]:
    """Our greedy decode: every row's new tokens up to its length."""

    def stopped(row, ids):
        return len(ids) >= lengths[row]

    request = loop.Request(int(lengths.max()))
    generated = loop.complete(runner, prompts, request, stopped)
    return [ids[:n] for ids, n in zip(generated, lengths)]


def timed(run, *args):
    """(seconds, result) of a call."""
    started = time.perf_counter()
    result = run(*args)
    return time.perf_counter() - started, result


def share_of_equal_tokens(rows: list[list[int]], others: list[list[int]]) -> float:
    """The share of positions at which two generations have the same token."""
    pairs = [pair for row, other in zip(rows, others) for pair in zip(row, other)]
    return np.mean([a == b for a, b in pairs])


def measure_batch(theirs, ours: loop.Runner, batch: int, rate: float) -> list:
    """The table's row of one batch size.

    Args:
      theirs: transformers' model.
      ours: the same model.
      batch: rows decoded together.
      rate: bytes a second that the machine reads.
    """
    rng = np.random.default_rng(batch)
    prompts = draw_prompts(rng, batch)
    lengths = draw_lengths(rng, batch)
    torch_run(theirs, prompts[:1], np.array([2]))
    torch_seconds, expected = timed(torch_run, theirs, prompts, lengths)
    first, _ = timed(our_run, ours, prompts, lengths)
    seconds, generated = timed(our_run, ours, prompts, lengths)
    one_token = np.ones(batch, int)
    our_run(ours, prompts, one_token)
    prefill, _ = timed(our_run, ours, prompts, one_token)
    step = (seconds - prefill) / (FLAGS.max_new_tokens - 1)
    columns = FLAGS.longest + FLAGS.max_new_tokens // 2
    row_bytes = caches.row_bytes(ours.model.config, columns, ours.compute.dtype)
    least = (weight_bytes(ours) + batch * row_bytes) / rate
    return [
        str(batch),
        lengths.sum() / seconds,
        lengths.sum() / torch_seconds,
        torch_seconds / seconds,
        "-" if FLAGS.ends else f"{least / step:.0%}",
        prefill,
        first - seconds,
        f"{share_of_equal_tokens(generated, expected):.1%}",
    ]


def weight_bytes(runner: loop.Runner) -> int:
    """Bytes of a model's weights."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(runner.model))


def main():
    """Prints a row a batch size as it is measured, then the whole table."""
    transformers.utils.logging.set_verbosity_error()
    rate, rows = bandwidth(), []
    with tempfile.TemporaryDirectory() as scratch:
        path = random_model(pathlib.Path(scratch))
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, FLAGS.dtype)
        ).eval()
        compute = transformer.ComputeConfig(jnp.dtype(FLAGS.dtype))
        ours = loop.Runner(hf.load(path, quantize=False), compute=compute)
        for batch in map(int, FLAGS.batches):
            rows.append(measure_batch(theirs, ours, batch, rate))
            print(console.format_table([*HEADER, "same"], rows[-1:]), flush=True)
    print(
        f"\n{FLAGS.layers} layers, vocabulary {FLAGS.vocab}, {FLAGS.dtype}, "
        f"{weight_bytes(ours) / 2**20:.0f} MiB of weights, {rate / 1e9:.1f} GB/s"
    )
    print(console.format_table([*HEADER, "same tokens"], rows))


if __name__ == "__main__":
    command.run(main)
