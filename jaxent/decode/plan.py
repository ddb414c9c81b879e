"""What a decoding run will need, before it starts: rows that fit the memory, lengths and batch sizes to compile for."""

import dataclasses
import os

import jax
import jax.numpy as jnp

from jaxent.model import cache as caches
from jaxent.model import config as configs

_COLUMN = 64  # prompts are padded to a multiple of this many tokens
_SHARE = 0.9  # of the free memory that may be planned for
_COPIES = 1.75  # of the cache: it grows beside the shorter one, and shrinks beside the longer one when half of the rows have ended
_LENGTHS = 4  # cache lengths a run passes through, at most
_LOGITS = 4  # float32 [rows, vocabulary] arrays alive at once


@dataclasses.dataclass(frozen=True)
class Layout:
    """Columns of a batch: the prompts' width (left-padded) and room for new tokens; the cache passes through `lengths`.

    The cache is the shortest of `lengths` that holds what there is, so a chunk of the decode loop is compiled
    at most len(lengths) + len(ladder(rows)) - 1 times: both only ever move one way.
    """

    width: int
    room: int

    @property
    def columns(self) -> int:
        return self.width + self.room

    @property
    def lengths(self) -> tuple[int, ...]:
        unit = -(-self.columns // (_LENGTHS * _COLUMN)) * _COLUMN
        return tuple(
            min(unit * i, self.columns) for i in range(1, -(-self.columns // unit) + 1)
        )

    def length(self, columns: int) -> int:
        """The shortest length that holds the first `columns`."""
        return next(n for n in self.lengths if n >= columns)


def plan_layout(longest: int, max_new_tokens: int, chunk: int) -> Layout:
    """The layout for prompts of at most `longest` tokens and whole chunks of new ones."""
    return Layout(padded_length(longest), -(-max_new_tokens // chunk) * chunk)


def padded_length(tokens: int) -> int:
    """The next multiple of 64 columns."""
    return -(-tokens // _COLUMN) * _COLUMN


def batch_buckets(rows: int, ways: int = 1) -> tuple[int, ...]:
    """Batch sizes that a batch of `rows` passes through as rows finish: halves, rounded up to multiples of ways."""
    sizes = [-(-rows // ways) * ways]
    while sizes[-1] > ways:
        sizes.append(-(-sizes[-1] // (2 * ways)) * ways)
    return tuple(sizes)


def free_bytes() -> int:
    """Memory that is free on the default device (on CPU: of this machine)."""
    stats = (
        jax.local_devices()[0].memory_stats()
        if jax.default_backend() != "cpu"
        else None
    )
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    try:
        with open("/proc/meminfo") as lines:
            return next(
                int(line.split()[1]) * 1024
                for line in lines
                if line.startswith("MemAvailable")
            )
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def rows_that_fit(config: configs.Config, columns: int, dtype, free: int) -> int:
    """Rows decoded together in `free` bytes: each has its cache (half as much again while finished rows leave) and logits.

    free: of one device, times the parts that rows and heads are split into. Raises ValueError where not even one fits.
    """
    row = (
        _COPIES * caches.row_bytes(config, columns, dtype) + _LOGITS * 4 * config.vocab
    )
    rows = int(_SHARE * free // row)
    if rows < 1:
        raise ValueError(
            f"decoding {columns} columns needs {row / 2**30:.2f} GiB a row, but {free / 2**30:.2f} GiB are free: "
            "expected room for one; lower max_new_tokens or use NF4 weights"
        )
    return rows


def dense_bytes(config: configs.Config, linear: int, dtype) -> int:
    """Bytes of `linear` weights of every layer, dense in dtype."""
    return config.layers * linear * jnp.dtype(dtype).itemsize
