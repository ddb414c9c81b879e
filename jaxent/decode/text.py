"""Prompts to text: stop strings, samples, streaming."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator

import tqdm

from jaxent.arrays import lora
from jaxent.data import tokens
from jaxent.decode import choose, loop
from jaxent.model import transformer


@dataclasses.dataclass(frozen=True)
class Completion:
    """One continuation: its text (what follows the prompt, before the first stop string) and how it ended.

    ids: every new token, eos and stop included. end: "eos", "stop" or "length" (max_new_tokens reached). near_ties: choices
    whose two best logits were within the arithmetic's rounding: elsewhere (another batch size, another library)
    they may fall otherwise.
    """

    text: str
    ids: tuple[int, ...]
    end: str
    near_ties: int


def generate(
    model: transformer.Transformer,
    tokenizer: tokens.Tokenizer,
    prompts: list[str],
    max_new_tokens: int = 256,
    *,
    stops: Iterable[str] = (),
    temperature: float = 0.0,
    top_p: float = 1.0,
    samples: int = 1,
    seed: int = 0,
    adapter: lora.Adapter | None = None,
    compute: transformer.ComputeConfig | None = None,
    on_done: Callable[[int, Completion], None] = lambda row, completion: None,
    progress: bool = False,
) -> list[Completion]:
    """`samples` continuations of every prompt, those of one prompt together, all decoded in one batch.

    Greedy at temperature 0 (equals transformers' generate); otherwise sampled, reproducibly by `seed` whatever
    the batch. A continuation ends at eos, at the first of `stops`, or after max_new_tokens tokens. on_done(row, completion) is called
    as each ends.
    compute: with the mesh that model and adapter lie on (`model.sharding.shard`), if any. Raises ValueError for an empty prompt, wrong settings, or too little memory for one row.
    """
    if samples < 1 or (samples > 1 and temperature == 0):
        raise ValueError(
            f"samples {samples} at temperature {temperature}: expected 1, or a temperature above 0"
        )
    runner = loop.Runner(model, adapter, compute or transformer.default_compute())
    request = loop.Request(
        max_new_tokens, tokenizer.eos_ids, choose.Sampling(temperature, top_p), seed
    )
    rows = [
        _Text(tokenizer, ids, tuple(stops))
        for ids in tokenizer.encode(prompts)
        for _ in range(samples)
    ]
    found: dict[int, Completion] = {}
    ids: dict[int, list[int]] = {row: [] for row in range(len(rows))}
    with tqdm.tqdm(
        total=len(rows), desc="generate", unit="completion", disable=not progress
    ) as bar:
        produced = 0
        for piece in loop.decode(
            runner,
            [r.prompt for r in rows],
            request,
            lambda row, new: rows[row].stop(new) is not None,
        ):
            ids[piece.row] += piece.ids
            produced += len(piece.ids)
            if piece.end:
                text = rows[piece.row].until_stop(ids[piece.row])
                found[piece.row] = Completion(
                    text, tuple(ids[piece.row]), piece.end, piece.near_ties
                )
                on_done(piece.row, found[piece.row])
                bar.update()
            if bar.format_dict["elapsed"] > 0:
                bar.set_postfix(
                    tok_s=f"{produced / bar.format_dict['elapsed']:.0f}", refresh=False
                )
    return [found[row] for row in range(len(rows))]


def stream(
    model: transformer.Transformer,
    tokenizer: tokens.Tokenizer,
    prompt: str,
    max_new_tokens: int = 256,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    adapter: lora.Adapter | None = None,
    compute: transformer.ComputeConfig | None = None,
    chunk: int = 8,
) -> Iterator[str]:
    """The continuation of one prompt as text pieces, about every `chunk` tokens."""
    runner = loop.Runner(model, adapter, compute or transformer.default_compute())
    request = loop.Request(
        max_new_tokens,
        tokenizer.eos_ids,
        choose.Sampling(temperature, top_p),
        seed,
        chunk,
    )
    [ids] = tokenizer.encode([prompt])
    text, new, shown = _Text(tokenizer, ids), [], 0
    for piece in loop.decode(runner, [ids], request):
        new += piece.ids
        found = text.of(new)
        if piece.end is None:
            found = found.rstrip(
                "\N{REPLACEMENT CHARACTER}"
            )  # bytes of a character still to come
        yield found[shown:]
        shown = len(found)


@dataclasses.dataclass(frozen=True)
class _Text:
    """Token ids to text beside their prompt: decoded alone, a continuation loses its leading space in Llama's tokenizers."""

    tokenizer: tokens.Tokenizer
    prompt: list[int]
    stops: tuple[str, ...] = ()

    @functools.cached_property
    def begin(self) -> int:
        return len(self.tokenizer.decode(self.prompt))

    def of(self, new: list[int]) -> str:
        return self.tokenizer.decode(self.prompt + new)[self.begin :]

    def stop(self, new: list[int]) -> int | None:
        """Where in the text of `new` the first stop string begins."""
        text = self.of(new) if self.stops else ""
        return min((at for s in self.stops if (at := text.find(s)) >= 0), default=None)

    def until_stop(self, new: list[int]) -> str:
        return self.of(new)[: self.stop(new)]
