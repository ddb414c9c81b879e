"""Which examples are never trained on: decided by their content alone."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from jaxent.data import tokens

_AT_A_TIME = 4096  # examples to the tokenizer's decoder


@dataclasses.dataclass(frozen=True)
class HoldoutConfig:
    """How much is held out.

    Attributes:
        share: About which share of the distinct examples is held out, in (0, 1).
        max_examples: How many of a domain's held-out examples are scored at most.
    """

    share: float = 0.05
    max_examples: int = 200

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise ValueError(f"--eval_share {self.share}: expected 0 < share < 1")
        if self.max_examples < 1:
            raise ValueError(
                f"--max_eval_samples {self.max_examples}: expected at least 1"
            )


def content_position(text: str) -> float:
    r"""A number in [0, 1) that the words of a text decide.

    Texts that differ in case or spacing only have one number, in whatever file, order
    and seed: a duplicate of a held-out text is held out too.

    Args:
        text: A text.

    Returns:
        The number, evenly spread over distinct texts.

    Example:
        >>> content_position("One  text\n") == content_position("one text")
        True
    """
    words = " ".join(text.casefold().split())
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def positions(
    tokenizer: tokens.Tokenizer, ids_of: Iterable[Sequence[int] | np.ndarray]
) -> list[float]:
    """`content_position` of examples, after they were cut.

    Texts that differ only behind the cut are one text to the model.

    Args:
        tokenizer: The tokenizer of the ids.
        ids_of: Token ids of each example.

    Returns:
        The numbers.
    """
    plain = [[int(token) for token in ids] for ids in ids_of]
    numbers: list[float] = []
    for start in range(0, len(plain), _AT_A_TIME):
        texts = tokenizer.fast.batch_decode(
            plain[start : start + _AT_A_TIME],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        numbers += map(content_position, texts)
    return numbers


def split(
    tokenizer: tokens.Tokenizer,
    ids_of: Iterable[Sequence[int] | np.ndarray],
    config: HoldoutConfig,
) -> tuple[np.ndarray, np.ndarray]:
    """The examples in two: for training, and held out.

    Args:
        tokenizer: The tokenizer of the ids.
        ids_of: Token ids of each example.
        config: The share.

    Returns:
        (train, held_out), each the examples' indices: train in order, held_out by
        their content.
    """
    numbers = np.array(positions(tokenizer, ids_of))
    held_out = np.flatnonzero(numbers < config.share)
    by_content = held_out[np.argsort(numbers[held_out], kind="stable")]
    return np.flatnonzero(numbers >= config.share), by_content
