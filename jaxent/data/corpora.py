"""Training texts by domain, from the Hub or from local files, tokenized once into memory-mapped arrays."""

import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterable

import numpy as np
import tqdm

from jaxent.data import batches, embedded, mix, tokens

EMBEDDED = "embedded"
_BATCH = 512  # texts tokenized at a time
_TITLE = re.compile(  # WikiText's " = Title = "; a capitalised word tells it from a formula such as " = 1 rad / s = "
    r"^ = ((?=[^=\n]*\b[^\W\d_a-z]\w)[^=\n]+) = *\n", flags=re.MULTILINE
)


def function_text(row: dict) -> str:
    """code_search_net python: the whole function as it stands in its file, docstring inside."""
    return row["whole_func_string"]


def commented_text(row: dict) -> str:
    """code_search_net javascript: the function after its documentation as a /** */ comment, which the columns part."""
    lines = row["func_documentation_string"].strip().splitlines()
    comment = "".join(f" * {line}".rstrip() + "\n" for line in lines)
    return (f"/**\n{comment} */\n" if lines else "") + row["whole_func_string"]


def alpaca_text(row: dict) -> str:
    """CodeAlpaca: Alpaca's headings, the input's only where there is one."""
    asked = f"### Instruction:\n{row['instruction']}\n\n" + (
        f"### Input:\n{row['input']}\n\n" if row["input"] else ""
    )
    return f"{asked}### Response:\n{row['output']}"


def gsm8k_text(row: dict) -> str:
    """gsm8k: question and worked answer, its <<calculator>> marks kept as published."""
    return f"Question: {row['question']}\nAnswer: {row['answer']}"


def competition_text(row: dict) -> str:
    """competition_math: problem and solution."""
    return f"Problem: {row['problem']}\nSolution: {row['solution']}"


def article_text(row: dict) -> str:
    """wikipedia: title, blank line, text."""
    return f"{row['title']}\n\n{row['text']}"


def news_text(row: dict) -> str:
    """cnn_dailymail: the article, then its highlights."""
    return f"{row['article']}\n\nHighlights: {row['highlights']}"


def plain_text(row: dict) -> str:
    return row["text"]


@dataclasses.dataclass(frozen=True)
class Source:
    """One data set: where it lies on the Hub (id, configuration, split) and below a data root, and its text format."""

    name: str
    domain: str
    hub: tuple[str, str | None, str]
    files: tuple[str, ...]
    columns: tuple[str, ...]
    text: Callable[[dict], str]


# Homes in parquet or JSON, for datasets 5 runs no loading scripts. Where an original is gone, the next best:
#   code_search_net   the original, converted to parquet; fallback claudios/code_search_net (same columns).
#   CodeAlpaca-20k    the original, one JSON file; fallback zhan1993/code_alpaca_20k (parquet, same columns).
#   gsm8k, wikipedia, cnn_dailymail   the originals under their owners' names, parquet.
#   competition_math  hendrycks/competition_math was taken down in January 2025 (DMCA notice). This copy keeps
#                     its columns and its 7,500 training rows apart from the 5,000 for testing. Fallbacks:
#                     qwedsacf/competition_math (all 12,500 rows in one split, the test rows too) and
#                     EleutherAI/hendrycks_math (seven configurations, one a subject).
#   fiction           the paper names none. TinyStories: parquet, CDLA-Sharing, fiction throughout, but short and
#                     machine-written; fallback for human prose: sedthh/gutenberg_english (column TEXT, whole
#                     books, not all of them fiction).
SOURCES = (
    Source(
        "code_search_net_python",
        "code",
        ("code-search-net/code_search_net", "python", "train"),
        ("code_search_net/python.jsonl",),
        ("whole_func_string",),
        function_text,
    ),
    Source(
        "code_search_net_javascript",
        "code",
        ("code-search-net/code_search_net", "javascript", "train"),
        ("code_search_net/javascript.jsonl",),
        ("func_documentation_string", "whole_func_string"),
        commented_text,
    ),
    Source(
        "codealpaca",
        "code",
        ("sahil2801/CodeAlpaca-20k", None, "train"),
        ("codealpaca/code_alpaca_20k.json", "codealpaca/code_alpaca_2k.json"),
        ("instruction", "input", "output"),
        alpaca_text,
    ),
    Source(
        "gsm8k",
        "math",
        ("openai/gsm8k", "main", "train"),
        ("gsm8k/train.jsonl",),
        ("question", "answer"),
        gsm8k_text,
    ),
    Source(
        "competition_math",
        "math",
        ("DigitalLearningGmbH/MATH-lighteval", "default", "train"),
        ("competition_math/train.jsonl",),
        ("problem", "solution"),
        competition_text,
    ),
    Source(
        "wikipedia",
        "natural",
        ("wikimedia/wikipedia", "20231101.en", "train"),
        ("wikipedia/train.jsonl", "wikipedia/wikitext2_raw_test.txt"),
        ("title", "text"),
        article_text,
    ),
    Source(
        "cnn_dailymail",
        "natural",
        ("abisee/cnn_dailymail", "3.0.0", "train"),
        ("cnn_dailymail/train.jsonl", "cnn_dailymail/wikinews_gum.jsonl"),
        ("article", "highlights"),
        news_text,
    ),
    Source(
        "fiction",
        "creative",
        ("roneneldan/TinyStories", None, "train"),
        ("creative/train.jsonl", "creative/standardebooks.jsonl"),
        ("text",),
        plain_text,
    ),
)


