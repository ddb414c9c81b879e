"""Tensors read onto a mesh: every process reads, and encodes, only the parts that its devices hold."""

import functools
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxent.arrays import dynamic8, nf4
from jaxent.distributed import axes

Span = tuple[int, int]


def read_dense(
    read: Callable[[tuple[Span, ...]], np.ndarray],
    shape: tuple[int, ...],
    sharding: NamedSharding,
) -> jax.Array:
    """The array of `shape` whose parts read(((start, stop), ...)) gives; each distinct part is read once."""
    read = functools.cache(read)
    return jax.make_array_from_callback(
        shape, sharding, lambda index: read(_spans(index, shape))
    )


def read_encoded(
    read: Callable[[Span, Span], np.ndarray],
    shape: tuple[int, int],
    double: bool,
    lie: nf4.NF4,
) -> nf4.NF4:
    """`nf4.repack(nf4.encode(weight, double=double))`, bit for bit, of a [K,N] weight with K a multiple of 128.

    read(outputs, inputs) gives a part of the [out, in] weight; lie: the shardings of codes and scales. The second level needs
    the scales of the whole weight, K N / 64 numbers: they alone are gathered on every process.
    """
    k, n = shape

    @functools.cache
    def part(groups: Span, outputs: Span):
        weight = read(outputs, (groups[0] * nf4.GROUP, groups[1] * nf4.GROUP))
        codes, absmax = nf4.encode_blocks(np.ascontiguousarray(weight))
        return codes, absmax.reshape(len(weight), -1)

    if not double:
        return _placed(part, shape, lie)
    by_group = lambda x: x.reshape(len(x), -1, 2).transpose(1, 2, 0)
    spread = jax.make_array_from_callback(
        (k // nf4.GROUP, 2, n),
        lie.scales,
        lambda index: by_group(part(*_of(index, shape))[1]),
    )
    whole = axes.to_host(spread).transpose(2, 0, 1).reshape(-1)
    scales = dynamic8.decode(dynamic8.encode(whole)).reshape(n, -1)
    return _placed(
        lambda groups, outputs: (
            part(groups, outputs)[0],
            _cut(scales, groups, outputs),
        ),
        shape,
        lie,
    )


def read_stored(
    read: Callable[[Span], np.ndarray],
    scales: np.ndarray,
    shape: tuple[int, int],
    lie: nf4.NF4,
) -> nf4.NF4:
    """`nf4.repack` of a [K,N] weight that is kept encoded: read((start, stop)) gives bytes of its codes, scales is absmax [N K / 64]."""
    k, n = shape
    scales = scales.reshape(n, -1)

    def part(groups: Span, outputs: Span):
        rows = read((outputs[0] * k // 2, outputs[1] * k // 2)).reshape(-1, k // 2)
        return rows[:, groups[0] * nf4.BLOCK : groups[1] * nf4.BLOCK].reshape(-1), _cut(
            scales, groups, outputs
        )

    return _placed(part, shape, lie)


def _cut(scales: np.ndarray, groups: Span, outputs: Span) -> np.ndarray:
    """Scales [N, K / 64] of some groups of some outputs."""
    return scales[slice(*outputs), 2 * groups[0] : 2 * groups[1]]


def _placed(part, shape: tuple[int, int], lie: nf4.NF4) -> nf4.NF4:
    """The weight whose parts part(groups, outputs) gives as (codes, absmax)."""

    @functools.cache
    def placed(groups: Span, outputs: Span) -> nf4.NF4:
        codes, absmax = part(groups, outputs)
        size = (outputs[1] - outputs[0], (groups[1] - groups[0]) * nf4.GROUP)
        return nf4.repack(
            nf4.Packed(codes, np.ascontiguousarray(absmax).reshape(-1), size)
        )

    whole = nf4.abstract(shape)
    make = lambda field: jax.make_array_from_callback(
        getattr(whole, field).shape,
        getattr(lie, field),
        lambda index: getattr(placed(*_of(index, shape)), field),
    )
    return nf4.NF4(make("codes"), make("scales"), shape)


def _of(index: tuple[slice, ...], shape: tuple[int, int]) -> tuple[Span, Span]:
    """(groups, outputs) of an index into codes or scales, [K / 128, ., N]."""
    groups, _, outputs = _spans(index, (shape[0] // nf4.GROUP, nf4.BLOCK, shape[1]))
    return groups, outputs


def _spans(index: tuple[slice, ...], shape) -> tuple[Span, ...]:
    return tuple(s.indices(n)[:2] for s, n in zip(index, shape))
