"""Training texts by domain, tokenized once into memory-mapped arrays."""

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from jaxent.data import (
    batches,
    embedded,
    examples,
    holdout,
    mix,
    own,
    rows,
    sources,
    tokenized,
    tokens,
)

EMBEDDED = "embedded"
PUBLISHED_LIMIT = 50_000  # rows of each published source, unless another is asked for


def select_sources(domains: Iterable[str]) -> list[sources.Source]:
    """The data sets of the domains, in the domains' order.

    Args:
        domains: Names of domains.

    Returns:
        Rows of `sources.SOURCES`.

    Example:
        >>> [source.name for source in select_sources(["math"])]
        ['gsm8k', 'competition_math']
    """
    return [
        source
        for domain in domains
        for source in sources.SOURCES
        if source.domain == domain
    ]


def check_sources(domains: Iterable[str], root: str | None) -> None:
    """Checks that the domains' files exist and their first rows have the columns.

    It is cheap, so that a run can be refused before anything long starts. The Hub and
    the embedded texts are not checked.

    Args:
        domains: Names of domains.
        root: A folder of local files, "embedded", or None for the Hub.

    Raises:
        FileNotFoundError: A source has no file.
        ValueError: A file has no rows, or its first row lacks a column.
    """
    if root is None or root == EMBEDDED:
        return
    for source in select_sources(domains):
        try:
            next(_iter_file(source, root))
        except FileNotFoundError as error:
            needed = sources.describe_root(select_sources(domains))
            raise FileNotFoundError(
                f"{error}. --data_root must hold {needed}"
            ) from None


def read_texts(source: sources.Source, root: str | None, limit: int) -> list[str]:
    """The first texts of a source.

    Args:
        source: The data set.
        root: A folder of local files; None streams from the Hub.
        limit: How many texts at most.

    Returns:
        The texts, in order.

    Raises:
        FileNotFoundError: There is no file, or the Hub did not give the data set.
        ValueError: A row is malformed.
    """
    return list(itertools.islice(iter_texts(source, root), limit))


def iter_texts(source: sources.Source, root: str | None) -> Iterator[str]:
    """The texts of a source, one at a time.

    Args:
        source: The data set.
        root: A folder of local files; None streams from the Hub.

    Yields:
        The texts, in order.

    Raises:
        FileNotFoundError: There is no file, or the Hub did not give the data set.
        ValueError: A row is malformed.
    """
    if root:
        checked = _iter_file(source, root)
    else:
        stream = rows.read_hub(*source.hub)
        where = f"data set {source.hub[0]}"
        checked = rows.check_columns(stream, source.columns, where, source.name)
    return map(source.text, checked)


def _iter_file(source: sources.Source, root: str):
    file = source.local_file(root)
    return rows.check_columns(
        rows.read_file(file), source.columns, str(file), source.name
    )


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Tokenized sources.

    Attributes:
        domains: {domain: {source: `tokenized.Tokenized`}}.
        held_out: {domain: examples that are never trained on}; empty where nothing is
            held out.
    """

    domains: dict[str, dict[str, tokenized.Tokenized]]
    held_out: dict[str, list[examples.Example]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def sizes(self) -> dict[str, dict[str, int]]:
        """The number of examples: {domain: {source: examples}}."""
        return {
            domain: {name: len(source) for name, source in by_name.items()}
            for domain, by_name in self.domains.items()
        }

    @property
    def hashes(self) -> dict[str, str]:
        """What was read, by source: equal hashes mean equal token ids."""
        return {name: source.hash for name, source in self._by_source().items()}

    @property
    def tallies(self) -> dict[str, Mapping[str, int]]:
        """What happened to the records of one's own sources, by source."""
        named = self._by_source().items()
        return {name: source.tally for name, source in named if source.tally}

    def _by_source(self) -> dict[str, tokenized.Tokenized]:
        return {
            name: source
            for by_name in self.domains.values()
            for name, source in by_name.items()
        }

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
        """The batch of one optimizer step, a pure function of (seed, step).

        Args:
            mixture: What share each domain has.
            seed: The run's seed.
            step: The optimizer step, from 0.
            length: Tokens a row, T.
            examples: Examples a step; also the number of rows.
            packing: Several examples a row, or one.
            read: bool [rows], the rows whose tokens this process needs; None: all.

        Returns:
            The batch [examples, T], and the number of rows in use, which come first.
        """
        chosen, counted = self.draw(mixture, seed, step, examples)
        arrange = batches.pack if packing else batches.pad
        return arrange(chosen, length, examples, read, counted)

    def draw(
        self, mixture: mix.Mixture, seed: int, step: int, examples: int = 16
    ) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """Token ids of a step's examples, and which predictions count (None: all)."""
        by_source = self._by_source()
        drawn = mix.draw_batch(mixture, self.sizes, seed, step, examples)
        chosen = [by_source[name][index] for name, index in drawn]
        return chosen, [by_source[name].counted(index) for name, index in drawn]