def select_sources(domains: Iterable[str]) -> list[Source]:
    return [s for d in domains for s in SOURCES if s.domain == d]


def local_file(source: Source, root: str) -> pathlib.Path:
    """The first of the source's files that exists below root."""
    for name in source.files:
        if (file := pathlib.Path(root) / name).is_file():
            return file
    raise FileNotFoundError(
        f"data root {root}: none of {', '.join(source.files)} is there, expected {source.name}'s rows"
    )


def check_sources(domains: Iterable[str], root: str | None) -> None:
    """Cheap refusal of missing files and columns below root, before anything long starts."""
    if root == EMBEDDED:
        return
    for source in select_sources(domains) if root else ():
        next(
            iter(
                _checked(
                    source,
                    _rows(local_file(source, root)),
                    str(local_file(source, root)),
                )
            )
        )


def read_texts(source: Source, root: str | None, limit: int) -> list[str]:
    """The source's texts in order, at most `limit`: from files below root, or streamed from the Hub without one."""
    if root:
        file = local_file(source, root)
        found = _checked(source, _rows(file), str(file))
    else:
        found = _checked(source, _hub_rows(source), f"data set {source.hub[0]}")
    return [source.text(row) for row in itertools.islice(found, limit)]


def _checked(source: Source, rows: Iterable[dict], where: str):
    """Rows, at least one, each with text in the source's columns."""
    number = 0
    for number, row in enumerate(rows, 1):
        found = row if isinstance(row, dict) else {}
        for column in source.columns:
            if not isinstance(found.get(column), str):
                wrong = (
                    f"holds {found[column]!r:.40}" if column in found else "is missing"
                )
                raise ValueError(
                    f"{where}, row {number}: column {column!r} {wrong} "
                    f"(found {', '.join(found) or 'no columns'}), expected text in {', '.join(source.columns)}"
                )
        yield row
    if not number:
        raise ValueError(f"{where}: no rows, expected those of {source.name}")


def _rows(file: pathlib.Path):
    """Rows of a .jsonl, a .json list, or a WikiText .txt cut at its top-level headings."""
    if file.suffix == ".jsonl":
        with file.open(encoding="utf-8") as lines:
            yield from (
                _parsed(line, f"{file} line {n}")
                for n, line in enumerate(lines, 1)
                if line.strip()
            )
    elif file.suffix == ".json":
        rows = _parsed(file.read_text(encoding="utf-8"), str(file))
        if not isinstance(rows, list):
            raise ValueError(
                f"{file}: a JSON {type(rows).__name__}, expected a list of rows"
            )
        yield from rows
    else:
        parts = re.split(_TITLE, file.read_text(encoding="utf-8"))
        yield from (
            {"title": t.strip(), "text": body.strip()}
            for t, body in zip(parts[1::2], parts[2::2])
        )


def _parsed(text: str, where: str):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error})") from error


def _hub_rows(source: Source):
    """Rows streamed from the Hub; whatever goes wrong, at the start or on the way, is one line with the id."""
    name, config, split = source.hub
    try:
        import datasets  # here alone, for it takes most of a second

        yield from datasets.load_dataset(name, config, split=split, streaming=True)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"data set {name}: the Hub did not give it ({reason}); use --data_root for local files"
        ) from error


