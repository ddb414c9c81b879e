"""Greedy decoding beside transformers' generate.

Random prompts of 128 tokens that all run to the end, and a real model's answers to
coding problems, which end one by one at stop strings or eos.
"""

import functools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import cases, flops, models, pairs, peers
from jaxent.checkpoint import hf, real_model
from jaxent.data import tokens
from jaxent.decode import loop, text
from jaxent.evaluate import benchmarks as coding
from jaxent.evaluate import prompts as coding_prompts
from jaxent.model import transformer

_PROMPT, _NEW = 128, 256
_ANSWER = 384  # new tokens of an answer at most
_BATCH = 32  # of transformers, where it does not run all prompts together


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """A row for each number of rows, and one of the coding problems."""
    new = 32 if settings.quick else _NEW
    for rows in (1, 8) if settings.quick else (1, 8, 32, 164):
        make = functools.partial(_make_random, settings, rows, new)
        title = models.random_name(settings)
        name = f"{title}, {rows} prompts of {_PROMPT}, {new} new"
        yield cases.Case("decode", name, "transformers", make)
    if settings.model:
        limit = 8 if settings.quick else None
        new = 64 if settings.quick else _ANSWER
        problems = load_problems(settings, limit)
        title = pathlib.Path(settings.model).name
        name = f"{title}, {len(problems.items)} coding problems, {new} new at most"
        make = functools.partial(_make_answers, settings, problems, new)
        yield cases.Case("decode", name, "transformers", make)


def load_problems(settings: cases.Settings, limit: int | None) -> coding.Problems:
    """The coding problems, the embedded ones where no file is given."""
    return coding.load_problems(settings.problems or coding.EMBEDDED, limit)


def random_prompts(settings: cases.Settings, sizes: Sequence[int]) -> list[list[int]]:
    """Random token ids of such lengths."""
    rng = np.random.default_rng(0)
    return [rng.integers(1, settings.vocab, size).tolist() for size in sizes]


@functools.cache
def our_dense(folder: str) -> loop.Runner:
    """Our model with the checkpoint's weights, in float32."""
    compute = transformer.default_compute("float32")
    return loop.Runner(hf.load(folder, quantize=False), compute=compute)


@functools.cache
def their_dense(folder: str):
    """transformers' model in float32."""
    return peers.load_dense(folder)


def _make_random(
    settings: cases.Settings, rows: int, new: int, with_peer: bool
) -> pairs.Workload:
    folder = models.random_model(settings)
    runner = our_dense(folder)
    prompts = random_prompts(settings, [_PROMPT] * rows)
    theirs = {}
    if with_peer:
        model = their_dense(folder)
        theirs["generate"] = functools.partial(peers.generate, model, prompts, new)
    return pairs.Workload(
        unit="tokens",
        amount=rows * new,
        ours=functools.partial(
            loop.complete, runner, prompts, loop.Request(max_new_tokens=new)
        ),
        theirs=theirs,
        flops=flops.forward_flops(
            runner.model.config, [_PROMPT + new - 1] * rows, rows * new
        ),
        remark="decode: float32, greedy; tokens are new tokens, prefill included in "
        "the time; equal: tokens that both sides give at one place",
        agreement=share_of_equal_tokens,
    )


def share_of_equal_tokens(rows: list[list[int]], others: list[list[int]]) -> float:
    """The share of places at which two generations have the same token.

    Example:
      >>> share_of_equal_tokens([[1, 2], [3, 4]], [[1, 2], [3, 5]])
      0.75
    """
    both = [pair for row, other in zip(rows, others) for pair in zip(row, other)]
    return float(np.mean([a == b for a, b in both]))


def _make_answers(
    settings: cases.Settings, problems: coding.Problems, new: int, with_peer: bool
) -> pairs.Workload:
    assert settings.model
    folder = real_model.resolve(settings.model)
    runner = our_dense(folder)
    tokenizer = tokens.load_tokenizer(folder)
    asked = coding_prompts.Prompts(problems.benchmark, tokenizer)
    prompts = [asked.encode(problem) for problem in problems.items]

    def ours() -> list[text.Completion]:
        return text.generate(
            runner.model,
            tokenizer,
            prompts,
            new,
            stops=asked.stops,
            compute=runner.compute,
        )

    theirs = {}
    if with_peer:
        options = {
            "eos_token_id": list(tokenizer.eos_ids),
            "stop_strings": list(asked.stops),
            "tokenizer": tokenizer.fast,
        }
        settings_of_generate = {"generate, all together": [prompts]}
        if len(prompts) > _BATCH:
            title = f"generate, {_BATCH} of like length"
            settings_of_generate[title] = _in_batches(prompts)
        for title, batches in settings_of_generate.items():
            theirs[title] = functools.partial(
                _generate_all, their_dense(folder), batches, new, options
            )
    return pairs.Workload(
        unit="tokens",
        amount=functools.partial(_count_until_stops, tokenizer, asked.stops),
        ours=ours,
        theirs=theirs,
        fastest_only=True,
        remark="decode: answers to coding problems end at stop strings or eos, and "
        "tokens count up to there; generate runs in the faster of two settings, all "
        f"prompts together or {_BATCH} of like length",
    )


def _in_batches(prompts: list[list[int]]) -> list[list[list[int]]]:
    ordered = sorted(prompts, key=len)
    return [ordered[i : i + _BATCH] for i in range(0, len(ordered), _BATCH)]


def _generate_all(model, batches, new: int, options: dict) -> None:
    for batch in batches:
        peers.generate(model, batch, new, **options)


def _count_until_stops(
    tokenizer: tokens.Tokenizer,
    stops: Sequence[str],
    completions: list[text.Completion],
) -> int:
    """New tokens of all rows, up to the one that completes a stop string."""
    total = 0
    for completion in completions:
        ids = list(completion.ids)
        count = len(ids)
        if completion.end == "stop":

            def has_stop(n: int, ids=ids) -> bool:
                written = tokenizer.decode(ids[:n])
                return any(stop in written for stop in stops)

            count = next((n for n in range(1, count + 1) if has_stop(n)), count)
        total += count
    return total
