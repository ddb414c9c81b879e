"""Tokenized sources as memory-mapped arrays in a cache."""

import collections
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from jaxent import json_files
from jaxent.data import examples, tokens

_RECORDS_AT_A_TIME = 512  # to the tokenizer
_TALLY = "tally.json"


@dataclasses.dataclass(frozen=True)
class Tokenized:
    """One source, or a part of one, as token ids.

    Example i of the source is tokens[offsets[i] : offsets[i + 1]].

    Attributes:
        tokens: int32 [tokens], memory-mapped.
        offsets: int64 [examples + 1].
        hash: Of the texts, the tokenizer and the length.
        flags: bool [tokens], those that the loss counts; None where it counts all.
        part: The indices of the examples that this is; None for all of the source.
        tally: What happened as the records were encoded (`examples.Encoder`).
    """

    tokens: np.ndarray
    offsets: np.ndarray
    hash: str
    flags: np.ndarray | None = None
    part: np.ndarray | None = None
    tally: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1 if self.part is None else len(self.part)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.tokens[self._span(index)]

    def counted(self, index: int) -> np.ndarray | None:
        """The flags of example `index`, bool [n]; None where all tokens count."""
        return None if self.flags is None else self.flags[self._span(index)]

    def _span(self, index: int) -> slice:
        if self.part is not None:
            index = self.part[index]
        return slice(self.offsets[index], self.offsets[index + 1])


@dataclasses.dataclass(frozen=True)
class Request:
    """How texts become arrays, and where those are cached.

    Attributes:
        tokenizer: The model's tokenizer.
        length: Tokens an example at most.
        cache: The cache's folder.
        progress: Whether to show a progress bar.
    """

    tokenizer: tokens.Tokenizer
    length: int
    cache: pathlib.Path
    progress: bool = False


