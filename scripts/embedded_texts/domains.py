"""The passages of each domain, in the order of the embedded files."""

import pathlib
import pydoc_data.topics
import re
from collections.abc import Iterable, Iterator

from embedded_texts import passages, prose, standard_library, tales, word_problems

WORD_PROBLEMS = 9000
TALES = 2200
_STORIES = pathlib.Path(__file__).with_name("stories.txt")


def code(sources: Iterable[standard_library.Source]) -> list[passages.Passage]:
    """Functions and classes of the standard library."""
    return passages.drop_repeats(
        passage for source in sources for passage in standard_library.iter_code(source)
    )


def natural(sources: Iterable[standard_library.Source]) -> list[passages.Passage]:
    """Prose of the language reference, then of the standard library's docstrings."""
    return passages.drop_repeats(_iter_natural(sources))


def _iter_natural(
    sources: Iterable[standard_library.Source],
) -> Iterator[passages.Passage]:
    seen: set[str] = set()
    for _, text in sorted(pydoc_data.topics.topics.items()):
        for run in prose.iter_runs(text, seen):
            yield passages.Passage(run, run)
    for source in sources:
        for docstring in standard_library.iter_docstrings(source):
            for run in prose.iter_runs(docstring.text, seen):
                yield passages.Passage(docstring.family, run)


def math() -> list[passages.Passage]:
    """Word problems; those that differ only in their numbers are one family."""
    problems = word_problems.generate(WORD_PROBLEMS, seed=0)
    texts = [problem.text() for problem in problems]
    return passages.drop_repeats(
        passages.Passage(re.sub(r"\d+", "#", text), text) for text in texts
    )


def read_stories() -> list[str]:
    """The stories written for this project."""
    return [story.strip() for story in _STORIES.read_text("utf-8").split("\n***\n")]


def creative() -> list[passages.Passage]:
    """The stories, each a family, then generated tales, a family a plot."""
    stories = [passages.Passage(story, story) for story in read_stories()]
    generated = [
        passages.Passage(tale.plot, tale.text) for tale in tales.generate(TALES, seed=0)
    ]
    return passages.drop_repeats(stories + generated)
