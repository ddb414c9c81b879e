"""Rows of data sets, from local files or from the Hub, with their columns checked."""

import csv
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from jaxent import json_files

# WikiText's " = Title = ". A capitalised word tells it from a formula such as
# " = 1 rad / s = ".
_TITLE = re.compile(
    r"^ = ((?=[^=\n]*\b[^\W\d_a-z]\w)[^=\n]+) = *\n", flags=re.MULTILINE
)


TABLES = (".jsonl", ".json", ".parquet", ".csv", ".tsv")
"""The kinds of files that hold rows with columns."""


def read_table(file: pathlib.Path) -> Iterator[Any]:
    """The rows of a file of one's own data.

    Values stay what the file says they are: no type is guessed. A cell of a .csv or
    .tsv file is always text, so that 007, 1e5, NA and 2024-01-02 stay as written.

    Args:
        file: A file of `TABLES`, or a .txt file, which is one text.

    Yields:
        The rows; a .txt file's is {"text": ...}.

    Raises:
        ValueError: The file is damaged.
    """
    kind = file.suffix.lower()
    if kind == ".parquet":
        yield from _read_parquet(file)
    elif kind in (".csv", ".tsv"):
        yield from _read_csv(file, "\t" if kind == ".tsv" else ",")
    elif kind in TABLES:
        yield from read_file(file)
    else:
        yield {"text": json_files.read_text(file)}


def _read_parquet(file: pathlib.Path) -> Iterator[dict]:
    """Rows, a batch of them in memory at a time."""
    import pyarrow
    import pyarrow.parquet  # here alone, because it takes a quarter of a second

    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{file}: not a parquet file ({reason})") from error


def _read_csv(file: pathlib.Path, delimiter: str) -> Iterator[dict]:
    """Rows by the names of the first line, every value a str."""
    csv.field_size_limit(sys.maxsize)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        table = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            names = next(table, [])
            if len(set(names)) != len(names):
                raise ValueError(f"{file}: expected different columns, found {names}")
            for values in filter(None, table):  # blank lines are none
                if len(values) != len(names):
                    raise ValueError(
                        f"{file} line {table.line_num}: {len(values)} values, expected"
                        f" {len(names)} ({', '.join(names)})"
                    )
                yield dict(zip(names, values))
        except csv.Error as error:
            raise ValueError(
                f"{file} line {table.line_num}: not CSV ({error})"
            ) from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{file}: not UTF-8 ({error.reason})") from error


def read_file(file: pathlib.Path) -> Iterator[Any]:
    """The rows of a file: .jsonl, .json (a list), or .txt (WikiText, an article a row).

    Args:
        file: The file, in UTF-8. NaN may stand in columns that nobody reads.

    Yields:
        What the file holds; `check_columns` checks that it is rows.

    Raises:
        ValueError: The file is damaged, or holds something else; the message names the
            line.
    """
    if file.suffix == ".jsonl":
        yield from json_files.read_json_lines(file, finite=False)
    elif file.suffix == ".json":
        yield from json_files.read_json(file, list, finite=False)
    else:
        parts = _TITLE.split(json_files.read_text(file))
        for title, body in zip(parts[1::2], parts[2::2]):
            yield {"title": title.strip(), "text": body.strip()}


def read_hub(
    name: str, config: str | None, split: str, revision: str | None = None
) -> Iterator[dict]:
    """The rows of a data set, streamed from the Hub.

    Args:
        name: Its id.
        config: Its configuration, if it has several.
        split: Its split.
        revision: Branch, tag or commit; None: its default branch.

    Yields:
        The rows.

    Raises:
        FileNotFoundError: The Hub did not give them, at the start or later; one line
            with the id.
    """
    try:
        import datasets  # here alone, because it takes most of a second

        yield from datasets.load_dataset(
            name, config, split=split, revision=revision, streaming=True
        )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FileNotFoundError(
            f"data set {name}: the Hub did not give it ({reason});"
            " use --data_root for local files"
        ) from error


def check_columns(
    rows: Iterable[Any], columns: tuple[str, ...], where: str, name: str
) -> Iterator[dict]:
    """The rows, each checked as it passes.

    Args:
        rows: The rows.
        columns: The columns that must hold text.
        where: The file or data set, for errors.
        name: The source, for errors.

    Yields:
        The rows.

    Raises:
        ValueError: A column is missing or holds no text, or there is no row.

    Example:
        >>> rows = [{"text": "one"}, {"title": "two"}]
        >>> list(check_columns(rows, ("text",), "a.jsonl", "x"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: a.jsonl, row 2: column 'text' is missing (found title), expected ...
    """
    number = 0
    for number, row in enumerate(rows, 1):
        values = row if isinstance(row, dict) else {}
        for column in columns:
            if isinstance(values.get(column), str):
                continue
            wrong = "is missing"
            if column in values:
                wrong = f"holds {values[column]!r:.40}"
            raise ValueError(
                f"{where}, row {number}: column {column!r} {wrong}"
                f" (found {', '.join(values) or 'no columns'}),"
                f" expected text in {', '.join(columns)}"
            )
        yield row
    if not number:
        raise ValueError(f"{where}: no rows, expected those of {name}")
