"""What a decoding run needs, before it starts.

Rows that fit the memory, cache lengths and batch sizes to compile for.
"""

import dataclasses
import os

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxent.model import cache as caches
from jaxent.model import config as configs

LOGITS_COPIES = 4  # float32 [rows, vocabulary] arrays alive at once
_COLUMN_MULTIPLE = 64  # prompts are padded to a multiple of this many tokens
_FREE_SHARE = 0.9  # of the free memory that may be planned for
# Of the cache: it grows beside the shorter one, and shrinks beside the longer one when
# half of the rows have ended.
_CACHE_COPIES = 1.75
_MOST_LENGTHS = 4  # cache lengths that a run passes through


@dataclasses.dataclass(frozen=True)
class Layout:
    """The columns of a batch.

    The cache always has the shortest of `lengths` that holds what there is. Lengths
    only grow and batch sizes only shrink, so a chunk of the decode loop is compiled at
    most len(lengths) + len(batch_buckets(rows)) - 1 times.

    Attributes:
        width: Columns of the prompts, which are left-padded.
        room: Columns for new tokens.

    Example:
        >>> Layout(64, 200).lengths
        (128, 256, 264)
        >>> Layout(64, 200).length(100)
        128
    """

    width: int
    room: int

    @property
    def columns(self) -> int:
        """All columns: prompts and new tokens."""
        return self.width + self.room

    @property
    def lengths(self) -> tuple[int, ...]:
        """The cache lengths that a run passes through, ascending; four at most."""
        longest = _round_up(self.columns, _MOST_LENGTHS * _COLUMN_MULTIPLE)
        unit = longest // _MOST_LENGTHS
        count = -(-self.columns // unit)
        return tuple(min(unit * i, self.columns) for i in range(1, count + 1))

    def length(self, columns: int) -> int:
        """The shortest of `lengths` that holds the first `columns` columns."""
        return next(length for length in self.lengths if length >= columns)


def plan_layout(longest: int, max_new_tokens: int, chunk: int) -> Layout:
    """The layout of a batch.

    Args:
        longest: Tokens of the longest prompt.
        max_new_tokens: New tokens of a row, at most.
        chunk: Tokens that a row gets at a time; there is room for whole chunks.

    Returns:
        The layout.

    Example:
        >>> plan_layout(60, 200, 16)
        Layout(width=64, room=208)
    """
    return Layout(padded_length(longest), _round_up(max_new_tokens, chunk))


def padded_length(tokens: int) -> int:
    """The columns for so many tokens: the next multiple of 64.

    Example:
        >>> padded_length(65)
        128
    """
    return _round_up(tokens, _COLUMN_MULTIPLE)


def batch_buckets(rows: int, axis_size: int = 1) -> tuple[int, ...]:
    """Batch sizes that a batch passes through as rows finish.

    Each is half of the one before, rounded up to a multiple of `axis_size`.

    Args:
        rows: Rows at the start.
        axis_size: Parts that the mesh splits rows into.

    Returns:
        The sizes, descending to `axis_size`.

    Example:
        >>> batch_buckets(7)
        (7, 4, 2, 1)
        >>> batch_buckets(7, axis_size=2)
        (8, 4, 2)
    """
    sizes = [_round_up(rows, axis_size)]
    while sizes[-1] > axis_size:
        sizes.append(-(-sizes[-1] // (2 * axis_size)) * axis_size)
    return tuple(sizes)


def _round_up(number: int, multiple: int) -> int:
    """The next multiple."""
    return -(-number // multiple) * multiple


def free_bytes() -> int:
    """Free memory of the default device, in bytes; on a CPU that of this machine."""
    if jax.default_backend() != "cpu":
        stats = jax.local_devices()[0].memory_stats()
        if stats and "bytes_limit" in stats:
            return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def rows_that_fit(
    config: configs.Config, columns: int, dtype: DTypeLike, free: int
) -> int:
    """How many rows can be decoded together.

    Each needs 1.75 caches, because a cache is copied when it grows or when rows leave,
    and four arrays of float32 logits.

    Args:
        config: The model's shape.
        columns: Columns of the longest cache.
        dtype: Of the cache.
        free: Bytes of one device, times the parts that rows and heads are split into.

    Returns:
        The number of rows.

    Raises:
        ValueError: If not even one fits.
    """
    cache = _CACHE_COPIES * caches.row_bytes(config, columns, dtype)
    row = cache + LOGITS_COPIES * 4 * config.vocab
    rows = int(_FREE_SHARE * free // row)
    if rows < 1:
        raise ValueError(
            f"decoding {columns} columns needs {row / 2**30:.2f} GiB a row, but "
            f"{free / 2**30:.2f} GiB are free: expected room for one; lower "
            "max_new_tokens or use NF4 weights"
        )
    return rows


def dense_bytes(config: configs.Config, linear: int, dtype: DTypeLike) -> int:
    """Bytes of the linear weights of all layers, if they are dense.

    Args:
        config: The model's shape.
        linear: Linear weights of one layer.
        dtype: Of the dense weights.

    Returns:
        Bytes.
    """
    return config.layers * linear * jnp.dtype(dtype).itemsize
