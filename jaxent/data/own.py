"""One's own data: a file, a folder or a data set of the Hub, and its columns."""

import collections
import dataclasses
import functools
import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from jaxent.data import chat, examples, rows, tokens

CONDITION = "own"  # of runs on data of one's own, beside B0 to B6
DATASET = "own"  # the domain of --dataset
COLUMNS = ("text_column", "prompt_column", "completion_column", "messages_column")
OPTIONS = (*COLUMNS, "loss_on", "revision")
# The columns that TRL finds by their names: a data set has those of one line.
_DEFAULTS: tuple[dict[str, str], ...] = (
    {"messages_column": "messages"},
    {"prompt_column": "prompt", "completion_column": "completion"},
    {"text_column": "text"},
)
_TEXTS = (".txt",)
_FILES = (*rows.TABLES, *_TEXTS)
_HUB = re.compile(r"([\w.-]+/[\w.-]+)(?::([\w.-]+))?")
_OTHER_SPLIT = re.compile(
    r"(?:^|[^a-z])(test|testing|validation|valid|val|dev|eval|evaluation)(?:[^a-z]|$)"
)


@dataclasses.dataclass(frozen=True)
class OwnSource:
    """Where the texts of one domain are, and which columns they are made of.

    Without columns the first row decides: messages, prompt and completion, or text.

    Attributes:
        domain: Its name in mixtures.
        path: A file, a folder, or a Hub id with or without ":config".
        text_column: The column of texts.
        prompt_column: The column of prompts.
        completion_column: The column of what follows them.
        messages_column: The column of conversations.
        loss_on: "all" or "completion"; None: the completion or the assistant's turns
            where there are any, else all.
        revision: Branch, tag or commit of a data set of the Hub.
    """

    domain: str
    path: str
    text_column: str | None = None
    prompt_column: str | None = None
    completion_column: str | None = None
    messages_column: str | None = None
    loss_on: str | None = None
    revision: str | None = None

    def __post_init__(self):
        where = f"domain {self.domain}"
        if not re.fullmatch(r"\w[\w-]*", self.domain):
            raise ValueError(f"{where!r}: expected letters, digits, _ and -")
        if self.loss_on not in (None, *examples.LOSS_ON):
            raise ValueError(
                f"{where}: loss_on {self.loss_on!r}, expected one of"
                f" {', '.join(examples.LOSS_ON)}"
            )
        named = [name for name in COLUMNS if getattr(self, name)]
        if named and named not in [list(default) for default in _DEFAULTS]:
            raise ValueError(
                f"{where}: found {' and '.join(named)}, expected text_column, or"
                " prompt_column and completion_column, or messages_column"
            )
        if self.loss_on == "completion" and self.text_column:
            raise ValueError(
                f"{where}: loss_on=completion with text_column, expected"
                " prompt_column and completion_column, or messages_column"
            )

    @property
    def name(self) -> str:
        """The source's name in a corpus."""
        return f"own_{self.domain}"

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are named, by the flag that names them."""
        pairs = ((name, getattr(self, name)) for name in COLUMNS)
        return {name: column for name, column in pairs if column}

    @property
    def hub_id(self) -> tuple[str, str | None] | None:
        """The Hub id and its configuration; None where `path` is on this machine."""
        path = pathlib.Path(self.path).expanduser()
        match = _HUB.fullmatch(self.path)
        if path.exists() or not match or path.suffix.lower() in _FILES:
            return None
        return match[1], match[2]


def parse_domain(text: str, **defaults: str | None) -> OwnSource:
    """The source of a --domain flag.

    Args:
        text: "name=path", then ",option=value" for each of `OPTIONS` that is not the
            default.
        **defaults: Options of domains that name no column of their own.

    Returns:
        The source.

    Raises:
        ValueError: It has another form, or its options do not fit each other.

    Example:
        >>> parse_domain("law=law.jsonl,text_column=body").columns
        {'text_column': 'body'}
    """
    domain, equals, rest = text.partition("=")
    path, *options = re.split(rf",(?=(?:{'|'.join(OPTIONS)})=)", rest)
    if not (equals and domain and path):
        raise ValueError(
            f"--domain {text!r}: expected NAME=PATH, then ,OPTION=VALUE of"
            f" {', '.join(OPTIONS)}"
        )
    given = dict(option.split("=", 1) for option in options)
    if set(given) & set(COLUMNS):
        defaults = {k: v for k, v in defaults.items() if k not in COLUMNS}
    return OwnSource(domain, path, **{**defaults, **given})


def find_files(path: pathlib.Path) -> list[pathlib.Path]:
    """The files of a path: itself, or those of a folder.

    Args:
        path: A file, or a folder of tables of one kind or, where there are none, of
            .txt files.

    Returns:
        The files, sorted by name.

    Raises:
        FileNotFoundError: There is no such path.
        ValueError: The folder has no such file, several kinds, or splits besides the
            one for training.
    """
    if path.is_file():
        if path.suffix.lower() not in _FILES:
            raise ValueError(f"{path}: expected a file of {', '.join(_FILES)}")
        return [path]
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path}: no such file or folder, and not a Hub id of the form owner/name"
            " or owner/name:config"
        )
    below = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    kinds = collections.Counter(file.suffix.lower() for file in below)
    tables = [kind for kind in rows.TABLES if kinds[kind]]
    wanted = tables or [kind for kind in _TEXTS if kinds[kind]]
    if len(wanted) != 1:
        found = ", ".join(
            f"{n} {kind or 'without suffix'}" for kind, n in kinds.items()
        )
        raise ValueError(
            f"{path}: found {found or 'no files'}, expected files of one of"
            f" {', '.join(_FILES)}"
        )
    files = [file for file in below if file.suffix.lower() == wanted[0]]
    _refuse_other_splits(path, files)
    return files


def _refuse_other_splits(path: pathlib.Path, files: Sequence[pathlib.Path]) -> None:
    """ValueError where some files of a folder are named as a test split."""
    names = [str(file.relative_to(path)) for file in files]
    other = [name for name in names if _OTHER_SPLIT.search(name.lower())]
    if other and len(other) < len(names):
        raise ValueError(
            f"{path}: {other[0]} is named as another split than the one for training;"
            " expected the files to train on: name one, or a folder of them"
        )


def iter_rows(source: OwnSource) -> Iterator[Any]:
    """The rows of a source, as they are in its files or on the Hub.

    Raises:
        FileNotFoundError: There is nothing at its path.
        ValueError: A file is damaged or none of those that are read.
    """
    if hub := source.hub_id:
        yield from rows.read_hub(*hub, "train", source.revision)
        return
    if source.revision:
        raise ValueError(
            f"domain {source.domain}: revision {source.revision!r} of {source.path},"
            " expected a data set of the Hub"
        )
    for file in find_files(pathlib.Path(source.path).expanduser()):
        yield from rows.read_table(file)


@functools.lru_cache(maxsize=64)
def resolve(source: OwnSource) -> OwnSource:
    """The source with its columns and its loss decided, after its first row.

    Args:
        source: A source.

    Returns:
        The same with columns and loss_on.

    Raises:
        FileNotFoundError: There is nothing at its path.
        ValueError: It has no row, or its first row lacks a column.
    """
    first = next(iter_rows(source), None)
    if first is None:
        raise ValueError(f"{source.path}: no rows, expected those of {source.domain}")
    if not source.columns:
        source = dataclasses.replace(source, **_default_columns(source, first))
    loss_on = source.loss_on or ("all" if source.text_column else "completion")
    source = dataclasses.replace(source, loss_on=loss_on)
    next(_check_records([first], source))
    return source


def _default_columns(source: OwnSource, row: Any) -> dict[str, str]:
    """The columns of the one form whose usual names a row has."""
    names = list(row) if isinstance(row, dict) else []
    fitting = [d for d in _DEFAULTS if all(name in names for name in d.values())]
    if len(fitting) != 1:
        raise ValueError(
            f"{source.path}: found the columns {', '.join(names) or 'none'}; name"
            " those to train on by --text_column, --prompt_column and"
            " --completion_column, or --messages_column"
        )
    return fitting[0]


def form_of(source: OwnSource) -> str:
    """Which of `examples.FORMS` the records of a resolved source have."""
    if source.messages_column:
        return "messages"
    return "text" if source.text_column else "pair"


def make_encoder(
    source: OwnSource, tokenizer: tokens.Tokenizer, length: int
) -> examples.Encoder:
    """How the records of a resolved source become examples.

    Args:
        source: What `resolve` gave.
        tokenizer: The model's tokenizer.
        length: Tokens an example at most.

    Returns:
        The encoder.
    """
    loss_on = source.loss_on or "all"
    return examples.Encoder(tokenizer, length, form_of(source), loss_on)


def read_records(source: OwnSource, limit: int | None = None) -> Iterator[Any]:
    """The records of a resolved source, each checked as it passes.

    Args:
        source: What `resolve` gave.
        limit: Rows at most; None: all.

    Yields:
        Texts, (prompt, completion) pairs or lists of messages.

    Raises:
        ValueError: A row lacks a column, or holds no text in it.
    """
    yield from _check_records(itertools.islice(iter_rows(source), limit), source)


def _check_records(raw_rows, source: OwnSource) -> Iterator[Any]:
    """The records that a resolved source's rows hold."""
    columns = tuple(source.columns.values())
    if not source.messages_column:
        for row in rows.check_columns(raw_rows, columns, source.path, source.domain):
            values = tuple(row[column] for column in columns)
            yield values if len(values) == 2 else values[0]
        return
    for number, row in enumerate(raw_rows, 1):
        names = list(row) if isinstance(row, dict) else []
        where = f"{source.path}, row {number}: column {columns[0]!r}"
        if columns[0] not in names:
            raise ValueError(
                f"{where} is missing (found {', '.join(names) or 'no columns'}),"
                " expected lists of messages"
            )
        try:
            yield chat.check_messages(row[columns[0]])
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
