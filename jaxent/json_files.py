"""The one reader of JSON, JSON Lines and plain text.

Files are UTF-8, with or without a byte order mark. Lines end at a line feed and nowhere
else, as the JSON Lines format says: other separators, such as U+2028, belong to a text.
What cannot be read ends in one line that names file and place.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

_DEEPEST = 500  # levels; what reads the value later may go through it by recursion
_MOST_BITS = 1024  # a longer whole number is beyond every float
_SHOWN = 24  # characters of what was found
_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"  # the byte order mark, once decoded
_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}
_FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file (run git lfs pull)"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"PK\x03\x04", "a zip archive"),
)
"""How files begin that often come under another file's name, and what they are."""
_NEVER_JSON = ((b"PAR1", "a Parquet file"), (b"<", "a page of HTML or XML"))
"""The same of files that may well be some other text."""


class FileError(ValueError):
    """A file does not hold what it should.

    Attributes:
        problem: The message without the file's name.
    """

    def __init__(self, where: str, problem: str):
        super().__init__(f"{where}{problem}")
        self.problem = problem.lstrip(",: ")


def read_json(
    path: str | os.PathLike, kind: type | None = dict, finite: bool = True
) -> Any:
    """The value of a JSON file.

    Args:
        path: The file.
        kind: The type that the whole value must have; None: any.
        finite: Whether NaN and infinity are refused.

    Returns:
        The value.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: It cannot be read, is not JSON, or holds another type.

    Example:
        >>> import tempfile
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "config.json"
        >>> _ = file.write_text('{"heads": 4}')
        >>> read_json(file)
        {'heads': 4}
    """
    return parse_json(read_bytes(path), str(path), kind, finite)


def read_json_lines(
    path: str | os.PathLike,
    kind: type | None = dict,
    finite: bool = True,
    whole: bool = False,
) -> Iterator[Any]:
    """The values of a JSON Lines file; blank lines are passed over.

    Args:
        path: The file.
        kind: The type that every value must have; None: any.
        finite: Whether NaN and infinity are refused.
        whole: Whether what follows the last line feed is left out, as in a log whose
            writer may have been killed.

    Yields:
        The values.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: A line cannot be read, is not JSON, or holds another type.
    """
    for number, line in read_lines(path, whole):
        yield parse_json(line, str(path), kind, finite, number)


def read_lines(
    path: str | os.PathLike, whole: bool = False
) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, with their numbers from 1.

    Args:
        path: The file.
        whole: Whether what follows the last line feed is left out.

    Yields:
        (number, line).

    Raises:
        FileNotFoundError: There is no such file.
        FileError: It cannot be read.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip() and not (whole and not line.endswith(b"\n")):
                    yield number, line
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(str(path), f": cannot be read ({error.strerror})") from error


def read_text(path: str | os.PathLike) -> str:
    r"""The text of a file, with line ends as \n.

    Args:
        path: The file.

    Returns:
        The text.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: It cannot be read, or is not UTF-8.
    """
    return decode_text(read_bytes(path), str(path))


def decode_text(content: bytes, where: str) -> str:
    r"""Bytes as text, with line ends as \n.

    Args:
        content: The bytes.
        where: Their file, for errors.

    Returns:
        The text, without a byte order mark.

    Raises:
        FileError: They are not UTF-8.

    Example:
        >>> decode_text(b"\xef\xbb\xbfone\r\ntwo", "a.txt")
        'one\ntwo'
    """
    text = _decode(content, where, "", _FOREIGN)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_json(
    content: bytes | str,
    where: str,
    kind: type | None = dict,
    finite: bool = True,
    line: int | None = None,
) -> Any:
    """The value of a JSON text.

    Args:
        content: The text, or its bytes.
        where: Its file, for errors.
        kind: The type that the whole value must have; None: any.
        finite: Whether NaN and infinity are refused.
        line: The number of the line that the text is, if it is one line of a file.

    Returns:
        The value.

    Raises:
        FileError: It is not JSON, or of another type. A key that comes twice with two
            values, a character that is only half (a lone surrogate), a number of
            hundreds of digits and hundreds of levels are refused as well: libraries
            differ in what they make of those.

    Example:
        >>> parse_json('{"r": 8', "adapter_config.json")
        Traceback (most recent call last):
            ...
        jaxent.json_files.FileError: adapter_config.json, line 1: it ends within a value
    """
    place = "" if line is None else f", line {line}"
    if isinstance(content, bytes):
        content = _decode(content, where, place, _FOREIGN + _NEVER_JSON)
    text = content.removeprefix(_MARK)
    if not text.strip():
        raise FileError(where, f"{place}: empty, expected JSON")
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise FileError(where, _describe(error, line)) from error
    except RecursionError as error:
        problem = f"{place}: nested too deeply, expected {_DEEPEST} levels at most"
        raise FileError(where, problem) from error
    except ValueError as error:  # of `_unique`, or Python's on numbers
        reason = str(error) if isinstance(error, _RepeatedKeyError) else _LONG_NUMBER
        raise FileError(where, f"{place}: {reason}") from error
    if kind is not None and not isinstance(value, kind):
        found, expected = _NAMES[type(value)], _NAMES[kind]
        raise FileError(where, f"{place}: holds {found}, expected {expected}")
    fault = _find_problem(value, finite)
    if fault is not None:
        raise FileError(where, f"{place}: {fault}")
    return value