def load_corpus(
    domains: Iterable[str],
    tokenizer: tokens.Tokenizer,
    length: int,
    root: str | None = None,
    limit: int | None = None,
    cache: pathlib.Path | None = None,
    progress: bool = False,
    own_sources: Sequence[own.OwnSource] = (),
    held_out: holdout.HoldoutConfig | None = None,
) -> Corpus:
    """Tokenizes each source of the domains once, caches the arrays and maps them.

    An example is the tokenizer's own encoding with eos appended, cut at `length`
    tokens. A source that was read from the Hub once is not asked for again: later runs
    use its cache, also without a network.

    Args:
        domains: Names of domains.
        tokenizer: The model's tokenizer.
        length: Tokens an example at most.
        root: A folder of local files, "embedded" for the package's own texts, or None
            for the Hub.
        limit: Rows a source at most; None: `PUBLISHED_LIMIT` of the published sources,
            all of one's own.
        cache: The cache's folder; None: ~/.cache/jaxent.
        progress: Whether to show a progress bar.
        own_sources: One's own data; a domain that is among them is read from there.
        held_out: What is held out; None: nothing is.

    Returns:
        The tokenized sources.

    Raises:
        FileNotFoundError: A source's file is missing, or the Hub did not give it.
        ValueError: A row is malformed, or nothing is left to train on or to hold out.

    Example:
        >>> folder = pathlib.Path(__file__).parent / "checkpoints" / "tiny"
        >>> tokenizer = tokens.load_tokenizer(folder)
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as cache:
        ...     corpus = load_corpus(
        ...         ["math"], tokenizer, 64, "embedded", 20, pathlib.Path(cache)
        ...     )
        >>> corpus.sizes
        {'math': {'embedded_math': 20}}
    """
    request = tokenized.Request(tokenizer, length, cache or _default_cache(), progress)
    by_domain = {source.domain: source for source in own_sources}
    loaded = {}
    for domain in domains:
        if domain in by_domain:
            source = by_domain[domain]
            loaded[domain] = {source.name: _load_own(source, limit, request)}
        else:
            loaded[domain] = _load_domain(domain, root, limit, request)
    if held_out is None:
        return Corpus(loaded)
    return _hold_out(loaded, root, request, held_out)


def _default_cache() -> pathlib.Path:
    user_cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return pathlib.Path(user_cache).expanduser() / "jaxent"


def _load_domain(
    domain: str, root: str | None, limit: int | None, request: tokenized.Request
) -> dict[str, tokenized.Tokenized]:
    limit = PUBLISHED_LIMIT if limit is None else limit
    if root == EMBEDDED:
        texts = embedded.split(domain)[0][:limit]
        name = f"embedded_{domain}"
        return {name: tokenized.tokenize_texts(name, texts, request)}
    loaded = {}
    for source in select_sources([domain]):
        if root:
            texts = read_texts(source, root, limit)
            loaded[source.name] = tokenized.tokenize_texts(source.name, texts, request)
        else:
            loaded[source.name] = _load_published(source, limit, request)
    return loaded


