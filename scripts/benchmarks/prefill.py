"""Prompts to caches and first tokens, beside transformers' forward pass."""

import functools
import pathlib
from collections.abc import Iterator

import numpy as np

from benchmarks import cases, decode, flops, models, pairs, peers
from jaxent.checkpoint import real_model
from jaxent.data import tokens
from jaxent.decode import loop
from jaxent.evaluate import prompts as coding_prompts
from jaxent.model import transformer

_SHORTEST, _LONGEST = 32, 256  # tokens of random prompts


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """A row of random prompts, and one of the coding problems."""
    rows = 16 if settings.quick else 164
    name = (
        f"{models.random_name(settings)}, {rows} prompts of {_SHORTEST} to {_LONGEST}"
    )
    make = functools.partial(_make_random, settings, rows)
    yield cases.Case("prefill", name, "transformers", make)
    if settings.model:
        problems = decode.load_problems(settings, 8 if settings.quick else None)
        title = pathlib.Path(settings.model).name
        name = f"{title}, prompts of {len(problems.items)} coding problems"
        make = functools.partial(_make_real, settings, problems)
        yield cases.Case("prefill", name, "transformers", make)


def _make_random(settings: cases.Settings, rows: int, with_peer: bool):
    sizes = np.random.default_rng(1).integers(_SHORTEST, _LONGEST + 1, rows)
    prompts = decode.random_prompts(settings, sizes.tolist())
    return _workload(models.random_model(settings), prompts, with_peer)


def _make_real(settings: cases.Settings, problems, with_peer: bool):
    assert settings.model
    folder = real_model.resolve(settings.model)
    asked = coding_prompts.Prompts(problems.benchmark, tokens.load_tokenizer(folder))
    prompts = [asked.encode(problem) for problem in problems.items]
    return _workload(folder, prompts, with_peer)


def _workload(folder: str, prompts: list[list[int]], with_peer: bool) -> pairs.Workload:
    runner = decode.our_dense(folder)
    size = transformer.default_pass_tokens()
    theirs = {}
    if with_peer:
        model = decode.their_dense(folder)
        theirs["forward, by length"] = functools.partial(
            peers.next_tokens, model, prompts, size
        )
    return pairs.Workload(
        unit="tokens",
        amount=sum(map(len, prompts)),
        ours=functools.partial(
            loop.complete, runner, prompts, loop.Request(max_new_tokens=1)
        ),
        theirs=theirs,
        flops=flops.forward_flops(runner.model.config, map(len, prompts), len(prompts)),
        remark="prefill: float32, each prompt's keys, values and first new token; "
        f"transformers runs batches of like length, {size} padded tokens at most",
    )