_LONG_NUMBER = "a number of hundreds of digits, expected one that a float can hold"


class _RepeatedKeyError(ValueError):
    """A key comes twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of the pairs; a key may come again with the same value only."""
    value = dict(pairs)
    if len(value) < len(pairs):
        for key, earlier in pairs:
            if value[key] != earlier:
                raise _RepeatedKeyError(f"key {key!r} comes twice, with two values")
    return value


def read_bytes(path: str | os.PathLike) -> bytes:
    """The bytes of a file.

    Args:
        path: The file.

    Returns:
        Its bytes.

    Raises:
        FileNotFoundError: There is no such file.
        FileError: It cannot be read.
    """
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FileError(str(path), f": cannot be read ({error.strerror})") from error


def _decode(
    content: bytes, where: str, place: str, foreign: tuple[tuple[bytes, str], ...]
) -> str:
    """UTF-8 to text; what begins as another kind of file does is named as that."""
    for start, name in foreign:
        if content.startswith(start):
            raise FileError(where, f"{place}: {name}, expected text in UTF-8")
    if b"\0" in content[:2]:
        problem = "begins with a zero byte, expected text in UTF-8"
        raise FileError(where, f"{place}: {problem}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        number = 1 + content.count(b"\n", 0, error.start)
        problem = f"byte 0x{byte:02x} is not UTF-8, expected text in UTF-8"
        place = place or f", line {number}"
        raise FileError(where, f"{place}: {problem}") from error


def _describe(error: json.JSONDecodeError, line: int | None) -> str:
    """What is wrong with a JSON text, and where."""
    number = error.lineno if line is None else line
    rest = error.doc[error.pos :]
    if not rest.strip() or error.msg.startswith("Unterminated string"):
        return f", line {number}: it ends within a value"
    shown = rest.partition("\n")[0][:_SHOWN] or rest[:_SHOWN]
    return (
        f", line {number}: not JSON ({error.msg} at column {error.colno}),"
        f" found {shown!r}"
    )


def _find_problem(value: Any, finite: bool) -> str | None:
    """What a value holds that must not be there, by the names that lead to it."""
    waiting: list[tuple[Any, Any, int]] = [({"": value}, None, 0)]
    while waiting:
        parent, name, depth = waiting.pop()
        if depth > _DEEPEST:
            return f"nested too deeply, expected {_DEEPEST} levels at most"
        pairs = parent.items() if isinstance(parent, dict) else enumerate(parent)
        for key, item in pairs:
            if isinstance(key, str) and has_lone_surrogate(key):
                return f"key {key!r} holds half of a character (a lone surrogate)"
            if isinstance(item, dict | list):
                waiting.append((item, (key, name), depth + 1))
            elif problem := _find_fault(item, finite):
                return f"{_join((key, name))}{problem}"
    return None


def _find_fault(value: Any, finite: bool) -> str | None:
    """What is wrong with a string or a number."""
    if isinstance(value, str):
        if has_lone_surrogate(value):
            half = next(c for c in value if "\ud800" <= c <= "\udfff")
            return f"{half!r} is half of a character (a lone surrogate)"
    elif isinstance(value, float):
        if finite and not math.isfinite(value):
            return f"{value}, expected a finite number"
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return _LONG_NUMBER
    return None


def has_lone_surrogate(text: str) -> bool:
    r"""Whether a text holds half of a character, so that UTF-8 cannot hold it.

    Args:
        text: The text.

    Returns:
        Whether it does. Tokenizers refuse such a text.

    Example:
        >>> has_lone_surrogate("smile \ud83d"), has_lone_surrogate("\U0001f600")
        (True, False)
    """
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _join(name: Any) -> str:
    """The keys that lead to a value, outermost first, as a prefix."""
    keys = []
    while name is not None:
        keys.append(str(name[0]))
        name = name[1]
    inner = ".".join(reversed(keys[:-1]))  # the outermost is the value itself
    return f"{inner}: " if inner else ""
