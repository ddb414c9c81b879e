"""Takes the plain prose out of documentation in reStructuredText."""

import re
from collections.abc import Iterator

WORDS = (40, 180)  # of a run of paragraphs
_TABLE_LINE = re.compile(r"\S {3,}\S|\S--? {2,}|[-=*+|~]{4,}\s*$|^\s*[|+]")
_PLAIN_WORD = re.compile(r"[\"'(]?[A-Za-z]+(?:['’-][A-Za-z]+)*[\"')]?[.,;:!?]*\)?")


def iter_runs(text: str, seen: set[str]) -> Iterator[str]:
    """The plain paragraphs of a text, in runs of 40 to 180 words.

    Args:
        text: Documentation in reStructuredText.
        seen: Paragraphs that are left out; the text's own are added.

    Yields:
        The runs, their paragraphs separated by blank lines.
    """
    lowest, highest = WORDS
    run: list[str] = []
    for block in _iter_blocks(text):
        paragraph = _flatten(block)
        if not _is_prose(paragraph) or paragraph in seen:
            continue
        seen.add(paragraph)
        if run and _count_words(run) + len(paragraph.split()) > highest:
            if _count_words(run) >= lowest:
                yield "\n\n".join(run)
            run = []
        run.append(paragraph)
    if _count_words(run) >= lowest:
        yield "\n\n".join(run)


def _count_words(paragraphs: list[str]) -> int:
    return sum(len(paragraph.split()) for paragraph in paragraphs)


def _iter_blocks(text: str) -> Iterator[str]:
    """Blank-line separated blocks, without doctests and the literal blocks after ::."""
    literal = False
    margin = 0
    for block in re.split(r"\n[ \t]*\n", text.expandtabs().strip("\n")):
        indent = len(block) - len(block.lstrip(" "))
        if literal and indent > margin:
            continue
        margin = indent
        literal = block.rstrip().endswith("::")
        if ">>>" not in block and "::=" not in block and not _is_table(block):
            yield block


def _is_table(block: str) -> bool:
    return any(_TABLE_LINE.search(line) for line in block.splitlines())


def _flatten(block: str) -> str:
    """The block as one line, without emphasis, literals, roles and bullets."""
    text = " ".join(block.split())
    text = re.sub(r"^(?:[-*+o•]|\d+[.)]|\(\d+\)) ", "", text)
    text = re.sub(r":[a-z:]+:`([^`]*)`", r"\1", text)
    quoted = r"``([^`]*)``|`([^`]*)'|`([^`]*)`_*"
    text = re.sub(quoted, lambda m: m[1] or m[2] or m[3] or "", text)
    emphasis = r"(?<!\w)\*{1,2}([A-Za-z_][^*]*)\*{1,2}(?!\w)"
    text = re.sub(emphasis, r"\1", text)
    return re.sub(r"::$", ":", text)


def _is_prose(paragraph: str) -> bool:
    """Whether it is sentences.

    It has eight words or more, starts with a capital, ends as a sentence does, and
    seven in ten of its words are letters only.
    """
    words = paragraph.split()
    if len(words) < 8 or not re.match(r'["\'(]?[A-Z]', paragraph):
        return False
    if paragraph[-1] not in ".:!?)\"'":
        return False
    plain = sum(bool(_PLAIN_WORD.fullmatch(word)) for word in words)
    return plain >= 0.7 * len(words)
