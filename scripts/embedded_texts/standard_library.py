"""Cuts definitions and documentation out of the sources of Python's standard library.

Sources are read and parsed, never executed.
"""

import ast
import dataclasses
import pathlib
import textwrap
import tokenize
import warnings
from collections.abc import Iterator

from embedded_texts import passages

CODE_LINES = (10, 60)  # of a definition that is taken whole
_SKIPPED = frozenset(
    [
        "test",
        "tests",
        "idle_test",
        "lib2to3",
        "idlelib",
        "pydoc_data",
        "encodings",
        "turtledemo",
        "site-packages",
        "dist-packages",
        "__pycache__",
    ]
)
_SKIPPED_PREFIXES = ("_sysconfigdata", "config-")

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclasses.dataclass(frozen=True)
class Source:
    """One file of the library.

    Attributes:
        module: Its dotted path below the library's folder.
        text: Its text.
        tree: Its syntax tree.
    """

    module: str
    text: str
    tree: ast.Module


def read_sources(root: pathlib.Path) -> list[Source]:
    """Every source below `root` in the order of the paths.

    Tests, tables, installed packages and files that do not parse are left out.

    Raises:
        FileNotFoundError: There is no source file.
    """
    paths = [path.relative_to(root) for path in _python_files(root)]
    if not paths:
        raise FileNotFoundError(
            f"standard library sources: found no .py files in {root}, expected a normal"
            " Python installation (a zipped or stripped one has no sources)"
        )
    sources = []
    for path in sorted(paths, key=pathlib.Path.as_posix):
        text = _parsable_text(root / path)
        if text is not None:
            module = ".".join(path.with_suffix("").parts)
            sources.append(Source(module, text, _parse(text)))
    return sources


def _python_files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name in _SKIPPED or entry.name.startswith(_SKIPPED_PREFIXES):
            continue
        if entry.is_dir():
            yield from _python_files(entry)
        elif entry.suffix == ".py":
            yield entry


def _parsable_text(path: pathlib.Path) -> str | None:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        _parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return None
    return text


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def iter_code(source: Source) -> Iterator[passages.Passage]:
    """The source's definitions of 10 to 60 lines; a longer class gives its members.

    The family is the name of the top-level definition.
    """
    lines = source.text.splitlines()
    for node in source.tree.body:
        if isinstance(node, _Definition):
            for text in _cut(lines, node):
                yield passages.Passage(node.name, text)


def _cut(lines: list[str], node: _Definition) -> Iterator[str]:
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)]) - 1
    own_lines = lines[start : node.end_lineno]
    if CODE_LINES[0] <= len(own_lines) <= CODE_LINES[1]:
        text = textwrap.dedent("\n".join(own_lines))
        # A string at the margin keeps some members from being dedented.
        if not text[0].isspace():
            yield text
    elif len(own_lines) > CODE_LINES[1] and isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, _Definition):
                yield from _cut(lines, member)


def iter_docstrings(source: Source) -> Iterator[passages.Passage]:
    """The module's docstring, then those of each top-level definition and its members.

    The family is the module, or the name of the top-level definition.
    """
    if text := ast.get_docstring(source.tree):
        yield passages.Passage(source.module, text)
    for top in source.tree.body:
        if isinstance(top, _Definition):
            members = [node for node in top.body if isinstance(node, _Definition)]
            texts = [ast.get_docstring(node) for node in (top, *members)]
            yield passages.Passage(top.name, "\n\n".join(filter(None, texts)))
