"""How fast the measurement is, and what CSR costs beside a 32B step.

    python scripts/benchmark_measure.py
    python scripts/benchmark_measure.py --sections=estimators

estimators: all that `entangle.measure` gives, beside scikit-learn's Ridge refitted for
every fold and direction of the literal EI alone, timed on --folds folds a direction and
multiplied up. capture: texts a second against the tokens run at a time. share:
measuring once in 500 training steps, by FLOPs for 32B and by the clock for the
embedded checkpoint. memory: temporaries of a step with and without CSR at 32B's widths,
as XLA plans them (nothing is allocated). Seven minutes on two idle cores.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "sections", ["estimators", "capture", "share", "memory"], "what to run"
)
flags.DEFINE_list("dimensions", ["3584", "5120"], "widths of the activations")
flags.DEFINE_integer(
    "folds", 4, "folds a direction of the scikit-learn loop that are really run"
)
flags.DEFINE_string(
    "tokenizer",
    None,
    "folder of the tokenizer that counts the probes' tokens (default: the embedded "
    "checkpoint's, whose tokens are short)",
)
flags.DEFINE_integer("repeats", 4, "timed runs, of which the best counts")
command.parse(__name__, __doc__)

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import linear_model

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import batches, corpora, probes, tokens
from jaxent.measure import capture, concepts, entangle, penalty, synthetic
from jaxent.model import blocks, transformer
from jaxent.model import config as configs
from jaxent.runs import console
from jaxent.train import step as steps

_TINY = str(pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny")
_QWEN_32B = {
    "model_type": "qwen2",
    "vocab_size": 152064,
    "hidden_size": 5120,
    "intermediate_size": 27648,
    "num_hidden_layers": 64,
    "num_attention_heads": 40,
    "num_key_value_heads": 8,
    "tie_word_embeddings": False,
}
_STEPS = 500  # training steps between two measurements (section 3.2)
_CSR_STEPS = 50  # training steps between two with CSR's penalty
_CSR_PROBES = 480


def best(run: Callable, *args, **kwargs) -> float:
    """Seconds of the best of --repeats runs, after one that compiles."""
    run(*args, **kwargs)
    times = []
    for _ in range(FLAGS.repeats):
        start = time.perf_counter()
        run(*args, **kwargs)
        times.append(time.perf_counter() - start)
    return min(times)


def naive(x: np.ndarray, labels: concepts.Labels) -> float:
    """Seconds of the literal EI by scikit-learn.

    --folds folds of each direction, times N / folds.
    """
    y = np.concatenate(
        [np.eye(m)[labels.codes[:, j]] for j, m in enumerate(labels.sizes)], 1
    )
    n, rank = len(x), sum(labels.sizes) - len(labels.sizes)
    u = np.linalg.svd(linear_model.Ridge(1.0).fit(x, y).coef_.T, full_matrices=False)[0]
    start = time.perf_counter()
    for direction in [None, *u.T[:rank]]:
        z = x if direction is None else x - np.outer(x @ direction, direction)
        for fold in range(min(FLAGS.folds, n)):
            rest = np.arange(n) != fold
            linear_model.Ridge(1.0).fit(z[rest], y[rest]).predict(z[[fold]])
    return (time.perf_counter() - start) * n / min(FLAGS.folds, n)


def estimators() -> str:
    """All estimators beside scikit-learn's loop for the literal EI."""
    rows = []
    for sizes, sets in (((3, 4, 4), 1), ((6, 4, 4), 1), ((6, 4, 4), 5)):
        labels = synthetic.design(sizes, sets)
        for d in map(int, FLAGS.dimensions):
            truth = synthetic.Truth(0.3, 1.0)
            x = synthetic.activations(labels, d, truth, np.random.default_rng(0))
            ours = best(entangle.measure, x, labels)
            loop = naive(x, labels)
            refits = (sum(sizes) - len(sizes) + 1) * len(x)
            rows.append(
                [
                    str(len(x)),
                    str(d),
                    str(sets),
                    f"{ours:.3f}",
                    str(refits),
                    f"{loop:.1f}",
                    f"{loop / ours:.0f}",
                ]
            )
    header = [
        "probes N",
        "width d",
        "sets",
        "all estimators, s",
        "refits of the loop",
        "loop for literal EI, s *",
        "ratio",
    ]
    return (
        f"{console.format_table(header, rows)}\n* extrapolated from {FLAGS.folds} "
        "folds a direction. Ridge's own choice of solver."
    )


def throughput() -> str:
    """Texts a second against the tokens run at a time."""
    model, examples = hf.load(_TINY), probe_tokens(_TINY)
    rows = []
    for size in (256, 1024, 4096, 8192, 16384):
        seconds = best(capture.capture, model, examples, batch_tokens=size)
        rows.append(
            [
                str(size),
                f"{seconds:.2f}",
                f"{len(examples) / seconds:.0f}",
                f"{sum(map(len, examples)) / seconds:.0f}",
            ]
        )
    return console.format_table(
        ["tokens at a time", "384 texts, s", "texts / s", "real tokens / s"], rows
    )


