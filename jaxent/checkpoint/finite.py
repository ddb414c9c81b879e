"""NaN and infinity in arrays of a checkpoint."""

import numpy as np

_CHUNK = 1 << 22  # elements looked at a time: bounds the copy to 16 MiB
# The exponent bits of a dtype: all of them are set in NaN and infinity alone.
_EXPONENTS = {
    "float32": (np.uint32, 0x7F800000),
    "float16": (np.uint16, 0x7C00),
    "bfloat16": (np.uint16, 0x7F80),
}


def first_not_finite(value: np.ndarray) -> int | None:
    """The first element that is NaN or infinite.

    Args:
        value: float32, float16 or bfloat16, of any shape.

    Returns:
        Its index in the flat array; None where all are finite.

    Example:
        >>> first_not_finite(np.array([1.0, np.inf, np.nan], np.float32))
        1
    """
    bits, mask = _EXPONENTS[value.dtype.name]
    flat = np.ascontiguousarray(value).reshape(-1).view(bits)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK] & bits(mask) == mask
        if part.any():
            return start + int(part.argmax())
    return None
