"""4-bit NormalFloat weights (QLoRA, Dettmers et al. 2023), bit-equal to bitsandbytes.

There are two forms. `Packed` is what bitsandbytes keeps and what its checkpoints hold
(host, numpy). `NF4` is the array the model computes with: the same codes regrouped so
that the last axis is the dense weight's last axis, and block scales already decoded to
float32.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxent.arrays import dynamic8

BLOCK = 64  # elements that share a scale
_HALF = BLOCK // 2  # elements in the low nibbles of a block, and in the high ones

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

    Blocks are 64 consecutive elements.

    Attributes:
        codes: uint8 [ceil(out * in / 2)], the first element in the high nibble, an odd
            tail filled with code 7.
        scales: one value for each block, either float32 [blocks] (single quantisation)
            or `Dynamic8` (double quantisation).
        shape: (out, in).
    """

    codes: np.ndarray
    scales: np.ndarray | dynamic8.Dynamic8
    shape: tuple[int, int]

    def __post_init__(self):
        n = math.prod(self.shape)
        code_bytes = -(-n // 2)
        blocks = -(-n // BLOCK)
        scales = self.scales
        if isinstance(scales, dynamic8.Dynamic8):
            scales = scales.codes
        if self.codes.shape != (code_bytes,) or scales.shape != (blocks,):
            raise ValueError(
                f"NF4 weight of shape {self.shape}: codes have shape "
                f"{self.codes.shape} and block scales {scales.shape}, expected "
                f"({code_bytes},) and ({blocks},)"
            )

    def absmax(self) -> np.ndarray:
        """Block scales, float32 [blocks]."""
        if isinstance(self.scales, dynamic8.Dynamic8):
            return dynamic8.decode(self.scales)
        return self.scales

    @property
    def nbytes(self) -> int:
        """Bytes kept for this weight.

        With double quantisation 0.5 + 1/64 + 4/16384 bytes for each weight, and four
        bytes for the offset.
        """
        if isinstance(self.scales, dynamic8.Dynamic8):
            offset = 4
            scales = self.scales.codes.nbytes + self.scales.scales.nbytes + offset
        else:
            scales = self.scales.nbytes
        return self.codes.nbytes + scales


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class NF4:
    """A dense [..., K, N] weight (K inputs, N outputs) as 4-bit codes.

    A column is a run of elements divided into blocks of 64, each with one scale.
    Elements 0..31 of a block are in the low nibbles of its bytes, elements 32..63 in
    the high ones.

    - K % 64 == 0: a column is an output, G = K / 64 and M = N. Leading axes, blocks and
      outputs may be sliced and sharded freely.
    - Otherwise blocks straddle outputs, and the whole weight is one column in [N, K]
      order: M = 1.

    It takes 0.5 + 4/64 = 0.5625 bytes for each weight, because scales are decoded once,
    at load. The fields are arrays of JAX or numpy; in trees of shardings or of shapes
    they hold those instead.

    Attributes:
        codes: uint8 [..., G, 32, M].
        scales: float32 [..., G, M].
        shape: (K, N).
    """

    codes: Any
    scales: Any
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})

    @property
    def nbytes(self) -> int:
        """Bytes of codes and scales."""
        return self.codes.nbytes + self.scales.nbytes


def encode(weight: np.ndarray, rule: str = "nearest", double: bool = True) -> Packed:
    """Quantises a host weight as bitsandbytes does.

    In float32, for each block of 64: code = nearest NF4 value to x * (1 / absmax), ties
    down; a short last block is divided by absmax instead. Peak extra memory: the codes
    and one chunk of 16 MiB.

    Args:
        weight: [out, in], float32, bfloat16 or float16.
        rule: rule of `dynamic8.encode` for the block scales, used if `double`.
        double: whether block scales are quantised too.

    Returns:
        The weight in bitsandbytes' representation.

    Raises:
        ValueError: the weight has not two axes, or holds NaN or infinity.

    Example:
        >>> packed = encode(np.ones((2, 64), np.float32), double=False)
        >>> packed.codes.shape, packed.scales.tolist()
        ((64,), [1.0, 1.0])
        >>> decode(repack(packed), jnp.float32).shape
        (64, 2)
    """
    codes, absmax = encode_blocks(weight)
    scales = dynamic8.encode(absmax, rule) if double else absmax
    n_out, n_in = weight.shape
    return Packed(codes, scales, (n_out, n_in))