@dataclasses.dataclass(frozen=True)
class Tokenized:
    """One source as token ids: example i is tokens[offsets[i]:offsets[i + 1]] (memory-mapped int32, int64).

    hash: of the texts, the tokenizer and the length.
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
    """Tokenized sources by domain."""

    domains: dict[str, dict[str, Tokenized]]

    @property
    def sizes(self) -> dict[str, dict[str, int]]:
        return {
            d: {name: len(t) for name, t in by_name.items()}
            for d, by_name in self.domains.items()
        }

    @property
    def hashes(self) -> dict[str, str]:
        """What was read, by source: equal hashes mean equal token ids."""
        return {
            name: t.hash
            for by_name in self.domains.values()
            for name, t in by_name.items()
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
        """The batch of one optimizer step and its used rows: a pure function of (seed, step). read: the rows whose tokens are needed here."""
        every = {
            name: t for by_name in self.domains.values() for name, t in by_name.items()
        }
        chosen = [
            every[name][index]
            for name, index in mix.draw_batch(mixture, self.sizes, seed, step, examples)
        ]
        return (batches.pack if packing else batches.pad)(
            chosen, length, examples, read
        )


def load_corpus(
    domains: Iterable[str],
    tokenizer: tokens.Tokenizer,
    length: int,
    root: str | None = None,
    limit: int = 50_000,
    cache: pathlib.Path | None = None,
    progress: bool = False,
) -> Corpus:
    """Tokenizes each source once (cached by tokenizer, length and texts) and maps it.

    A source read from the Hub once is not asked for again: later runs use its cache, also without a network.
    An example is the tokenizer's own encoding, cut at `length` tokens, with eos appended where it
    was not cut. root: a folder of local files, "embedded" for text every Python carries, None for the Hub.
    """
    cache = (
        cache
        or pathlib.Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
        / "jaxent"
    )
    found: dict[str, dict[str, Tokenized]] = {}
    for domain in domains:
        if not root:
            found[domain] = {
                s.name: _from_hub(s, limit, tokenizer, length, cache, progress)
                for s in select_sources([domain])
            }
            continue
        if root == EMBEDDED:
            named = {f"embedded_{domain}": embedded.split(domain)[0][:limit]}
        else:
            named = {
                s.name: read_texts(s, root, limit) for s in select_sources([domain])
            }
        found[domain] = {
            n: _tokenized(n, t, tokenizer, length, cache, progress)
            for n, t in named.items()
        }
    return Corpus(found)


def _from_hub(source: Source, limit, tokenizer, length, cache, progress) -> Tokenized:
    """The source's cached arrays if this request was answered before, else streamed, tokenized and remembered."""
    request = hashlib.sha256(
        f"{source.hub} {source.text.__name__} {limit} {tokenizer.hash} {length}".encode()
    )
    answer = cache / f"{source.name}-hub-{request.hexdigest()[:16]}"
    if answer.is_file() and (cache / answer.read_text()).is_dir():
        return _open(cache / answer.read_text())
    tokenized = _tokenized(
        source.name, read_texts(source, None, limit), tokenizer, length, cache, progress
    )
    partial = answer.with_name(f"{answer.name}.partial-{os.getpid()}")
    partial.write_text(f"{source.name}-{tokenized.hash}")
    os.replace(partial, answer)
    return tokenized


def _tokenized(name, found: list[str], tokenizer, length, cache, progress) -> Tokenized:
    digest = hashlib.sha256(f"{tokenizer.hash} {length}".encode())
    for text in found:
        digest.update(hashlib.sha256(text.encode()).digest())
    folder = cache / f"{name}-{digest.hexdigest()[:16]}"
    if not folder.is_dir():
        _write(folder, name, found, tokenizer, length, progress)
    return _open(folder)


def _open(folder: pathlib.Path) -> Tokenized:
    arrays = (
        np.load(folder / "tokens.npy", mmap_mode="r"),
        np.load(folder / "offsets.npy"),
    )
    return Tokenized(*arrays, folder.name.rpartition("-")[2])


def _write(folder, name, found, tokenizer, length, progress) -> None:
    """The source's arrays, under a temporary name until complete."""
    pieces, bar = (
        [],
        tqdm.tqdm(
            total=len(found), desc=f"tokenize {name}", disable=not progress, leave=False
        ),
    )
    for start in range(0, len(found), _BATCH):
        for ids in tokenizer.encode(found[start : start + _BATCH]):
            ids = [*ids, tokenizer.eos_id][:length]
            if len(ids) >= 2:
                pieces.append(np.array(ids, np.int32))
        bar.update(min(_BATCH, len(found) - start))
    bar.close()
    if not pieces:
        raise ValueError(f"{name}: no text of two tokens or more among {len(found)}")
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    np.save(partial / "tokens.npy", np.concatenate(pieces))
    np.save(partial / "offsets.npy", np.cumsum([0, *map(len, pieces)]))
    try:
        partial.rename(folder)
    except OSError:  # another process was first
        if not folder.is_dir():
            raise
