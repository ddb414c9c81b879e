"""The texts that the package carries, in the four domains.

code:     functions and classes of Python's standard library;
natural:  paragraphs of Python's language reference, and docstrings, as prose;
math:     generated word problems with worked solutions;
creative: short stories, and tales from a grammar.

They are the files `embedded/<domain>.jsonl`, which `scripts/make_embedded_texts.py`
made. Their origin and licences are in `embedded/NOTICE.txt`.
"""

import dataclasses
import functools
import pathlib

from jaxent import json_files

DOMAINS = ("code", "math", "natural", "creative")
_FOLDER = pathlib.Path(__file__).with_name("embedded")


@dataclasses.dataclass(frozen=True)
class Passage:
    """One text.

    Attributes:
        split: "train" or "held_out".
        family: What near-duplicates have in common: the definition that they are cut
            from, the problem without its numbers, or the plot (or a hash of it). A
            family is never on both sides of the split.
        text: The text.
    """

    split: str
    family: str
    text: str


@functools.cache
def load_passages(domain: str) -> tuple[Passage, ...]:
    """The passages of one domain, in order.

    Args:
        domain: "code", "math", "natural" or "creative".

    Returns:
        Distinct, non-empty passages: 1,538 of natural, thousands of each other domain.

    Raises:
        ValueError: There is no such domain.

    Example:
        >>> passage = load_passages("code")[0]
        >>> passage.split, passage.family
        ('train', '_Feature')
    """
    if domain not in DOMAINS:
        raise ValueError(
            f"domain: found {domain!r}, expected one of {', '.join(DOMAINS)}"
        )
    lines = json_files.read_json_lines(_FOLDER / f"{domain}.jsonl")
    return tuple(Passage(**fields) for fields in lines)


def examples(domain: str) -> list[str]:
    """The texts of one domain, in order, those of both splits.

    Args:
        domain: "code", "math", "natural" or "creative".

    Returns:
        The texts.

    Raises:
        ValueError: There is no such domain.

    Example:
        >>> len(examples("math"))
        8948
    """
    return [passage.text for passage in load_passages(domain)]


def split(domain: str) -> tuple[list[str], list[str]]:
    """The texts of one domain in two: for training, and held out (about 95 to 5).

    Args:
        domain: "code", "math", "natural" or "creative".

    Returns:
        (train, held_out), each in order; a family is in one of them only.

    Raises:
        ValueError: There is no such domain.

    Example:
        >>> train, held_out = split("creative")
        >>> len(train), len(held_out)
        (2126, 100)
    """
    passages = load_passages(domain)
    train = [passage.text for passage in passages if passage.split == "train"]
    held_out = [passage.text for passage in passages if passage.split == "held_out"]
    return train, held_out
