"""Optimizer steps on the paper's mixtures, 16 examples drawn as finetune.py draws them.

The peer runs the same examples one at a time, unpadded, in the faster of its two
settings. Tokens are those of the examples; padding does not count.
"""

import functools
import pathlib
from collections.abc import Iterator

import numpy as np

from benchmarks import cases, flops, pairs, peers, training
from jaxent.runs import base_model, training_data, validate
from jaxent.runs import spec as specs

_CONDITIONS = ("B1", "B3", "B6")


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """A row for each condition and length; none without a real model."""
    if not settings.model:
        return
    conditions = ("B3",) if settings.quick else _CONDITIONS
    lengths = (256,) if settings.quick else (512, 2048)
    texts = pathlib.Path(settings.data_root).name
    title = pathlib.Path(settings.model).name
    for length in lengths:
        for condition in conditions:
            name = f"{title}, {condition} of {texts}, at most {length} tokens"
            make = functools.partial(_make, settings, condition, length)
            yield cases.Case("mixture", name, "peft", make)


def _make(
    settings: cases.Settings, condition: str, length: int, with_peer: bool
) -> pairs.Workload:
    run = specs.RunSpec(
        settings.model,
        condition,
        data_root=settings.data_root,
        max_length=length,
        batch_size=4 if settings.quick else 16,
        dtype="float32",
        probe_sets=1,
    )
    checked = validate.validate_run(run)
    tokenizer = checked.checkpoint.tokenizer
    corpus = training_data.load_corpus(run, tokenizer, checked.length)
    base = base_model.BaseModel(checked)
    draw = functools.partial(
        corpus.batch, run.training_mixture, run.seed, length=checked.length
    )
    ours = training.Training(
        base.model,
        run,
        base.compute,
        functools.partial(_examples, draw, count=run.batch_size),
    )
    numbers = range(settings.mixture_steps)
    groups = [_examples(draw, step, count=run.batch_size) for step in numbers]
    folder = str(checked.checkpoint.folder)
    sizes = [len(example) for group in groups for example in group]

    def train() -> None:
        for step in numbers:
            ours.train(step)

    return pairs.Workload(
        unit="tokens",
        amount=sum(sizes),
        ours=train,
        theirs=peers.both_settings(folder, run, groups) if with_peer else {},
        flops=flops.training_flops(base.model.config, run.lora_config, sizes),
        fastest_only=True,
        remark=f"mixture: steps of {run.batch_size} examples, packed by us and run one "
        "at a time without padding by PEFT, in the faster of its two settings",
    )


def _examples(draw, step: int, *, count: int) -> list[np.ndarray]:
    """The examples of a step, one by one."""
    batch, _ = draw(step, examples=count, packing=False)
    return [ids[real > 0] for ids, real in zip(batch.tokens, batch.segments)]