def _load_published(
    source: sources.Source, limit: int, request: tokenized.Request
) -> tokenized.Tokenized:
    """A source of the Hub, from the cache if this was asked for before."""
    asked = (
        f"{source.hub} {source.text.__name__} {limit}"
        f" {request.tokenizer.hash} {request.length}"
    )
    if (answer := tokenized.find_answer(source.name, asked, request)) is not None:
        return answer
    texts = read_texts(source, None, limit)
    answer = tokenized.tokenize_texts(source.name, texts, request)
    tokenized.remember_answer(source.name, asked, answer, request)
    return answer


def _load_own(
    source: own.OwnSource, limit: int | None, request: tokenized.Request
) -> tokenized.Tokenized:
    """One's own source; of the Hub, from the cache if it was asked for before."""
    asked = ""
    if source.hub_id:
        template = request.tokenizer.fast.chat_template
        asked = f"{source} {limit} {request.tokenizer.hash} {request.length} {template}"
        if (answer := tokenized.find_answer(source.name, asked, request)) is not None:
            return answer
    source = own.resolve(source)
    encoder = own.make_encoder(source, request.tokenizer, request.length)
    records = list(own.read_records(source, limit))
    answer = tokenized.tokenize_records(source.name, records, encoder, request)
    if asked:
        tokenized.remember_answer(source.name, asked, answer, request)
    return answer


def _hold_out(
    loaded: dict[str, dict[str, tokenized.Tokenized]],
    root: str | None,
    request: tokenized.Request,
    config: holdout.HoldoutConfig,
) -> Corpus:
    """The sources in two: what is trained on, and what is not.

    The package's own texts come split already.
    """
    kept: dict[str, dict[str, tokenized.Tokenized]] = {}
    held_out = {}
    for domain, by_name in loaded.items():
        kept[domain], apart = {}, []
        for name, source in by_name.items():
            if name == f"embedded_{domain}":
                texts = embedded.split(domain)[1]
                other = tokenized.tokenize_texts(f"{name}_held_out", texts, request)
                kept[domain][name] = source
            else:
                kept[domain][name], other = _split(source, request, config)
            apart += _examples(other)
        held_out[domain] = check_held_out(domain, apart, config)
    return Corpus(kept, held_out)


def _split(
    source: tokenized.Tokenized,
    request: tokenized.Request,
    config: holdout.HoldoutConfig,
) -> tuple[tokenized.Tokenized, tokenized.Tokenized]:
    ids_of = (source[index] for index in range(len(source)))
    train, held_out = holdout.split(request.tokenizer, ids_of, config)
    if not len(train):
        raise ValueError(
            f"nothing to train on beside --eval_share {config.share} of"
            f" {len(source)} examples"
        )
    kept = dataclasses.replace(source, part=train)
    return kept, dataclasses.replace(source, part=held_out)


def _examples(source: tokenized.Tokenized) -> list[examples.Example]:
    """The examples of a source; where none says what counts, every token does."""
    listed = []
    for index in range(len(source)):
        ids, counted = source[index], source.counted(index)
        flags = np.ones(len(ids), bool) if counted is None else counted
        listed.append(examples.Example(ids, flags))
    return listed


def check_held_out(
    domain: str, apart: list[examples.Example], config: holdout.HoldoutConfig
) -> list[examples.Example]:
    """The held-out examples of a domain that are scored.

    Args:
        domain: The domain.
        apart: Its held-out examples.
        config: How many are scored at most.

    Returns:
        The first of them.

    Raises:
        ValueError: There are none.
    """
    if not apart:
        raise ValueError(
            f"domain {domain}: none of its examples is held out by --eval_share"
            f" {config.share}; expected a larger share or more texts"
        )
    return apart[: config.max_examples]
