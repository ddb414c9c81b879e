"""A passage with its family, and the split of passages by family."""

import dataclasses
import hashlib
from collections.abc import Iterable

HELD_OUT_PERCENT = 5
_LONGEST_LABEL = 60  # a longer family is written as its hash


@dataclasses.dataclass(frozen=True)
class Passage:
    """One example, and the key of the family of near-duplicates that it belongs to."""

    family: str
    text: str


def drop_repeats(passages: Iterable[Passage]) -> list[Passage]:
    """The first passage of those that differ only in white space, in order."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(" ".join(passage.text.split()), passage)
    return list(first.values())


def to_row(passage: Passage) -> dict[str, str]:
    """The row of the passage in an embedded file: split, family and text."""
    digest = hashlib.blake2b(passage.family.encode(), digest_size=8).digest()
    held_out = int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT
    short = len(passage.family) <= _LONGEST_LABEL
    return {
        "split": "held_out" if held_out else "train",
        "family": passage.family if short else digest.hex(),
        "text": passage.text,
    }
