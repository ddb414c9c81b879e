"""Tensors read onto a mesh: each process reads and encodes its devices' parts only.

Below, a span is (start, stop) along one axis. Of a weight [K, N], blocks are spans of
its K / 64 blocks of 64 inputs, and outputs are spans of N.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxent.arrays import dynamic8, nf4
from jaxent.distributed import axes

Span = tuple[int, int]
Index = tuple[slice, ...] | None
EncodedPart = tuple[np.ndarray, np.ndarray]
"""Codes and block scales of a part: uint8 [n k / 2], float32 [n, k / 64]."""


def read_dense(
    read: Callable[[tuple[Span, ...]], np.ndarray],
    shape: tuple[int, ...],
    sharding: NamedSharding,
) -> jax.Array:
    """A dense array; each distinct part is read once.

    Args:
        read: Gives the part at a span an axis.
        shape: The array's shape.
        sharding: How it is split.

    Returns:
        The array on the mesh.
    """
    read = functools.cache(read)

    def part(index: Index) -> np.ndarray:
        return read(_spans(index, shape))

    return jax.make_array_from_callback(shape, sharding, part)


def read_encoded(
    read: Callable[[Span, Span], np.ndarray],
    shape: tuple[int, int],
    double: bool,
    shardings: nf4.NF4,
) -> nf4.NF4:
    """`nf4.repack(nf4.encode(weight, double=double))`, bit for bit.

    The second level of quantisation needs the scales of the whole weight, K N / 64
    numbers: they alone are gathered on every process.

    Args:
        read: Gives the part of the [out, in] weight at (outputs, inputs).
        shape: (K, N), K a multiple of 64.
        double: Whether the scales are quantised too.
        shardings: The shardings of codes and scales.

    Returns:
        The weight on the mesh.
    """
    k, n = shape

    @functools.cache
    def encode_part(blocks: Span, outputs: Span) -> EncodedPart:
        weight = read(outputs, (blocks[0] * nf4.BLOCK, blocks[1] * nf4.BLOCK))
        codes, absmax = nf4.encode_blocks(np.ascontiguousarray(weight))
        return codes, absmax.reshape(len(weight), -1)

    if not double:
        return _assemble(encode_part, shape, shardings)

    def part_of_scales(index: Index) -> np.ndarray:
        _, absmax = encode_part(*_blocks_and_outputs(index, shape))
        return absmax.T

    scales_sharding: Any = shardings.scales
    spread = jax.make_array_from_callback(
        (k // nf4.BLOCK, n), scales_sharding, part_of_scales
    )
    whole = axes.to_host(spread).T.reshape(-1)
    scales = dynamic8.decode(dynamic8.encode(whole)).reshape(n, -1)

    def encode_doubly(blocks: Span, outputs: Span) -> EncodedPart:
        codes, _ = encode_part(blocks, outputs)
        return codes, _part_of_scales(scales, blocks, outputs)

    return _assemble(encode_doubly, shape, shardings)


def read_stored(
    read: Callable[[Span], np.ndarray],
    scales: np.ndarray,
    shape: tuple[int, int],
    shardings: nf4.NF4,
) -> nf4.NF4:
    """`nf4.repack` of a weight that is stored encoded.

    Args:
        read: Gives the bytes of the codes at a span.
        scales: The block scales, float32 [N K / 64].
        shape: (K, N), K a multiple of 64.
        shardings: The shardings of codes and scales.

    Returns:
        The weight on the mesh.
    """
    k, n = shape
    scales = scales.reshape(n, -1)

    def read_part(blocks: Span, outputs: Span) -> EncodedPart:
        whole_rows = read((outputs[0] * k // 2, outputs[1] * k // 2))
        block_bytes = nf4.BLOCK // 2
        rows = whole_rows.reshape(-1, k // 2)
        codes = rows[:, blocks[0] * block_bytes : blocks[1] * block_bytes].reshape(-1)
        return codes, _part_of_scales(scales, blocks, outputs)

    return _assemble(read_part, shape, shardings)


def _part_of_scales(scales: np.ndarray, blocks: Span, outputs: Span) -> np.ndarray:
    """Of scales [N, K / 64] those of some blocks of some outputs."""
    return scales[slice(*outputs), slice(*blocks)]


def _assemble(
    part: Callable[[Span, Span], EncodedPart],
    shape: tuple[int, int],
    shardings: nf4.NF4,
) -> nf4.NF4:
    """The weight on the mesh whose parts part(blocks, outputs) gives."""

    @functools.cache
    def repacked(blocks: Span, outputs: Span) -> nf4.NF4:
        codes, absmax = part(blocks, outputs)
        size = (outputs[1] - outputs[0], (blocks[1] - blocks[0]) * nf4.BLOCK)
        scales = np.ascontiguousarray(absmax).reshape(-1)
        return nf4.repack(nf4.Packed(codes, scales, size))

    def assemble_field(field: str) -> jax.Array:
        def part_of_field(index: Index):
            return getattr(repacked(*_blocks_and_outputs(index, shape)), field)

        return jax.make_array_from_callback(
            getattr(nf4.abstract(shape), field).shape,
            getattr(shardings, field),
            part_of_field,
        )

    return nf4.NF4(assemble_field("codes"), assemble_field("scales"), shape)


def _blocks_and_outputs(index: Index, shape: tuple[int, int]) -> tuple[Span, Span]:
    """Of an index into codes [K / 64, 32, N] or scales [K / 64, N]."""
    assert index is not None
    k, n = shape
    blocks, outputs = _spans((index[0], index[-1]), (k // nf4.BLOCK, n))
    return blocks, outputs


def _spans(index: Index, shape: tuple[int, ...]) -> tuple[Span, ...]:
    assert index is not None  # jax hands out an index a device
    return tuple(axis.indices(size)[:2] for axis, size in zip(index, shape))