def probe_tokens(tokenizer: str) -> list[list[int]]:
    """The token ids of the probes of triad; tokenizer: its folder."""
    return tokens.load_tokenizer(tokenizer).encode(probes.load_probes("triad").texts)


def share() -> str:
    """The share of measuring once in 500 steps, estimated and by the clock.

    A forward costs 2 FLOPs a parameter and token, a step 6: forward, forward again
    (remat), gradient of activations.
    """
    examples = probe_tokens(FLAGS.tokenizer or _TINY)
    lengths = [capture.bucket_length(len(e)) for e in examples]
    run = sum(lengths)
    penalised = _CSR_PROBES * max(lengths)  # CSR pads all its probes to the longest
    config = configs.from_dict(_QWEN_32B)
    embeddings = 2 * config.vocab * config.embed
    parameters = transformer.parameter_count(config) - embeddings
    rows = []
    for title, packed in (
        ("2.0 packed rows a step (B1)", 2.01),
        ("4.8 (B3)", 4.84),
        ("16, nothing packed", 16),
    ):
        trained = _STEPS * packed * 2048
        measuring, training = 2 * run * parameters, 6 * trained * parameters
        rows.append(
            [
                title,
                f"{measuring:.1e}",
                f"{training:.1e}",
                f"{measuring / training:.2%}",
                f"{penalised * _STEPS / _CSR_STEPS / trained:.1%}",
            ]
        )
    header = [
        "32B, 500 steps",
        "measuring, operations",
        "training, operations",
        "measuring's share",
        "CSR's, every 50 steps",
    ]
    measured, step = _by_the_clock()
    return (
        f"{run} tokens run in 384 probes, padding included\n"
        f"{console.format_table(header, rows)}\n"
        f"Embedded checkpoint: measuring {measured:.2f} s, a step of 16 rows of 512 "
        f"{step:.2f} s: {measured / (_STEPS * step):.2%} of 500 steps."
    )


def _by_the_clock() -> tuple[float, float]:
    """Seconds of a measurement and of a training step of the embedded checkpoint."""
    labels = concepts.label_probes(probes.load_probes("triad").labels)
    examples, model = probe_tokens(_TINY), hf.load(_TINY)
    adapter = lora.init_adapter(
        jax.random.key(0),
        lora.LoraConfig(),
        model.config.layers,
        blocks.linear_shapes(model.config),
    )
    compute = transformer.default_compute()
    train_config = steps.TrainConfig()
    batch, rows = batches.pack([np.full(512, 7, np.int32)] * 16, 512, 16)
    batch = steps.shard_batch(batch, train_config.micro_batch_size, None)
    train_step = steps.jit_train_step(train_config, compute)

    def measure():
        x = capture.capture(model, examples, adapter, compute=compute)
        entangle.measure(x, labels)

    def train():
        copied = jax.tree.map(jnp.copy, adapter)  # the step takes its state's memory
        state = steps.init_state(copied, train_config)
        key = jax.random.key(0)
        jax.block_until_ready(train_step(state, model, batch, rows, key, None))

    return best(measure), best(train)


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
    inputs = _abstract_inputs(config, length, rank, train_config)
    reference = _abstract_reference(config, probe_count, length)
    train_step = steps.jit_train_step(train_config, compute)
    needed = {}
    for csr in (False, True):
        compiled = train_step.lower(*inputs, reference if csr else None).compile()
        needed[csr] = compiled.memory_analysis().temp_size_in_bytes
    return needed


def _abstract_inputs(
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


def _abstract_reference(
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


def memory() -> str:
    """Temporaries of a step with and without CSR at 32B's widths."""
    full = configs.from_dict(_QWEN_32B)
    compute = transformer.ComputeConfig(jnp.bfloat16)
    two, four = (
        step_memory(
            dataclasses.replace(full, layers=layers), _CSR_PROBES, 2048, 64, compute
        )
        for layers in (2, 4)
    )
    rows = []
    for csr, title in (
        (False, "language modelling alone"),
        (True, f"with CSR, {_CSR_PROBES} probes"),
    ):
        a_layer = (four[csr] - two[csr]) / 2
        whole = two[csr] + (full.layers - 2) * a_layer
        rows.append([title, *(f"{v / 1e9:.2f}" for v in (two[csr], four[csr], whole))])
    header = [
        "temporaries of a step, d = 5120, GB",
        "2 layers",
        "4 layers",
        "64 layers, extrapolated",
    ]
    return console.format_table(header, rows)


def main():
    """Prints the sections asked for."""
    sections = {
        "estimators": estimators,
        "capture": throughput,
        "share": share,
        "memory": memory,
    }
    for name in FLAGS.sections:
        print(f"\n{name}\n\n{sections[name]()}", flush=True)


if __name__ == "__main__":
    command.run(main)
