"""Numbers of a config.json, checked before anything has their size."""

import math
from typing import Any

LIMITS = {
    "vocab_size": 1 << 24,
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 22,
    "num_hidden_layers": 1 << 12,
    "num_attention_heads": 1 << 14,
    "num_key_value_heads": 1 << 14,
    "head_dim": 1 << 14,
    "max_position_embeddings": 1 << 31,
    "original_max_position_embeddings": 1 << 31,
    "sliding_window": 1 << 31,
    "max_window_layers": 1 << 31,
}
"""The largest count of each key: above every known model, below nonsense."""


def read_count(raw: dict, key: str, default: int, source: str, least: int = 1) -> int:
    """A whole number of a config.json.

    Args:
        raw: the dictionary.
        key: one of `LIMITS`.
        default: what a missing key means.
        source: what errors call the dictionary.
        least: the smallest number allowed.

    Returns:
        The number.

    Raises:
        ValueError: the value is no whole number from `least` to the key's limit.

    Example:
        >>> read_count({"head_dim": 64}, "head_dim", 128, "config.json")
        64
    """
    value = raw.get(key, default)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not least <= value <= LIMITS[key]:
        raise ValueError(
            f"{source}: {key} {value!r}, expected a whole number from {least} to "
            f"{LIMITS[key]}"
        )
    return value


def read_number(
    raw: dict,
    key: str,
    default: float | None,
    source: str,
    least: float = 0.0,
    below: float = math.inf,
) -> float:
    """A finite number of a config.json.

    Args:
        raw: the dictionary.
        key: its key.
        default: what a missing key or null means.
        source: what errors call the dictionary.
        least: the number is above it, or equal to it where `below` is given.
        below: the number is below it.

    Returns:
        The number.

    Raises:
        ValueError: the value is no number in that range.

    Example:
        >>> read_number({"rope_theta": 500000}, "rope_theta", 1e4, "config.json")
        500000.0
    """
    value: Any = default if raw.get(key) is None else raw[key]
    bounded = below < math.inf
    if isinstance(value, int | float) and not isinstance(value, bool):
        reached = least <= value if bounded else least < value
        if reached and value < below:
            return float(value)
    span = f"from {least:g} to below {below:g}" if bounded else f"above {least:g}"
    raise ValueError(f"{source}: {key} {value!r}, expected a finite number {span}")


def check_token_ids(raw: dict, vocab: int, source: str) -> None:
    """Checks the ids of special tokens; a negative id says that there is none.

    Args:
        raw: the dictionary.
        vocab: rows of the embedding.
        source: what errors call the dictionary.

    Raises:
        ValueError: bos_token_id, eos_token_id or pad_token_id is no id, or lies past
            the embedding, where PyTorch raises an IndexError.
    """
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        value = raw.get(key)
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if not isinstance(one, int) or isinstance(one, bool) or one >= vocab:
                raise ValueError(
                    f"{source}: {key} {value!r}, expected below vocab_size {vocab}"
                )
