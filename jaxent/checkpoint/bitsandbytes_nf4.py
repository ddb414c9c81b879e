"""Weights that bitsandbytes quantised, as its checkpoints hold them.

A weight has its codes under its own name, and beside them its block scales (`.absmax`),
their second level (`.nested_absmax`, `.nested_quant_map`) where there is one, the 16
values (`.quant_map`), and a JSON state as bytes. The bytes of the codes may lie in a
tensor of another dtype (`bnb_4bit_quant_storage`).
"""

import math

import numpy as np

from jaxent import json_files
from jaxent.arrays import dynamic8, nf4
from jaxent.checkpoint import safetensors_folder

_STATE = ".quant_state.bitsandbytes__nf4"
SUFFIXES = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", _STATE)
"""What is added to a weight's name in the names of the tensors beside it."""


# Bytes of an element of the dtypes in which codes may lie.
_STORAGE = {"U8": 1, "I8": 1, "F16": 2, "BF16": 2, "F32": 4, "F64": 8}


def is_stored(folder: safetensors_folder.Folder, name: str) -> bool:
    """Whether the folder holds a weight as bitsandbytes' NF4."""
    return name + _STATE in folder.entries


def read_packed(
    folder: safetensors_folder.Folder, name: str, shape: tuple[int, int]
) -> nf4.Packed:
    """A quantised weight.

    Args:
        folder: The checkpoint.
        name: The weight's name.
        shape: Its shape, (out, in).

    Returns:
        Codes and scales as bitsandbytes has them.

    Raises:
        ValueError: Its state is not one that this package reads.
    """
    scales = read_scales(folder, name, shape)
    return nf4.Packed(read_codes(folder, name, shape), scales, shape)


def read_codes(
    folder: safetensors_folder.Folder,
    name: str,
    shape: tuple[int, int],
    span: tuple[int, int] | None = None,
) -> np.ndarray:
    """The codes of a quantised weight, or some of them.

    Args:
        folder: The checkpoint.
        name: The weight's name.
        shape: Its shape, (out, in).
        span: Bytes from start to stop; None for all.

    Returns:
        uint8 [out in / 2], or [stop - start].

    Raises:
        ValueError: The tensor has not as many bytes.
    """
    size = check_codes(folder, name, shape)
    if span is None:
        return folder.read(name).view(np.uint8).reshape(-1)
    start, stop = span
    first = start // size
    part = folder.read(name, (slice(first, -(-stop // size)),))
    flat = np.ascontiguousarray(part).view(np.uint8).reshape(-1)
    return flat[start - first * size : stop - first * size]


def check_codes(
    folder: safetensors_folder.Folder, name: str, shape: tuple[int, int]
) -> int:
    """Checks by its header alone that a tensor can hold a weight's codes.

    Args:
        folder: The checkpoint.
        name: The weight's name.
        shape: Its shape, (out, in).

    Returns:
        Bytes of an element of the tensor.

    Raises:
        ValueError: The tensor has not as many bytes.
    """
    entry = folder.entries[name]
    size = _STORAGE.get(entry.dtype)
    expected = -(-math.prod(shape) // 2)
    if size is None or math.prod(entry.shape) * size != expected:
        raise ValueError(
            f"{entry.file}: tensor {name!r} has shape {entry.shape} and dtype"
            f" {entry.dtype}, expected {expected} bytes of NF4 codes"
        )
    return size


def read_scales(
    folder: safetensors_folder.Folder, name: str, shape: tuple[int, int]
) -> np.ndarray | dynamic8.Dynamic8:
    """The block scales of a quantised weight, once its state is checked.

    Args:
        folder: The checkpoint.
        name: The weight's name.
        shape: Its shape, (out, in).

    Returns:
        float32 [out in / 64], or their second level.

    Raises:
        ValueError: Its state is not one that this package reads.
    """
    where = f"{folder.entries[name].file}: tensor {name!r}"
    state = json_files.parse_json(folder.read(name + _STATE).tobytes(), where)
    expected = {"quant_type": "nf4", "blocksize": nf4.BLOCK, "shape": list(shape)}
    for key, wanted in expected.items():
        if state.get(key) != wanted:
            raise ValueError(
                f"{where}: bitsandbytes {key} {state.get(key)!r}, expected {wanted!r}"
            )
    table = np.array(nf4.TABLE, np.float32)
    if not np.array_equal(folder.read(name + ".quant_map"), table):
        raise ValueError(f"{where}: its 16-value table is not NF4's")
    scales = folder.read(name + ".absmax")
    if name + ".nested_absmax" not in folder.entries:
        _check_scales(scales, shape, where)
        return scales
    block = state.get("nested_blocksize")
    if block != dynamic8.BLOCK:
        raise ValueError(
            f"{where}: nested_blocksize {block!r}, expected {dynamic8.BLOCK}"
        )
    double = dynamic8.Dynamic8(
        scales,
        folder.read(name + ".nested_absmax"),
        np.float32(state["nested_offset"]),
        folder.read(name + ".nested_quant_map"),
    )
    _check_scales(dynamic8.decode(double), shape, where)
    return double


def _check_scales(scales: np.ndarray, shape: tuple[int, int], where: str) -> None:
    blocks = -(-math.prod(shape) // nf4.BLOCK)
    if scales.shape != (blocks,):
        raise ValueError(
            f"{where}: block scales of shape {scales.shape}, expected ({blocks},)"
        )
    if not np.isfinite(scales).all():
        bad = int(np.flatnonzero(~np.isfinite(scales))[0])
        raise ValueError(f"{where}: NaN or infinity in block scale {bad}")


def decode_scales(scales: np.ndarray | dynamic8.Dynamic8) -> np.ndarray:
    """Block scales as float32 [out in / 64], of one level or two."""
    return dynamic8.decode(scales) if isinstance(scales, dynamic8.Dynamic8) else scales
