"""Collects the copyright notices of the library files that the embedded texts quote."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator

from embedded_texts import standard_library

_HEADER = """\
Origin of the embedded texts
============================

code.jsonl and natural.jsonl quote the standard library and the language reference of
Python {version}, Copyright (c) 2001-2023 Python Software Foundation; All Rights
Reserved. They are under the licence in LICENSE-PYTHON.txt. Changes: code.jsonl holds
functions and classes cut out of their modules and dedented; natural.jsonl holds
paragraphs of the documentation without their markup, as one line each, joined to
passages.

math.jsonl, creative.jsonl and problems.jsonl are this project's own, under its licence.

Notices in the quoted modules
=============================
"""


def format_notice(version: str, sources: Iterable[standard_library.Source]) -> str:
    """The text of NOTICE.txt: the origin, then every notice with its modules.

    Args:
        version: The version of the quoted Python.
        sources: The quoted sources.

    Returns:
        The text, its last line ended.
    """
    modules: dict[str, list[str]] = {}
    for source in sources:
        for notice in iter_notices(source):
            modules.setdefault(notice, []).append(source.module)
    parts = [_HEADER.format(version=version)]
    for notice, names in modules.items():
        parts.append(f"{', '.join(names)}:\n\n{notice.strip()}\n")
    return "\n".join(parts)


def iter_notices(source: standard_library.Source) -> Iterator[str]:
    """The comments, docstring paragraphs and `__copyright__` that hold a notice."""
    for block in _iter_comment_blocks(source.text):
        if "copyright" in block.lower():
            yield block
    docstring = ast.get_docstring(source.tree) or ""
    if "copyright" in docstring.lower():
        for paragraph in docstring.split("\n\n"):
            if re.search(r"(?i:copyright)|LIABLE|WARRANT", paragraph):
                yield paragraph
    for node in source.tree.body:
        is_assignment = isinstance(node, ast.Assign)
        if is_assignment and ast.unparse(node.targets[0]) == "__copyright__":
            yield ast.literal_eval(node.value)


def _iter_comment_blocks(text: str) -> Iterator[str]:
    """Runs of whole comment lines."""
    block: list[str] = []
    last_row = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or token.line[: token.start[1]].strip():
            continue
        row = token.start[0]
        if block and row != last_row + 1:
            yield "\n".join(block)
            block = []
        block.append(token.string)
        last_row = row
    if block:
        yield "\n".join(block)
