"""bitsandbytes' 8-bit dynamic quantisation, used on the block scales of NF4 weights.

This is the second level of "double quantisation" (Dettmers et al. 2023). It runs in
numpy on the host: there is one scale for 64 weights, so it is cheap. On a device XLA
would also fuse the decoding into a multiply-add, which rounds once; bitsandbytes rounds
twice.
"""

import dataclasses

import numpy as np

BLOCK = 256  # values that share a second-level scale
RULES = ("nearest", "cpu_grid")

# Positive half of bitsandbytes' create_dynamic_map(). Its values come from torch's
# float32 linspace, whose last bits a recomputation does not reproduce, hence the
# literals.
_POSITIVE = (
    5.5000004e-07,
    3.2500002e-06,
    7.75e-06,
    2.1249998e-05,
    4.375e-05,
    6.625e-05,
    8.875e-05,
    1.5625001e-04,
    2.6875004e-04,
    3.8125002e-04,
    4.9375003e-04,
    6.062501e-04,
    7.1875006e-04,
    8.3125e-04,
    9.437501e-04,
    1.2812499e-03,
    1.84375e-03,
    2.40625e-03,
    2.96875e-03,
    3.5312497e-03,
    4.09375e-03,
    4.6562497e-03,
    5.2187503e-03,
    5.78125e-03,
    6.34375e-03,
    6.90625e-03,
    7.46875e-03,
    8.03125e-03,
    8.59375e-03,
    9.156249e-03,
    9.71875e-03,
    1.140625e-02,
    1.421875e-02,
    1.703125e-02,
    1.9843752e-02,
    2.265625e-02,
    2.546875e-02,
    2.8281251e-02,
    3.109375e-02,
    3.390625e-02,
    3.6718752e-02,
    3.953125e-02,
    4.2343747e-02,
    4.515625e-02,
    4.796875e-02,
    5.078125e-02,
    5.359375e-02,
    5.640625e-02,
    5.9218753e-02,
    6.203125e-02,
    6.484375e-02,
    6.7656256e-02,
    7.0468746e-02,
    7.328125e-02,
    7.609375e-02,
    7.890625e-02,
    8.171876e-02,
    8.453125e-02,
    8.734375e-02,
    9.015625e-02,
    9.2968754e-02,
    9.578126e-02,
    9.859375e-02,
    1.07031256e-01,
    1.2109375e-01,
    1.3515624e-01,
    1.4921875e-01,
    1.6328125e-01,
    1.7734376e-01,
    1.9140625e-01,
    2.0546874e-01,
    2.1953125e-01,
    2.3359375e-01,
    2.4765624e-01,
    2.6171875e-01,
    2.7578127e-01,
    2.8984374e-01,
    3.0390626e-01,
    3.1796873e-01,
    3.3203125e-01,
    3.4609374e-01,
    3.6015624e-01,
    3.7421876e-01,
    3.8828123e-01,
    4.0234375e-01,
    4.1640624e-01,
    4.3046874e-01,
    4.4453126e-01,
    4.5859373e-01,
    4.7265625e-01,
    4.867187e-01,
    5.0078124e-01,
    5.148437e-01,
    5.289062e-01,
    5.4296875e-01,
    5.570313e-01,
    5.710938e-01,
    5.8515626e-01,
    5.992187e-01,
    6.1328125e-01,
    6.273438e-01,
    6.414063e-01,
    6.5546876e-01,
    6.695312e-01,
    6.8359375e-01,
    6.976563e-01,
    7.117188e-01,
    7.2578126e-01,
    7.398437e-01,
    7.5390625e-01,
    7.679688e-01,
    7.8203124e-01,
    7.9609376e-01,
    8.101562e-01,
    8.2421875e-01,
    8.382813e-01,
    8.5234374e-01,
    8.6640626e-01,
    8.804687e-01,
    8.9453125e-01,
    9.085938e-01,
    9.2265624e-01,
    9.3671876e-01,
    9.507812e-01,
    9.6484375e-01,
    9.789063e-01,
    9.9296874e-01,
    1.0,
)
MAP = np.array([-v for v in _POSITIVE[-2::-1]] + [0.0, *_POSITIVE], np.float32)
_MIDPOINTS = (MAP[:-1] + MAP[1:]) / np.float32(2)
_GRID = np.float32(32767.5)  # half the steps of the CPU kernel's grid over [-1, 1]


