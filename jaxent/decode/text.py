"""Prompts to text: stop strings, several samples of a prompt, streaming."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import tqdm

from jaxent.arrays import lora
from jaxent.data import tokens
from jaxent.decode import choose, loop
from jaxent.model import transformer

_HALF_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # bytes of a character still to come


@dataclasses.dataclass(frozen=True)
class Completion:
    """One continuation of a prompt.

    Attributes:
        text: What follows the prompt, before the first stop string.
        ids: Every new token, eos and stop included.
        end: "eos", "stop", or "length" when max_new_tokens were reached.
        near_ties: Choices whose two best logits were within the arithmetic's rounding.
            They may fall otherwise with another batch size or in another library.
    """

    text: str
    ids: tuple[int, ...]
    end: str
    near_ties: int


def ignore(row: int, completion: Completion) -> None:
    """An `on_done` that does nothing."""


def generate(
    model: transformer.Transformer,
    tokenizer: tokens.Tokenizer,
    prompts: Sequence[str | list[int]],
    max_new_tokens: int = 256,
    *,
    stops: Iterable[str] = (),
    temperature: float = 0.0,
    top_p: float = 1.0,
    samples: int = 1,
    seed: int = 0,
    adapter: lora.Adapter | None = None,
    compute: transformer.ComputeConfig | None = None,
    on_done: Callable[[int, Completion], None] = ignore,
    progress: bool = False,
) -> list[Completion]:
    """Continues every prompt; all of them are decoded together.

    Args:
        model: The base model.
        tokenizer: Its tokenizer.
        prompts: The texts to continue, or their token ids.
        max_new_tokens: New tokens of a continuation, at most.
        stops: Strings that end a continuation.
        temperature: 0 is greedy, which equals transformers' generate.
        top_p: Probability of the tokens to sample from.
        samples: Continuations of each prompt.
        seed: Of sampling. Samples depend on it, not on the batch.
        adapter: The adapter, or None.
        compute: The arithmetic, and the mesh that model and adapter are on, if any.
        on_done: Called with (index in the result, completion) as each ends.
        progress: Whether to show a progress bar.

    Returns:
        The continuations, those of one prompt together.

    Raises:
        ValueError: If a prompt is empty, a setting is wrong, or memory does not
            suffice for one row.

    Example:
        >>> import jaxent
        >>> from jaxent.checkpoint import hf
        >>> folder = f"{jaxent.__path__[0]}/data/checkpoints/tiny-small"
        >>> model = hf.load(folder, quantize=False)
        >>> tokenizer = tokens.load_tokenizer(folder)
        >>> [completion] = generate(model, tokenizer, ["import numpy as"], 8)
        >>> completion.text, completion.end
        (' a string. These can be used', 'length')
    """
    _check_samples(samples, temperature)
    runner = loop.Runner(model, adapter, compute or transformer.default_compute())
    sampling = choose.Sampling(temperature, top_p)
    request = loop.Request(max_new_tokens, tokenizer.eos_ids, sampling, seed)
    rows = [
        _Continuation(tokenizer, prompt, tuple(stops))
        for prompt in _encode_prompts(tokenizer, prompts)
        for _ in range(samples)
    ]
    return _decode_rows(runner, request, rows, on_done, progress)


def _encode_prompts(
    tokenizer: tokens.Tokenizer, prompts: Sequence[str | list[int]]
) -> list[list[int]]:
    """Token ids of each prompt; those that are ids already stay as they are."""
    return [
        tokenizer.encode([prompt])[0] if isinstance(prompt, str) else prompt
        for prompt in prompts
    ]


def _check_samples(samples: int, temperature: float) -> None:
    """ValueError for several samples that would all be the same."""
    if samples < 1 or (samples > 1 and temperature == 0):
        raise ValueError(
            f"samples {samples} at temperature {temperature}: expected 1, or a "
            "temperature above 0"
        )


def _decode_rows(
    runner: loop.Runner,
    request: loop.Request,
    rows: list["_Continuation"],
    on_done: Callable[[int, Completion], None],
    progress: bool,
) -> list[Completion]:
    """The completion of every row, with a progress bar if wanted."""

    def has_stop(row: int, ids: list[int]) -> bool:
        return rows[row].find_stop(ids) is not None

    completions: dict[int, Completion] = {}
    ids: list[list[int]] = [[] for _ in rows]
    prompts = [row.prompt for row in rows]
    with tqdm.tqdm(
        total=len(rows), desc="generate", unit="completion", disable=not progress
    ) as bar:
        for chunk in loop.decode(runner, prompts, request, has_stop):
            row = chunk.row
            ids[row] += chunk.ids
            if chunk.end:
                text = rows[row].until_stop(ids[row])
                completions[row] = Completion(
                    text, tuple(ids[row]), chunk.end, chunk.near_ties
                )
                on_done(row, completions[row])
                bar.update()
            seconds = bar.format_dict["elapsed"]
            if seconds > 0:
                rate = sum(map(len, ids)) / seconds
                bar.set_postfix(tok_s=f"{rate:.0f}", refresh=False)
    return [completions[row] for row in range(len(rows))]


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
    """Continues one prompt and yields the text as it comes.

    Args:
        model: The base model.
        tokenizer: Its tokenizer.
        prompt: The text to continue.
        max_new_tokens: New tokens, at most.
        temperature: 0 is greedy.
        top_p: Probability of the tokens to sample from.
        seed: Of sampling.
        adapter: The adapter, or None.
        compute: The arithmetic, and the mesh that model and adapter are on, if any.
        chunk: About so many tokens make a part of the text.

    Yields:
        The parts; joined they are the text of `generate`. A character comes once its
        last byte has come.

    Example:
        >>> import jaxent
        >>> from jaxent.checkpoint import hf
        >>> folder = f"{jaxent.__path__[0]}/data/checkpoints/tiny-small"
        >>> model = hf.load(folder, quantize=False)
        >>> tokenizer = tokens.load_tokenizer(folder)
        >>> list(stream(model, tokenizer, "import numpy as", 8, chunk=4))
        [' a', ' string. These', ' can be used']
    """
    runner = loop.Runner(model, adapter, compute or transformer.default_compute())
    sampling = choose.Sampling(temperature, top_p)
    request = loop.Request(max_new_tokens, tokenizer.eos_ids, sampling, seed, chunk)
    [prompt_ids] = tokenizer.encode([prompt])
    continuation = _Continuation(tokenizer, prompt_ids)
    ids: list[int] = []
    shown = 0
    for new in loop.decode(runner, [prompt_ids], request):
        ids += new.ids
        text = continuation.text(ids) if new.end else continuation.stable_text(ids)
        yield text[shown:]
        shown = len(text)


@dataclasses.dataclass(frozen=True)
class _Continuation:
    """New ids of one prompt to text.

    They are decoded together with the prompt: alone, a continuation loses its leading
    space in Llama's tokenizers.

    In tokenizers with byte fallback (Llama, Mistral) a token such as <0xE2> is a byte
    of a character that has no token. A run of such tokens is decoded as a whole: unless
    it is UTF-8, each of its bytes becomes a replacement character, those of complete
    characters too. A run's text is therefore known only once the run has ended.
    """

    tokenizer: tokens.Tokenizer
    prompt: list[int]
    stops: tuple[str, ...] = ()

    @functools.cached_property
    def prompt_length(self) -> int:
        """Characters of the decoded prompt."""
        return len(self.tokenizer.decode(self.prompt))

    @functools.cached_property
    def prompt_ends_in_bytes(self) -> bool:
        """Whether a run of bytes may go on after the prompt."""
        return self._ended_run(self.prompt) < len(self.prompt)

    def text(self, ids: list[int]) -> str:
        """The text of new ids.

        Bytes that they begin with are decoded apart from those that the prompt ends
        with: half a character would otherwise take the prompt's characters with it.
        """
        if not self.prompt_ends_in_bytes:
            return self.tokenizer.decode(self.prompt + ids)[self.prompt_length :]
        byte_of = self.tokenizer.byte_of
        run = list(itertools.takewhile(self._continues_run, ids))
        before = self.prompt + run
        length = len(self.tokenizer.decode(before))
        after = self.tokenizer.decode(before + ids[len(run) :])[length:]
        return _decode_run([byte_of[i] for i in run if i in byte_of]) + after

    def stable_text(self, ids: list[int]) -> str:
        """The part of the text of new ids that no later id can change."""
        return self.text(ids[: self._ended_run(ids)]).rstrip(_HALF_CHARACTER)

    def _ended_run(self, ids: list[int]) -> int:
        """How many ids there are before the run of bytes that the last ones may be."""
        count = len(ids)
        while count and self._continues_run(ids[count - 1]):
            count -= 1
        return count

    def _continues_run(self, id: int) -> bool:
        """Whether an id is a byte, or nothing at all in the text."""
        return id in self.tokenizer.byte_of or self.tokenizer.is_silent(id)

    def find_stop(self, ids: list[int]) -> int | None:
        """Where the first stop string begins in the text of new ids."""
        if not self.stops:
            return None
        text = self.text(ids)
        return min((text.index(s) for s in self.stops if s in text), default=None)

    def until_stop(self, ids: list[int]) -> str:
        """The text of new ids before the first stop string."""
        return self.text(ids)[: self.find_stop(ids)]


def _decode_run(run: list[int]) -> str:
    """Bytes as the byte fallback of the tokenizers library decodes them."""
    try:
        return bytes(run).decode()
    except UnicodeDecodeError:
        return _HALF_CHARACTER * len(run)
