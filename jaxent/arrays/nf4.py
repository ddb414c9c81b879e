"""4-bit NormalFloat weights (QLoRA, Dettmers et al. 2023), bit-equal to bitsandbytes.

Two forms. `Packed` is what bitsandbytes keeps and what its checkpoints hold (host, numpy).
`NF4` is the array the model computes with: the same codes regrouped so that the last axis is the
dense weight's last axis, block scales already decoded to float32.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import dynamic8

BLOCK = 64
GROUP = 2 * BLOCK  # elements along K that share a row of bytes

TABLE = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_TABLE32 = np.array(TABLE, np.float32)
_MIDPOINTS = (_TABLE32[:-1] + _TABLE32[1:]) / np.float32(2)
_ZERO = 7  # code of 0.0
_CHUNK = 1 << 22  # elements encoded at a time: bounds the float32 copy to 16 MiB


@dataclasses.dataclass(frozen=True)
class Packed:
    """A row-major [out, in] weight in bitsandbytes' own representation.

    Invariants: codes uint8 [ceil(out * in / 2)], first element in the high nibble, an odd tail
    filled with code 7; blocks of 64 consecutive elements; scales one value a block, either
    float32 (single) or `Dynamic8` (double quantisation).
    """

    codes: np.ndarray
    scales: np.ndarray | dynamic8.Dynamic8
    shape: tuple[int, int]

    def __post_init__(self):
        n = math.prod(self.shape)
        found = (
            self.scales.codes
            if isinstance(self.scales, dynamic8.Dynamic8)
            else self.scales
        )
        if self.codes.shape != (-(-n // 2),) or found.shape != (-(-n // BLOCK),):
            raise ValueError(
                f"NF4 weight of shape {self.shape}: found codes {self.codes.shape} and block scales "
                f"{found.shape}, expected ({-(-n // 2)},) and ({-(-n // BLOCK)},)"
            )

    def absmax(self) -> np.ndarray:
        """Block scales, float32 [blocks]."""
        return (
            dynamic8.decode(self.scales)
            if isinstance(self.scales, dynamic8.Dynamic8)
            else self.scales
        )

    @property
    def nbytes(self) -> int:
        """Bytes kept for this weight: 0.5 + 1/64 + 4/16384 (+ offset) a weight with double quantisation."""
        if isinstance(self.scales, dynamic8.Dynamic8):
            return (
                self.codes.nbytes
                + self.scales.codes.nbytes
                + self.scales.scales.nbytes
                + 4
            )
        return self.codes.nbytes + self.scales.nbytes


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NF4:
    """A dense [..., K, N] weight (K inputs, N outputs) as 4-bit codes.

    Invariants: codes uint8 [..., G, 64, M] and scales float32 [..., G, 2, M]. Group g of a column
    holds 128 consecutive elements: 0..63 in the low nibbles, scaled by scales[g, 0], 64..127 in
    the high ones, scaled by scales[g, 1]. If K % 128 == 0 a column is an output (G = K / 128,
    M = N) and leading axes, K's groups and N may be sliced and sharded freely. Otherwise blocks
    straddle outputs and the whole weight is one column in [N, K] order (M = 1).
    0.5 + 4/64 = 0.5625 bytes a weight: scales are decoded once, at load.
    """

    codes: jax.Array
    scales: jax.Array
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})  # (K, N)

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.scales.nbytes


def encode(weight: np.ndarray, rule: str = "nearest", double: bool = True) -> Packed:
    """Quantises a host weight [out, in] of float32, bfloat16 or float16 as bitsandbytes does.

    Upcast to float32; per block of 64: code = nearest NF4 value to x * (1 / absmax), ties down;
    a short last block is divided instead. `rule` is `dynamic8.encode`'s, used when `double`.
    Peak extra memory: the codes and one 16 MiB chunk. Raises on NaN or infinity.
    """
    codes, absmax = encode_blocks(weight)
    return Packed(
        codes, dynamic8.encode(absmax, rule) if double else absmax, weight.shape
    )


def encode_blocks(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first level of `encode` alone: codes, and one float32 absmax a block. A part of a weight whose rows are whole
    blocks has the codes and scales that the whole has there; the second level needs all of a weight's scales.
    """
    if weight.ndim != 2:
        raise ValueError(
            f"NF4 weight of shape {weight.shape}: expected two axes, [out, in]"
        )
    flat = weight.reshape(-1)
    n, blocks = flat.size, -(-flat.size // BLOCK)
    codes, scales = (
        np.empty(blocks * BLOCK // 2, np.uint8),
        np.empty(blocks, np.float32),
    )
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        for start in range(0, n, _CHUNK):
            piece, first = flat[start : start + _CHUNK], start // BLOCK
            size = min(_CHUNK, 1 << max(6, math.ceil(math.log2(piece.size))))
            padded = np.zeros(size, flat.dtype)
            padded[: piece.size] = piece
            rows = -(-piece.size // BLOCK)
            short = rows - 1 if piece.size % BLOCK else -1
            part_codes, part_scales = _encode_chunk(padded.reshape(-1, BLOCK), short)
            half = slice(first * BLOCK // 2, (first + rows) * BLOCK // 2)
            codes[half] = np.asarray(part_codes)[:rows].reshape(-1)
            scales[first : first + rows] = np.asarray(part_scales)[:rows]
    if not np.isfinite(scales).all():
        bad = int(np.flatnonzero(~np.isfinite(scales))[0]) * BLOCK
        raise ValueError(
            f"NF4 weight of shape {weight.shape}: NaN or infinity in elements {bad}..{bad + BLOCK - 1}"
        )
    codes = codes[: -(-n // 2)]
    if n % 2:
        codes[-1] = (codes[-1] & 0xF0) | _ZERO
    return codes, scales


@jax.jit
def _encode_chunk(blocks, short):
    """Codes [rows, 32] and scales [rows] of float blocks [rows, 64]; row `short` is divided (-1: none)."""
    x = blocks.astype(jnp.float32)
    absmax = jnp.abs(x).max(1)
    safe = jnp.where(absmax == 0, 1, absmax)[:, None]
    scaled = x * jax.lax.optimization_barrier(1 / safe)
    divided = jax.lax.optimization_barrier(x / safe)
    scaled = jnp.where(jnp.arange(x.shape[0])[:, None] == short, divided, scaled)
    codes = sum((scaled > m).astype(jnp.uint8) for m in _MIDPOINTS)
    return codes[:, 0::2] << 4 | codes[:, 1::2], absmax


def repack(packed: Packed) -> NF4:
    """Regroups bitsandbytes' arrays into an `NF4` on the host (numpy leaves, ready for device_put)."""
    n_out, n_in = packed.shape
    n = n_out * n_in
    absmax = packed.absmax()
    columns = n_out if n_in % GROUP == 0 else 1
    groups = -(-(n // columns) // GROUP)
    elements = np.full((columns * groups * GROUP // 2, 2), _ZERO, np.uint8)
    elements[: packed.codes.size, 0] = packed.codes >> 4
    elements[: packed.codes.size, 1] = packed.codes & 0xF
    elements = elements.reshape(columns, groups, 2, BLOCK)
    codes = (elements[:, :, 0] | elements[:, :, 1] << 4).transpose(1, 2, 0)
    scales = np.zeros(columns * groups * 2, np.float32)
    scales[: absmax.size] = absmax
    scales = scales.reshape(columns, groups, 2).transpose(1, 2, 0)
    return NF4(np.ascontiguousarray(codes), np.ascontiguousarray(scales), (n_in, n_out))


def abstract(shape: tuple[int, int], layers: int | None = None) -> NF4:
    """The `NF4` of ShapeDtypeStructs that a dense [K, N] weight (with a leading layer axis) becomes."""
    k, n = shape
    columns = n if k % GROUP == 0 else 1
    groups = -(-(k * n // columns) // GROUP)
    lead = () if layers is None else (layers,)
    return NF4(
        jax.ShapeDtypeStruct((*lead, groups, BLOCK, columns), jnp.uint8),
        jax.ShapeDtypeStruct((*lead, groups, 2, columns), jnp.float32),
        (k, n),
    )


def decode(weight: NF4, dtype) -> jax.Array:
    """The dense weight [..., K, N]: table value (float32) x absmax (float32), then one cast to dtype.

    Bit-equal to bitsandbytes' dequantize_4bit, transposed. No gather, which TPUs are slow at.
    """
    values = jnp.stack(
        [_lookup(weight.codes & 0xF), _lookup(weight.codes >> 4)], axis=-3
    )  # [..., G, 2, 64, M]
    values = (values * weight.scales[..., None, :]).astype(dtype)
    lead, (k, n) = weight.codes.shape[:-3], weight.shape
    if k % GROUP == 0:
        return values.reshape(*lead, k, n)
    flat = values.reshape(*lead, -1)[..., : k * n]
    return jnp.swapaxes(flat.reshape(*lead, n, k), -1, -2)


def _lookup(codes):
    """TABLE[codes], exactly: a select tree over the four bits, its leaves formed on float bit patterns.

    Leaves are (bit 0 ? odd : even) = even ^ (mask & (even ^ odd)) rather than selects of broadcast
    constants, which JAX would hoist out of the layer scan as full-size residuals of the gradient.
    """
    patterns = [int(v) for v in _TABLE32.view(np.uint32)]
    mask = jnp.uint32(0) - (codes & 1).astype(jnp.uint32)
    level = [
        mask & np.uint32(even ^ odd) ^ np.uint32(even)
        for even, odd in zip(patterns[0::2], patterns[1::2])
    ]
    for bit in (1, 2, 3):
        high = (codes >> bit) & 1 == 1
        level = [jnp.where(high, b, a) for a, b in zip(level[0::2], level[1::2])]
    return jax.lax.bitcast_convert_type(level[0], jnp.float32)
