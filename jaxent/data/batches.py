"""A step's examples as arrays: packed into few rows with segments, or padded one to a row."""

import typing

import numpy as np


class Batch(typing.NamedTuple):
    """[rows, T] arrays. targets is the next token of the same example; weights is 1 where it counts.

    segments: 0 padding, 1, 2, ... the examples of a row; positions restart at 0 in each.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    segments: np.ndarray
    positions: np.ndarray


def pack(
    examples: list[np.ndarray], length: int, rows: int, read: np.ndarray | None = None
) -> tuple[Batch, int]:
    """Step-exact packing: the examples in as few of `rows` rows of `length` as first-fit decreasing finds.

    Returns the batch, always of `rows` rows, and the number of used ones, which come first. read: bool [rows], of which rows the
    examples' tokens are read (the others' stay 0 in tokens and targets): lengths alone tell the rest. None: of all.
    """
    _check(examples, length, rows)
    bins = first_fit([len(e) for e in examples], length)
    return _fill(
        [[examples[i] for i in members] for members in bins], length, rows, read
    ), len(bins)


def first_fit(sizes: list[int], room: int) -> list[list[int]]:
    """Indices of the sizes that lie in each bin of `room`: the largest first, each in the first bin that has room for it."""
    free: list[int] = []
    bins: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        at = next((i for i, left in enumerate(free) if left >= sizes[index]), len(free))
        if at == len(free):
            free.append(room)
            bins.append([])
        free[at] -= sizes[index]
        bins[at].append(index)
    return bins


def pad(
    examples: list[np.ndarray], length: int, rows: int, read: np.ndarray | None = None
) -> tuple[Batch, int]:
    """One example a row, padded on the right (--nopacking); read as in `pack`."""
    _check(examples, length, rows)
    return _fill([[e] for e in examples], length, rows, read), len(examples)


def _check(examples, length, rows):
    if not 0 < len(examples) <= rows:
        raise ValueError(
            f"{len(examples)} examples in {rows} rows: expected 1 to {rows}"
        )
    if wrong := [len(e) for e in examples if not 2 <= len(e) <= length]:
        raise ValueError(f"an example of {wrong[0]} tokens: expected 2 to {length}")


def _fill(bins, length, rows, read) -> Batch:
    ints = lambda: np.zeros((rows, length), np.int32)
    batch = Batch(ints(), ints(), np.zeros((rows, length), np.float32), ints(), ints())
    for row, members in enumerate(bins):
        start = 0
        for segment, ids in enumerate(members, 1):
            end = start + len(ids)
            if read is None or read[row]:
                batch.tokens[row, start:end] = ids
                batch.targets[row, start : end - 1] = ids[1:]
            batch.weights[row, start : end - 1] = 1
            batch.segments[row, start:end] = segment
            batch.positions[row, start:end] = np.arange(len(ids))
            start = end
    return batch
