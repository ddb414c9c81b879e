"""One QLoRA step: rank 64 on all seven modules, dropout .05, float32, NF4.

Our row of 2048 tokens holds four packed examples, which the peer runs one at a time.
"""

import functools
import pathlib
from collections.abc import Iterator

import numpy as np

from benchmarks import cases, flops, models, pairs, peers, training
from jaxent.checkpoint import hf, real_model
from jaxent.model import transformer
from jaxent.runs import spec as specs

_EXAMPLE = 512  # tokens of an example, where rows are longer


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """A row for each model and length."""
    named = [(models.random_name(settings), None)]
    if settings.model:
        named.append((pathlib.Path(settings.model).name, settings.model))
    for title, model in named:
        for length in settings.lengths:
            count = max(1, length // _EXAMPLE)
            held = f" ({count} examples)" if count > 1 else ""
            make = functools.partial(_make, settings, model, length)
            name = f"{title}, a row of {length}{held}"
            yield cases.Case("step", name, "peft", make)


def _make(
    settings: cases.Settings, model: str | None, length: int, with_peer: bool
) -> pairs.Workload:
    folder = model or models.random_model(settings)
    folder = real_model.resolve(folder)
    count = max(1, length // _EXAMPLE)
    run = specs.RunSpec(folder, max_length=length, batch_size=count)
    base = hf.load(folder)
    examples = draw_examples(base.config.vocab, [length // count] * count)
    compute = transformer.default_compute("float32")
    ours = training.Training(base, run, compute, training.always(examples))
    theirs = peers.both_settings(folder, run, [examples]) if with_peer else {}
    lengths = list(map(len, examples))
    return pairs.Workload(
        unit="tokens",
        amount=sum(lengths),
        ours=functools.partial(ours.train, 0),
        theirs=theirs,
        flops=flops.training_flops(base.config, run.lora_config, lengths),
        remark="step: QLoRA, rank 64 on all seven modules, dropout .05, float32, NF4; "
        "examples of a row are packed by us and run one at a time by PEFT",
    )


def draw_examples(vocab: int, lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    """Random token ids of such lengths."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, vocab, n).astype(np.int32) for n in lengths]
