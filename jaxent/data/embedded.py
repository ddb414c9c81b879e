"""Text every Python installation carries, or that this project writes itself, in the four domains.

code:     functions and classes cut from the standard library's own sources;
natural:  paragraphs of the language reference (`pydoc_data.topics`) and docstrings, as prose;
math:     generated word problems (`word_problems`);
creative: short stories of our own (`embedded/stories.txt`) and generated tales (`tales`).

Nothing is downloaded, cached on disk or executed: sources are read and parsed. The same Python
installation gives the same examples in the same order; math and creative do not depend on it.
"""

import ast
import dataclasses
import functools
import hashlib
import importlib
import pathlib
import re
import sysconfig
import textwrap
import tokenize
import warnings
from collections.abc import Iterable, Iterator

from jaxent.data import tales, word_problems

DOMAINS = ("code", "math", "natural", "creative")
MATH_EXAMPLES = 9000
TALES = 2200
HELD_OUT_PERCENT = 5
CODE_LINES = (10, 60)
PROSE_WORDS = (40, 180)

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
        "_sysconfigdata",
    ]
)
_STORIES = pathlib.Path(__file__).with_name("embedded") / "stories.txt"


@dataclasses.dataclass(frozen=True)
class Passage:
    """One example and the key of the family of near-duplicates it belongs to."""

    family: str
    text: str


@dataclasses.dataclass(frozen=True)
class Library:
    """What is cut from the standard library's files: definitions, and runs of documentation."""

    code: tuple[Passage, ...]
    documents: tuple[Passage, ...]


def examples(domain: str) -> list[str]:
    """The embedded texts of one domain: "code", "math", "natural" or "creative".

    Returns distinct, non-empty strings in a fixed order (several thousand a domain). Raises
    ValueError for another domain and FileNotFoundError where this Python has no library sources.
    """
    return [passage.text for passage in _passages(domain)]


def split(domain: str) -> tuple[list[str], list[str]]:
    """`examples(domain)` parted into (train, held_out), about 95 to 5, by a hash of the family.

    A family never crosses the split: what is cut from one class, or from functions of one name in
    several modules, with their docstrings in `natural`; problems that differ only in their numbers; tales with
    one plot. Raises as `examples` does.
    """
    train, held_out = [], []
    for passage in _passages(domain):
        side = held_out if _bucket(passage.family) < HELD_OUT_PERCENT else train
        side.append(passage.text)
    return train, held_out


@functools.cache
def _passages(domain: str) -> tuple[Passage, ...]:
    if domain == "code":
        return _distinct(_installed().code)
    if domain == "math":
        return _distinct(_math())
    if domain == "natural":
        return _distinct(_natural())
    if domain == "creative":
        return _distinct(_creative())
    raise ValueError(f"domain: found {domain!r}, expected one of {', '.join(DOMAINS)}")


def _distinct(passages: Iterable[Passage]) -> tuple[Passage, ...]:
    first = {}
    for passage in passages:
        first.setdefault(" ".join(passage.text.split()), passage)
    return tuple(first.values())


