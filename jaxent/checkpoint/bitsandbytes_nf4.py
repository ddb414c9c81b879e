"""Weights that bitsandbytes quantised, as its checkpoints hold them.

A weight has its codes under its own name, and beside them its block scales (`.absmax`),
their second level (`.nested_absmax`, `.nested_quant_map`) where there is one, the 16
values (`.quant_map`), and a JSON state as bytes.
"""

import numpy as np

from jaxent import json_files
from jaxent.arrays import dynamic8, nf4
from jaxent.checkpoint import safetensors_folder

_STATE = ".quant_state.bitsandbytes__nf4"
SUFFIXES = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", _STATE)
"""What is added to a weight's name in the names of the tensors beside it."""


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
    return nf4.Packed(folder.read(name).reshape(-1), scales, shape)


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
        return scales
    block = state.get("nested_blocksize")
    if block != dynamic8.BLOCK:
        raise ValueError(
            f"{where}: nested_blocksize {block!r}, expected {dynamic8.BLOCK}"
        )
    return dynamic8.Dynamic8(
        scales,
        folder.read(name + ".nested_absmax"),
        np.float32(state["nested_offset"]),
        folder.read(name + ".nested_quant_map"),
    )


def decode_scales(scales: np.ndarray | dynamic8.Dynamic8) -> np.ndarray:
    """Block scales as float32 [out in / 64], of one level or two."""
    return dynamic8.decode(scales) if isinstance(scales, dynamic8.Dynamic8) else scales
