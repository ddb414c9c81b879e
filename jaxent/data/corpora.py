"""Training texts by domain, tokenized once into memory-mapped arrays."""

import dataclasses
import hashlib
import itertools
import os
import pathlib
from collections.abc import Iterable

import numpy as np
import tqdm

from jaxent.data import batches, embedded, mix, rows, sources, tokens

EMBEDDED = "embedded"
_TEXTS_AT_A_TIME = 512  # to the tokenizer


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
        next(_iter_file(source, root))


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
    if root:
        checked = _iter_file(source, root)
    else:
        stream = rows.read_hub(*source.hub)
        where = f"data set {source.hub[0]}"
        checked = rows.check_columns(stream, source.columns, where, source.name)
    return [source.text(row) for row in itertools.islice(checked, limit)]


def _iter_file(source: sources.Source, root: str):
    file = source.local_file(root)
    return rows.check_columns(
        rows.read_file(file), source.columns, str(file), source.name
    )


@dataclasses.dataclass(frozen=True)
class Tokenized:
    """One source as token ids.

    Example i is tokens[offsets[i] : offsets[i + 1]].

    Attributes:
        tokens: int32 [tokens], memory-mapped.
        offsets: int64 [examples + 1].
        hash: Of the texts, the tokenizer and the length.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    hash: str

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Tokenized sources: {domain: {source: `Tokenized`}}."""

    domains: dict[str, dict[str, Tokenized]]

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

    def _by_source(self) -> dict[str, Tokenized]:
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
        by_source = self._by_source()
        drawn = mix.draw_batch(mixture, self.sizes, seed, step, examples)
        chosen = [by_source[name][index] for name, index in drawn]
        arrange = batches.pack if packing else batches.pad
        return arrange(chosen, length, examples, read)


@dataclasses.dataclass(frozen=True)
class _Request:
    """How texts become arrays, and where those are cached."""

    tokenizer: tokens.Tokenizer
    length: int
    cache: pathlib.Path
    progress: bool


def load_corpus(
    domains: Iterable[str],
    tokenizer: tokens.Tokenizer,
    length: int,
    root: str | None = None,
    limit: int = 50_000,
    cache: pathlib.Path | None = None,
    progress: bool = False,
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
        limit: Texts a source at most.
        cache: The cache's folder; None: ~/.cache/jaxent.
        progress: Whether to show a progress bar.

    Returns:
        The tokenized sources.

    Raises:
        FileNotFoundError: A source's file is missing, or the Hub did not give it.
        ValueError: A row is malformed, or no text has two tokens.

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
    if cache is None:
        user_cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        cache = pathlib.Path(user_cache).expanduser() / "jaxent"
    request = _Request(tokenizer, length, cache, progress)
    return Corpus({d: _load_domain(d, root, limit, request) for d in domains})


def _load_domain(
    domain: str, root: str | None, limit: int, request: _Request
) -> dict[str, Tokenized]:
    if root == EMBEDDED:
        texts = embedded.split(domain)[0][:limit]
        name = f"embedded_{domain}"
        return {name: _tokenize(name, texts, request)}
    loaded = {}
    for source in select_sources([domain]):
        if root:
            texts = read_texts(source, root, limit)
            loaded[source.name] = _tokenize(source.name, texts, request)
        else:
            loaded[source.name] = _load_from_hub(source, limit, request)
    return loaded


def _load_from_hub(source: sources.Source, limit: int, request: _Request) -> Tokenized:
    """The source's cached arrays, if this was asked for before; else they are made.

    A small file named after the request holds the name of the arrays' folder.
    """
    asked = (
        f"{source.hub} {source.text.__name__} {limit}"
        f" {request.tokenizer.hash} {request.length}"
    )
    digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
    answer = request.cache / f"{source.name}-hub-{digest}"
    if answer.is_file():
        folder = request.cache / answer.read_text(encoding="utf-8")
        if folder.is_dir():
            return _open(folder)
    tokenized = _tokenize(source.name, read_texts(source, None, limit), request)
    partial = answer.with_name(f"{answer.name}.partial-{os.getpid()}")
    partial.write_text(f"{source.name}-{tokenized.hash}", encoding="utf-8")
    os.replace(partial, answer)
    return tokenized


def _tokenize(name: str, texts: list[str], request: _Request) -> Tokenized:
    """The arrays of the texts, from the cache where they are in it."""
    digest = hashlib.sha256(f"{request.tokenizer.hash} {request.length}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    folder = request.cache / f"{name}-{digest.hexdigest()[:16]}"
    if not folder.is_dir():
        encoded = _encode(name, texts, request)
        if not encoded:
            raise ValueError(
                f"{name}: no text of two tokens or more among {len(texts)}"
            )
        _write(folder, encoded)
    return _open(folder)


def _encode(name: str, texts: list[str], request: _Request) -> list[np.ndarray]:
    """Ids of each text of two tokens or more, int32 [tokens <= length]."""
    encoded = []
    bar = tqdm.tqdm(
        total=len(texts),
        desc=f"tokenize {name}",
        disable=not request.progress,
        leave=False,
    )
    for start in range(0, len(texts), _TEXTS_AT_A_TIME):
        some = texts[start : start + _TEXTS_AT_A_TIME]
        for ids in request.tokenizer.encode(some):
            ids = [*ids, request.tokenizer.eos_id][: request.length]
            if len(ids) >= 2:
                encoded.append(np.array(ids, np.int32))
        bar.update(len(some))
    bar.close()
    return encoded


def _open(folder: pathlib.Path) -> Tokenized:
    return Tokenized(
        np.load(folder / "tokens.npy", mmap_mode="r"),
        np.load(folder / "offsets.npy"),
        folder.name.rpartition("-")[2],
    )


def _write(folder: pathlib.Path, encoded: list[np.ndarray]) -> None:
    """Writes the arrays of a source, under a temporary name until they are complete."""
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    np.save(partial / "tokens.npy", np.concatenate(encoded))
    np.save(partial / "offsets.npy", np.cumsum([0, *map(len, encoded)]))
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was first
            raise