def _bucket(family: str) -> int:
    digest = hashlib.blake2b(family.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100


# ---- math and creative


def _math() -> Iterator[Passage]:
    for problem in word_problems.generate(MATH_EXAMPLES, seed=0):
        text = problem.text()
        yield Passage(re.sub(r"\d+", "#", text), text)


def _creative() -> Iterator[Passage]:
    for story in _STORIES.read_text(encoding="utf-8").split("\n***\n"):
        yield Passage(story.strip(), story.strip())
    for tale in tales.generate(TALES, seed=0):
        yield Passage(tale.plot, tale.text)


# ---- the standard library's sources


def _installed() -> Library:
    return library(pathlib.Path(sysconfig.get_paths()["stdlib"]))


@functools.cache
def library(root: pathlib.Path) -> Library:
    """Reads every source file under `root` but tests, tables and installed packages, in sorted order.

    Raises FileNotFoundError where there is none. Files that do not parse are passed over.
    """
    paths = sorted(
        (p.relative_to(root) for p in _python_files(root)), key=lambda p: p.as_posix()
    )
    if not paths:
        raise FileNotFoundError(
            f"standard library sources: found no .py files in {root}, expected a normal Python"
            " installation (a zipped or stripped one has no text to embed)"
        )
    code, documents = [], []
    for path in paths:
        if (source := _parse(root / path)) is not None:
            lines, tree = source
            code.extend(_definitions(lines, tree))
            documents.extend(_documents(".".join(path.with_suffix("").parts), tree))
    return Library(tuple(code), tuple(documents))


def _python_files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.name in _SKIPPED or entry.name.startswith(
            ("_sysconfigdata", "config-")
        ):
            continue
        if entry.is_dir():
            yield from _python_files(entry)
        elif entry.suffix == ".py":
            yield entry


def _parse(path: pathlib.Path) -> tuple[list[str], ast.Module] | None:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return text.splitlines(), ast.parse(text)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return None


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _definitions(lines: list[str], tree: ast.Module) -> Iterator[Passage]:
    for node in tree.body:
        if isinstance(node, _DEFINITIONS):
            for text in _cut(lines, node):
                yield Passage(node.name, text)


def _cut(lines: list[str], node: ast.stmt) -> Iterator[str]:
    """The definition itself where its length fits, else those of a long class's members that do."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    length = node.end_lineno - first + 1
    if CODE_LINES[0] <= length <= CODE_LINES[1]:
        text = textwrap.dedent("\n".join(lines[first - 1 : node.end_lineno]))
        if not text[
            0
        ].isspace():  # a string at the margin keeps some members from being dedented
            yield text
    elif length > CODE_LINES[1] and isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, _DEFINITIONS):
                yield from _cut(lines, member)


def _documents(module: str, tree: ast.Module) -> Iterator[Passage]:
    """The docstring of the module, and those of each top-level definition and its members together."""
    if text := ast.get_docstring(tree):
        yield Passage(module, text)
    for top in tree.body:
        if isinstance(top, _DEFINITIONS):
            nodes = [top, *(n for n in top.body if isinstance(n, _DEFINITIONS))]
            yield Passage(
                top.name, "\n\n".join(filter(None, map(ast.get_docstring, nodes)))
            )


# ---- natural language


def _natural() -> Iterator[Passage]:
    seen: set[str] = set()
    for _, text in sorted(_topics().items()):
        for run in _prose(text, seen):
            yield Passage(run, run)
    for document in _installed().documents:
        for run in _prose(document.text, seen):
            yield Passage(document.family, run)


def _topics() -> dict[str, str]:
    try:
        return importlib.import_module("pydoc_data.topics").topics
    except ModuleNotFoundError as error:
        raise FileNotFoundError(
            "pydoc_data.topics: found no such module, expected a normal Python installation"
        ) from error


def _prose(text: str, seen: set[str]) -> Iterator[str]:
    """The plain paragraphs of a reStructuredText-like text not in `seen`, in runs of 40 to 180 words."""
    low, high = PROSE_WORDS
    run: list[str] = []
    for paragraph in filter(_is_prose, map(_flatten, _blocks(text))):
        if paragraph in seen:
            continue
        seen.add(paragraph)
        if run and _words(run) + len(paragraph.split()) > high:
            if _words(run) >= low:
                yield "\n\n".join(run)
            run = []
        run.append(paragraph)
    if _words(run) >= low:
        yield "\n\n".join(run)


def _words(paragraphs: list[str]) -> int:
    return sum(len(paragraph.split()) for paragraph in paragraphs)


def _blocks(text: str) -> Iterator[str]:
    """Blank-line separated blocks without doctests, and without the literal block after a `::`."""
    literal = False
    margin = 0
    for block in re.split(r"\n[ \t]*\n", text.expandtabs().strip("\n")):
        indent = len(block) - len(block.lstrip(" "))
        if literal and indent > margin:
            continue
        margin, literal = indent, block.rstrip().endswith("::")
        if ">>>" not in block and "::=" not in block and not _is_table(block):
            yield block


def _is_table(block: str) -> bool:
    return any(
        re.search(r"\S {3,}\S|\S--? {2,}|[-=*+|~]{4,}\s*$|^\s*[|+]", line)
        for line in block.splitlines()
    )


def _flatten(block: str) -> str:
    """One line, without emphasis, literals, roles and bullets."""
    text = " ".join(block.split())
    text = re.sub(r"^(?:[-*+o•]|\d+[.)]|\(\d+\)) ", "", text)
    text = re.sub(r":[a-z:]+:`([^`]*)`", r"\1", text)
    text = re.sub(
        r"``([^`]*)``|`([^`]*)'|`([^`]*)`_*", lambda m: m[1] or m[2] or m[3] or "", text
    )
    text = re.sub(r"(?<!\w)\*{1,2}([A-Za-z_][^*]*)\*{1,2}(?!\w)", r"\1", text)
    return re.sub(r"::$", ":", text)


def _is_prose(paragraph: str) -> bool:
    """Sentences: starts upper-case, ends as a sentence does, mostly letters, eight words or more."""
    words = paragraph.split()
    if (
        len(words) < 8
        or not re.match(r'["\'(]?[A-Z]', paragraph)
        or paragraph[-1] not in ".:!?)\"'"
    ):
        return False
    plain = sum(
        bool(re.fullmatch(r"[\"'(]?[A-Za-z]+(?:['’-][A-Za-z]+)*[\"')]?[.,;:!?]*\)?", w))
        for w in words
    )
    return plain >= 0.7 * len(words)