def tokenize_texts(name: str, texts: list[str], request: Request) -> Tokenized:
    """The arrays of texts all of whose tokens count.

    Args:
        name: The source.
        texts: The texts.
        request: How and where.

    Returns:
        The arrays, from the cache where they are in it.

    Raises:
        ValueError: No text has two tokens.
    """
    digest = hashlib.sha256(f"{request.tokenizer.hash} {request.length}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    folder = request.cache / f"{name}-{digest.hexdigest()[:16]}"
    if not folder.is_dir():
        encoded = _encode_texts(name, texts, request)
        if not encoded:
            raise ValueError(
                f"{name}: no text of two tokens or more among {len(texts)}"
            )
        _write(folder, encoded)
    return open_folder(folder)


def tokenize_records(
    name: str, records: Sequence[Any], encoder: examples.Encoder, request: Request
) -> Tokenized:
    """The arrays of records of one's own data.

    Args:
        name: The source.
        records: What `encoder.encode` takes.
        encoder: How they become examples.
        request: Where they are cached.

    Returns:
        The arrays, from the cache where they are in it.

    Raises:
        ValueError: No record has anything to train on, or a conversation is refused.
    """
    digest = records_digest(encoder)
    for record in records:
        text = json.dumps(record)
        digest.update(hashlib.sha256(text.encode()).digest())
    folder = request.cache / f"{name}-{digest.hexdigest()[:16]}"
    if not folder.is_dir():
        kept: list[examples.Example] = []
        tally: collections.Counter = collections.Counter()
        for some in batches_of(name, records, request.progress):
            encoded, counts = encoder.encode(some)
            kept += encoded
            tally += counts
        if not kept:
            raise ValueError(nothing_to_train_on(name, tally, encoder))
        flags = [example.counted for example in kept]
        _write(folder, [example.ids for example in kept], flags, tally)
    return open_folder(folder)


def records_digest(encoder: examples.Encoder):
    """A hash that has begun with all that decides a record's tokens but the record."""
    template = encoder.tokenizer.fast.chat_template if encoder.form == "messages" else 0
    parts = [encoder.tokenizer.hash, encoder.length, encoder.form, encoder.loss_on]
    return hashlib.sha256(json.dumps([*parts, template]).encode())


def nothing_to_train_on(
    name: str, tally: Mapping[str, int], encoder: examples.Encoder
) -> str:
    """What to say of records none of which became an example."""
    return (
        f"{name}: nothing to train on in {tally.get('records', 0)} records"
        f" ({tally.get('empty', 0)} without text; in {tally.get('untrainable', 0)} no"
        f" token counts within --max_length {encoder.length} under"
        f" --loss_on={encoder.loss_on})"
    )


def batches_of(name: str, records: Sequence, progress: bool) -> Iterable[Sequence]:
    """Records in groups for the tokenizer, with a progress bar if it is wanted."""
    bar = tqdm.tqdm(
        total=len(records), desc=f"tokenize {name}", disable=not progress, leave=False
    )
    for start in range(0, len(records), _RECORDS_AT_A_TIME):
        some = records[start : start + _RECORDS_AT_A_TIME]
        yield some
        bar.update(len(some))
    bar.close()


def _encode_texts(name: str, texts: list[str], request: Request) -> list[np.ndarray]:
    """Ids of each text of two tokens or more, int32 [tokens <= length]."""
    encoded = []
    for some in batches_of(name, texts, request.progress):
        for ids in request.tokenizer.encode(some):
            ids = examples.drop_second_bos(ids, request.tokenizer)
            ids = examples.end_with_eos(ids, request.tokenizer)[: request.length]
            if len(ids) >= 2:
                encoded.append(np.array(ids, np.int32))
    return encoded


def _answer_file(name: str, asked: str, request: Request) -> pathlib.Path:
    digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
    return request.cache / f"{name}-hub-{digest}"


def find_answer(name: str, asked: str, request: Request) -> Tokenized | None:
    """The arrays that a request to the Hub gave before.

    Args:
        name: The source.
        asked: All that the request depends on, as text.
        request: Where arrays are cached.

    Returns:
        The arrays; None where it was not asked for before.
    """
    file = _answer_file(name, asked, request)
    if file.is_file():
        folder = request.cache / file.read_text(encoding="utf-8")
        if folder.is_dir():
            return open_folder(folder)
    return None


def remember_answer(name: str, asked: str, answer: Tokenized, request: Request) -> None:
    """Keeps what a request gave, as a small file that names the arrays' folder.

    Args:
        name: The source.
        asked: All that the request depends on, as text.
        answer: The arrays.
        request: Where arrays are cached.
    """
    file = _answer_file(name, asked, request)
    partial = file.with_name(f"{file.name}.partial-{os.getpid()}")
    partial.write_text(f"{name}-{answer.hash}", encoding="utf-8")
    os.replace(partial, file)


def open_folder(folder: pathlib.Path) -> Tokenized:
    """Maps the arrays that a folder of the cache holds."""
    flags, tally = None, {}
    if (folder / "flags.npy").is_file():
        flags = np.load(folder / "flags.npy", mmap_mode="r")
        tally = json_files.read_json(folder / _TALLY)
    return Tokenized(
        np.load(folder / "tokens.npy", mmap_mode="r"),
        np.load(folder / "offsets.npy"),
        folder.name.rpartition("-")[2],
        flags,
        tally=tally,
    )


def _write(
    folder: pathlib.Path,
    encoded: list[np.ndarray],
    flags: list[np.ndarray] | None = None,
    tally: Mapping[str, int] | None = None,
) -> None:
    """Writes the arrays of a source, under a temporary name until they are complete."""
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    np.save(partial / "tokens.npy", np.concatenate(encoded))
    np.save(partial / "offsets.npy", np.cumsum([0, *map(len, encoded)]))
    if flags is not None:
        np.save(partial / "flags.npy", np.concatenate(flags))
        (partial / _TALLY).write_text(json.dumps(dict(tally or {})), encoding="utf-8")
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was first
            raise