def encode_blocks(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quantises the first level alone, without the block scales.

    A part of a weight whose rows are whole blocks gets the codes and scales that the
    whole weight has there. The second level needs all scales of a weight.

    Args:
        weight: [out, in], float32, bfloat16 or float16.

    Returns:
        Codes uint8 [ceil(out * in / 2)] and float32 absmax [blocks].

    Raises:
        ValueError: the weight has not two axes, or holds NaN or infinity.
    """
    if weight.ndim != 2:
        raise ValueError(
            f"NF4 weight of shape {weight.shape}: expected two axes, [out, in]"
        )
    flat = weight.reshape(-1)
    n = flat.size
    blocks = -(-n // BLOCK)
    codes = np.empty(blocks * BLOCK // 2, np.uint8)
    scales = np.empty(blocks, np.float32)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        for start in range(0, n, _CHUNK):
            chunk_codes, chunk_scales = _encode_flat(flat[start : start + _CHUNK])
            first = start // BLOCK
            end = first + len(chunk_scales)
            codes[first * BLOCK // 2 : end * BLOCK // 2] = chunk_codes.reshape(-1)
            scales[first:end] = chunk_scales
    if not np.isfinite(scales).all():
        bad = int(np.flatnonzero(~np.isfinite(scales))[0]) * BLOCK
        raise ValueError(
            f"NF4 weight of shape {weight.shape}: "
            f"NaN or infinity in elements {bad}..{bad + BLOCK - 1}"
        )
    codes = codes[: -(-n // 2)]
    if n % 2:
        codes[-1] = (codes[-1] & 0xF0) | _ZERO
    return codes, scales


def _encode_flat(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes [blocks, 32] and scales [blocks] of consecutive elements."""
    # A power of two of elements, so that few shapes are compiled.
    size = min(_CHUNK, 1 << max(6, math.ceil(math.log2(chunk.size))))
    padded = np.zeros(size, chunk.dtype)
    padded[: chunk.size] = chunk
    blocks = -(-chunk.size // BLOCK)
    short = blocks - 1 if chunk.size % BLOCK else -1
    codes, scales = _encode_chunk(padded.reshape(-1, BLOCK), short)
    return np.asarray(codes)[:blocks], np.asarray(scales)[:blocks]


@jax.jit
def _encode_chunk(blocks, short):
    """Codes [rows, 32] and scales [rows] of float blocks [rows, 64].

    Row `short` is divided by its scale instead of multiplied by the inverse (-1: none).
    """
    x = blocks.astype(jnp.float32)
    # A maximum may pass over NaN.
    finite = jnp.isfinite(x).all(1)
    absmax = jnp.where(finite, jnp.abs(x).max(1), jnp.nan)
    safe = jnp.where(absmax == 0, 1, absmax)[:, None]
    scaled = x * jax.lax.optimization_barrier(1 / safe)
    divided = jax.lax.optimization_barrier(x / safe)
    is_short = jnp.arange(x.shape[0])[:, None] == short
    scaled = jnp.where(is_short, divided, scaled)
    codes = sum((scaled > m).astype(jnp.uint8) for m in _MIDPOINTS)
    return codes[:, 0::2] << 4 | codes[:, 1::2], absmax


def blocks_straddle(inputs: int) -> bool:
    """Whether blocks of a weight with so many inputs lie in two outputs.

    Example:
        >>> blocks_straddle(576), blocks_straddle(172)
        (False, True)
    """
    return inputs % BLOCK != 0


def _columns_and_blocks(shape: tuple[int, int]) -> tuple[int, int]:
    """How many columns a (K, N) weight has as an `NF4`, and blocks each of them."""
    k, n = shape
    if blocks_straddle(k):
        return 1, -(-k * n // BLOCK)
    return n, k // BLOCK


def repack(packed: Packed) -> NF4:
    """Regroups bitsandbytes' arrays into an `NF4` on the host.

    Args:
        packed: a weight of shape (out, in) = (N, K).

    Returns:
        The weight [K, N] with numpy leaves, ready for `jax.device_put`.

    Example:
        >>> weight = repack(encode(np.ones((4, 256), np.float32)))
        >>> weight.shape, weight.codes.shape, weight.scales.shape
        ((256, 4), (4, 32, 4), (4, 4))
    """
    n_out, n_in = packed.shape
    shape = (n_in, n_out)
    columns, blocks = _columns_and_blocks(shape)
    nibbles = np.full((columns * blocks * BLOCK // 2, 2), _ZERO, np.uint8)
    nibbles[: packed.codes.size, 0] = packed.codes >> 4
    nibbles[: packed.codes.size, 1] = packed.codes & 0xF
    halves = nibbles.reshape(columns, blocks, 2, _HALF)
    codes = (halves[:, :, 0] | halves[:, :, 1] << 4).transpose(1, 2, 0)
    scales = packed.absmax().reshape(columns, blocks).T
    return NF4(np.ascontiguousarray(codes), np.ascontiguousarray(scales), shape)


def abstract(shape: tuple[int, int], layers: int | None = None) -> NF4:
    """The `NF4` of ShapeDtypeStructs that a dense weight becomes.

    Args:
        shape: (K, N) of the dense weight.
        layers: size of a leading layer axis; None for no such axis.

    Returns:
        Shapes and dtypes; nothing is allocated.

    Example:
        >>> abstract((256, 4), layers=3).codes.shape
        (3, 4, 32, 4)
    """
    columns, blocks = _columns_and_blocks(shape)
    lead = () if layers is None else (layers,)
    return NF4(
        jax.ShapeDtypeStruct((*lead, blocks, _HALF, columns), jnp.uint8),
        jax.ShapeDtypeStruct((*lead, blocks, columns), jnp.float32),
        shape,
    )


def decode(weight: NF4, dtype) -> jax.Array:
    """The dense weight: table value (float32) x absmax (float32), then one cast.

    Bit-equal to bitsandbytes' dequantize_4bit, transposed. There is no gather, which is
    slow on TPUs.

    Args:
        weight: [..., K, N].
        dtype: dtype of the result.

    Returns:
        [..., K, N] of dtype.

    Example:
        >>> weight = repack(encode(np.full((1, 64), -2.0, np.float32), double=False))
        >>> decode(weight, jnp.float32)[:3, 0].tolist()
        [-2.0, -2.0, -2.0]
    """
    low = _lookup(weight.codes & 0xF)
    high = _lookup(weight.codes >> 4)
    values = jnp.concatenate([low, high], axis=-2)  # [..., G, 64, M]
    values = (values * weight.scales[..., None, :]).astype(dtype)
    lead, (k, n) = weight.codes.shape[:-3], weight.shape
    if not blocks_straddle(k):
        return values.reshape(*lead, k, n)
    flat = values.reshape(*lead, -1)[..., : k * n]
    return jnp.swapaxes(flat.reshape(*lead, n, k), -1, -2)


def _lookup(codes):
    """TABLE[codes], exactly, as a tree of selects over the four bits.

    Its leaves are float bit patterns, even ^ (mask & (even ^ odd)), so that bit 0
    chooses between the entries even and odd. Selects of broadcast constants would be
    hoisted out of the layer scan by JAX as full-size residuals of the gradient.
    """
    patterns = [int(v) for v in _TABLE32.view(np.uint32)]
    mask = jnp.uint32(0) - (codes & 1).astype(jnp.uint32)
    level = []
    for even, odd in zip(patterns[0::2], patterns[1::2]):
        level.append(mask & np.uint32(even ^ odd) ^ np.uint32(even))
    for bit in (1, 2, 3):
        is_set = (codes >> bit) & 1 == 1
        level = [jnp.where(is_set, b, a) for a, b in zip(level[0::2], level[1::2])]
    return jax.lax.bitcast_convert_type(level[0], jnp.float32)
