"""How fast the measurement is, and what CSR costs beside a 32B step.

    python scripts/benchmark_measure.py
    python scripts/benchmark_measure.py --sections=estimators

estimators: all that `entangle.measure` gives, beside scikit-learn's Ridge refitted for
every fold and direction of the literal EI alone, timed on --folds folds a direction and
multiplied up. capture: texts a second against the tokens run at a time. share:
measuring once in 500 training steps, by operations for 32B and by the clock for the
embedded checkpoint. memory: temporaries of a step with and without CSR at 32B's widths,
as XLA plans them (nothing is allocated). Seven minutes on two idle cores.
"""

import dataclasses
import pathlib
import time

from absl import flags

from jaxent import command
from jaxent.model import blocks

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
    "folder of the tokenizer that counts the probes' tokens (default: the embedded, with short tokens)",
)
flags.DEFINE_integer("repeats", 4, "timed runs, of which the best counts")
command.parse(__name__, __doc__)

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import linear_model

from jaxent.arrays import lora, nf4
from jaxent.checkpoint import hf
from jaxent.data import batches, corpora, probes, tokens
from jaxent.measure import capture, concepts, entangle, penalty, synthetic
from jaxent.model import config as configs
from jaxent.model import transformer
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


def best(run) -> float:
    """Seconds of the best of --repeats runs, after one that compiles."""
    run()
    found = []
    for _ in range(FLAGS.repeats):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


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
    rows = []
    for sizes, sets in (((3, 4, 4), 1), ((6, 4, 4), 1), ((6, 4, 4), 5)):
        labels = synthetic.design(sizes, sets)
        for d in map(int, FLAGS.dimensions):
            x = synthetic.activations(
                labels, d, synthetic.Truth(0.3, 1.0), np.random.default_rng(0)
            )
            ours, loop = best(lambda: entangle.measure(x, labels)), naive(x, labels)
            fits = (sum(sizes) - len(sizes) + 1) * len(x)
            rows.append(
                [
                    str(len(x)),
                    str(d),
                    str(sets),
                    f"{ours:.3f}",
                    str(fits),
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
    return f"{console.format_table(header, rows)}\n* extrapolated from {FLAGS.folds} folds a direction. Ridge's own choice of solver."


def throughput() -> str:
    model, examples = (
        hf.load(_TINY),
        tokens.load_tokenizer(_TINY).encode(probes.load_probes("triad").texts),
    )
    rows = []
    for size in (256, 1024, 4096, 8192, 16384):
        seconds = best(lambda: capture.capture(model, examples, batch_tokens=size))
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


def share() -> str:
    """A forward costs 2 operations a parameter and token.

    A step 6: forward, forward again (remat), gradient of activations.
    """
    examples = tokens.load_tokenizer(FLAGS.tokenizer or _TINY).encode(
        probes.load_probes("triad").texts
    )
    lengths = [capture.bucket_length(len(e)) for e in examples]
    run, penalised = (
        sum(lengths),
        480 * max(lengths),
    )  # CSR's probes are all padded to the longest
    parameters = (
        transformer.parameter_count(configs.from_dict(_QWEN_32B)) - 2 * 152064 * 5120
    )
    rows = []
    for title, packed in (
        ("2.0 packed rows a step (B1)", 2.01),
        ("4.8 (B3)", 4.84),
        ("16, nothing packed", 16),
    ):
        trained = _STEPS * packed * 2048
        numbers = 2 * run * parameters, 6 * trained * parameters
        rows.append(
            [
                title,
                *(f"{v:.1e}" for v in numbers),
                f"{numbers[0] / numbers[1]:.2%}",
                f"{penalised * _STEPS / 50 / trained:.1%}",
            ]
        )
    header = [
        "32B, 500 steps",
        "measuring, operations",
        "training, operations",
        "measuring's share",
        "CSR's, every 50 steps",
    ]
    text = f"{run} tokens run in 384 probes, padding included\n{console.format_table(header, rows)}"
    measured, step = _by_the_clock()
    clock = f"measuring {measured:.2f} s, a step of 16 rows of 512 {step:.2f} s: {measured / (_STEPS * step):.2%} of 500 steps"
    return f"{text}\nEmbedded checkpoint: {clock}."


def _by_the_clock() -> tuple[float, float]:
    probe_set = probes.load_probes("triad")
    examples, labels = (
        tokens.load_tokenizer(_TINY).encode(probe_set.texts),
        concepts.label_probes(probe_set.labels),
    )
    model, lora_config = hf.load(_TINY), lora.LoraConfig()
    adapter = lora.init_adapter(
        jax.random.key(0),
        lora_config,
        model.config.layers,
        blocks.linear_shapes(model.config),
    )
    compute = transformer.default_compute()
    measured = best(
        lambda: entangle.measure(
            capture.capture(model, examples, adapter, compute=compute), labels
        )
    )
    hyper = steps.TrainConfig()
    batch, rows = batches.pack([np.full(512, 7, np.int32)] * 16, 512, 16)
    run = steps.jit_train_step(hyper, compute)
    copied = lambda: jax.tree.map(jnp.copy, adapter)
    return measured, best(
        lambda: jax.block_until_ready(
            run(
                steps.init_state(copied(), hyper),
                model,
                batch,
                rows,
                jax.random.key(0),
                None,
            )
        )
    )


def step_memory(
    config: configs.Config, probe_count: int, length: int, rank: int, compute
) -> dict[bool, int]:
    """Bytes of temporaries of one compiled training step of 16 rows of `length`, {with
    CSR?: bytes}; shapes only.

    CSR's probes are 64 tokens long and run `length` tokens at a time.
    """
    array, lora_config, hyper = (
        jax.ShapeDtypeStruct,
        lora.LoraConfig(rank),
        steps.TrainConfig(),
    )
    model = transformer.abstract(config, jnp.bfloat16)
    for row in hf.tensor_table(config):
        if row.linear:
            hf.set_param(model, row.path, nf4.abstract(row.shape[::-1], config.layers))
    make = lambda key: steps.init_state(
        lora.init_adapter(
            key, lora_config, config.layers, blocks.linear_shapes(config)
        ),
        hyper,
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.eval_shape(
        lambda: jax.tree.map(
            jnp.asarray,
            steps.shard_batch(
                batches.pack([np.ones(length, np.int32)] * 16, length, 16)[0],
                hyper.micro_batch_size,
                None,
            ),
        )
    )
    at_a_time = length // 64
    micro = (-(-probe_count // at_a_time), at_a_time)
    ids = array((*micro, 64), jnp.int32)
    base, basis = (
        array((*micro, config.embed), jnp.float32),
        array((config.embed, 80), jnp.float32),
    )
    anchor = penalty.CsrReference(
        ids, ids, ids, array(micro, jnp.float32), base, basis, array((), jnp.float32)
    )
    compiled = lambda anchor: (
        steps.jit_train_step(hyper, compute)
        .lower(
            jax.eval_shape(make, key), model, batch, array((), jnp.int32), key, anchor
        )
        .compile()
    )
    return {
        csr: compiled(anchor if csr else None).memory_analysis().temp_size_in_bytes
        for csr in (False, True)
    }


def memory() -> str:
    full = configs.from_dict(_QWEN_32B)
    shallow = [dataclasses.replace(full, layers=n) for n in (2, 4)]
    two, four = (
        step_memory(c, 480, 2048, 64, transformer.ComputeConfig(jnp.bfloat16))
        for c in shallow
    )
    rows = []
    for csr, title in (
        (False, "language modelling alone"),
        (True, "with CSR, 480 probes"),
    ):
        whole = two[csr] + (full.layers - 2) * (four[csr] - two[csr]) / 2
        rows.append([title, *(f"{v / 1e9:.2f}" for v in (two[csr], four[csr], whole))])
    return console.format_table(
        [
            "temporaries of a step, d = 5120, GB",
            "2 layers",
            "4 layers",
            "64 layers, extrapolated",
        ],
        rows,
    )


def main():
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
