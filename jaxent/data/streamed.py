"""A corpus that is read as training goes: see `stream`."""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxent.data import (
    batches,
    corpora,
    embedded,
    examples,
    holdout,
    mix,
    own,
    stream,
    tokens,
)


@dataclasses.dataclass(frozen=True)
class StreamedCorpus:
    """Sources that are read as training goes; it stands in for `corpora.Corpus`.

    Attributes:
        domains: {domain: {source: `stream.Stream`}}.
        held_out: {domain: examples that are never trained on}; empty where nothing is
            held out.
    """

    domains: dict[str, dict[str, stream.Stream]]
    held_out: dict[str, list[examples.Example]] = dataclasses.field(
        default_factory=dict
    )

    @functools.cached_property
    def hashes(self) -> dict[str, str]:
        """What was read first, by source."""
        return {one.name: one.hash for one in self._streams()}

    @property
    def tallies(self) -> dict[str, Mapping[str, int]]:
        """What happened to the records that were read so far, by source."""
        return {one.name: dict(one.tally) for one in self._streams()}

    def _streams(self) -> list[stream.Stream]:
        return [one for by_name in self.domains.values() for one in by_name.values()]

    def batch(
        self,
        mixture: mix.Mixture,
        seed: int,
        step: int,
        length: int,
        examples: int = 16,
        packing: bool = True,
        read: np.ndarray | None = None,
    ) -> tuple[batches.Batch, int]:
        """The batch of one optimizer step: see `corpora.Corpus.batch`."""
        ids, counted = self.draw(mixture, seed, step, examples)
        arrange = batches.pack if packing else batches.pad
        return arrange(ids, length, examples, read, counted)

    def draw(
        self, mixture: mix.Mixture, seed: int, step: int, examples: int = 16
    ) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """The examples of one optimizer step: see `corpora.Corpus.draw`."""
        drawn = stream.draw(mixture, self.domains, seed, step, examples)
        ids, counted = zip(*drawn)
        return list(ids), list(counted)


def open_corpus(
    domains: Iterable[str],
    tokenizer: tokens.Tokenizer,
    length: int,
    root: str | None = None,
    limit: int | None = None,
    own_sources: Sequence[own.OwnSource] = (),
    held_out: holdout.HoldoutConfig | None = None,
) -> StreamedCorpus:
    """Opens each source of the domains.

    Args:
        domains: Names of domains.
        tokenizer: The model's tokenizer.
        length: Tokens an example at most.
        root: As in `corpora.load_corpus`.
        limit: Rows of a source and epoch at most; None: all.
        own_sources: One's own data.
        held_out: What is held out; None: nothing is.

    Returns:
        The sources.

    Raises:
        FileNotFoundError: A source is missing.
        ValueError: A row is malformed, or nothing is held out of a domain.
        stream.StreamError: The same, where it was found as rows were read.
    """
    by_domain = {source.domain: source for source in own_sources}
    opened: dict[str, dict[str, stream.Stream]] = {}
    apart = {}
    for domain in domains:
        readers = _readers(
            domain, by_domain.get(domain), tokenizer, length, root, limit
        )
        opened[domain] = {
            name: stream.Stream(name, read, encoder, held_out)
            for name, read, encoder in readers
        }
        if held_out is not None:
            found = [
                example
                for one in opened[domain].values()
                for example in one.held_out(held_out.max_examples)
            ]
            apart[domain] = corpora.check_held_out(domain, found, held_out)
    return StreamedCorpus(opened, apart)


def _readers(
    domain: str,
    own_source: own.OwnSource | None,
    tokenizer: tokens.Tokenizer,
    length: int,
    root: str | None,
    limit: int | None,
):
    """(name, function that opens the records, encoder) of a domain's sources."""
    if own_source is not None:
        resolved = own.resolve(own_source)
        encoder = own.make_encoder(resolved, tokenizer, length)
        yield (
            resolved.name,
            functools.partial(own.read_records, resolved, limit),
            encoder,
        )
        return
    encoder = examples.Encoder(tokenizer, length)
    if root == corpora.EMBEDDED:
        texts = embedded.split(domain)[0][:limit]
        yield f"embedded_{domain}", functools.partial(iter, texts), encoder
        return
    for source in corpora.select_sources([domain]):
        read = functools.partial(_read_texts, source, root, limit)
        yield source.name, read, encoder


def _read_texts(source: Any, root: str | None, limit: int | None) -> Iterator[str]:
    return itertools.islice(corpora.iter_texts(source, root), limit)