@dataclasses.dataclass(frozen=True)
class Dynamic8:
    """float32 values as 8-bit codes.

    value[i] = map[codes[i]] * scales[i // 256] + offset

    Attributes:
        codes: uint8 [n], indices into `map`.
        scales: float32 [ceil(n / 256)], one for each block of 256 values.
        offset: float32 scalar.
        map: float32 [256], increasing.
    """

    codes: np.ndarray
    scales: np.ndarray
    offset: np.float32
    map: np.ndarray = dataclasses.field(default_factory=lambda: MAP)

    def __post_init__(self):
        blocks = -(-self.codes.size // BLOCK)
        if self.codes.dtype != np.uint8 or self.scales.shape != (blocks,):
            raise ValueError(
                f"8-bit scales of {self.codes.dtype} codes {self.codes.shape}: "
                f"second-level scales have shape {self.scales.shape}, expected uint8 "
                f"codes and ({blocks},) scales"
            )


def encode(
    values: np.ndarray, rule: str = "nearest", offset: np.float32 | None = None
) -> Dynamic8:
    """Quantises float32 values as bitsandbytes quantises nested statistics.

    s = (values - offset) / max|values - offset|, the maximum over blocks of 256; the
    code of s is an index into `MAP`. Equal to bitsandbytes 0.50 on CPU bit for bit with
    rule "cpu_grid" and the same offset (torch's float32 mean may differ from numpy's in
    the last place).

    Args:
        values: float32 [n].
        rule: "nearest" takes the nearest map entry, ties down, which is what
            bitsandbytes documents. "cpu_grid" does what its CPU kernel does: s is first
            rounded to a grid of 65,536 points, and a block of zeros gets code 0.
        offset: what is subtracted first; the mean of the values if None.

    Returns:
        Codes, second-level scales and the offset.

    Raises:
        ValueError: an unknown rule.

    Example:
        >>> values = np.linspace(0, 1, 300, dtype=np.float32)
        >>> packed = encode(values)
        >>> packed.codes.shape, packed.scales.shape
        ((300,), (2,))
        >>> bool(abs(decode(packed) - values).max() < 0.01)
        True
    """
    if rule not in RULES:
        raise ValueError(
            f"second-level rule {rule!r}: expected 'nearest' or 'cpu_grid'"
        )
    if offset is None:
        offset = np.float32(np.mean(values, dtype=np.float64))
    offset = np.float32(offset)
    n = values.size
    scaled, scales = _scale_blocks(values - offset)
    if rule == "cpu_grid":
        index = np.floor((scaled + np.float32(1)) * _GRID + np.float32(0.5))
        scaled = index.astype(np.float32) / _GRID - np.float32(1)
    codes = np.searchsorted(_MIDPOINTS, scaled, side="left").astype(np.uint8)
    if rule == "cpu_grid":
        codes[scales == 0] = 0
    return Dynamic8(codes.reshape(-1)[:n], scales, offset)


def _scale_blocks(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values [n] divided by their block's largest: ([blocks, 256], [blocks])."""
    n = centred.size
    blocks = -(-n // BLOCK)
    padded = np.zeros(blocks * BLOCK, np.float32)
    padded[:n] = centred
    rows = padded.reshape(blocks, BLOCK)
    scales = np.abs(rows).max(1)
    safe = np.where(scales == 0, np.float32(1), scales)
    scaled = rows * (np.float32(1) / safe)[:, None]
    if n % BLOCK:  # bitsandbytes divides in a short last block
        scaled[-1] = rows[-1] / safe[-1]
    return scaled, scales


def decode(packed: Dynamic8) -> np.ndarray:
    """Decodes to float32 [n]: map[code] * scale + offset, rounded after each operation.

    Example:
        >>> decode(encode(np.full(3, 0.5, np.float32))).tolist()
        [0.5, 0.5, 0.5]
    """
    scales = np.repeat(packed.scales, BLOCK)[: packed.codes.size]
    values = packed.map[packed.codes] * scales
    return values + packed.offset
