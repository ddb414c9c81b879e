"""A base checkpoint and an adapter as one Hugging Face checkpoint.

The tensors are those of PEFT's merge_and_unload: a weight is read in float32, its
change is added, and the sum is rounded once. One shard is in memory at a time.
"""

import dataclasses
import json
import math
import operator
import os
import pathlib
import re
from typing import Any

import huggingface_hub
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
import tqdm

from jaxent.arrays import dora, lora, nf4
from jaxent.checkpoint import (
    bitsandbytes_nf4,
    hf,
    safetensors_folder,
    tensor_reader,
)
from jaxent.model import config as configs

BASES = ("original", "dequantised")
"""What an adapter is merged into: the checkpoint's weights, or their NF4 values."""

MAX_SHARD_SIZE = "5GB"
_DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Merge:
    """What is merged, and how.

    Attributes:
        folder: The base checkpoint.
        config: Its configuration.
        adapter: The adapter, on the host (`axes.to_host`); None where the checkpoint's
            own weights were trained, which are copied then.
        dtype: Of every tensor; None: each has the dtype that it has in the checkpoint,
            where NF4 counts as the dtype of the embedding.
        base: "original": into the checkpoint's weights. "dequantised": into the values
            of their NF4 codes, on which an adapter of a 4-bit run was trained.
    """

    folder: safetensors_folder.Folder
    config: configs.Config
    adapter: lora.Adapter | None
    dtype: Any = None
    base: str = "original"


@dataclasses.dataclass(frozen=True)
class PlannedTensor:
    """One tensor of the merged checkpoint.

    Attributes:
        name: Its name.
        row: Its parameter.
        layer: Its layer; None for a parameter without layers.
        dtype: Its dtype as it is written.
    """

    name: str
    row: hf.TensorRow
    layer: int | None
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.row.shape)


def check_merge(merge: Merge) -> None:
    """Checks that nothing of the adapter would be lost, from headers alone.

    Args:
        merge: What is to be merged.

    Raises:
        ValueError: The adapter changes what the model does not have, or the checkpoint
            is NF4 itself and has no original weights.
    """
    if merge.base not in BASES:
        raise ValueError(f"base {merge.base!r}: expected one of {', '.join(BASES)}")
    if merge.adapter is not None:
        _check_modules(merge, merge.adapter)
    stored = [
        tensor.name
        for tensor in plan_tensors(merge)
        if bitsandbytes_nf4.is_stored(merge.folder, tensor.name)
    ]
    if stored and merge.base == "original":
        raise ValueError(
            f"{merge.folder.path}: tensor {stored[0]!r} is NF4 and its original is not "
            "there: expected base dequantised, or an unquantised checkpoint"
        )


def _check_modules(merge: Merge, adapter: lora.Adapter) -> None:
    linear = [row for row in hf.tensor_table(merge.config) if row.linear]
    surplus = set(adapter.params) - {_module_path(row) for row in linear}
    if surplus:
        raise ValueError(
            f"the adapter changes {min(surplus)!r}: expected modules of the model"
        )
    rows = {row.path for row in hf.tensor_table(merge.config)}
    for path, factors in adapter.params.items():
        if factors.bias is not None and f"layers.{path}.bias" not in rows:
            raise ValueError(
                f"the adapter has a bias of {path!r} (lora_bias), and the model none:"
                " expected an adapter without, as PEFT does to merge it"
            )


def _module_path(row: hf.TensorRow) -> str:
    """The path inside a layer of a weight's or bias's module."""
    path = row.path.removeprefix("layers.")
    return path.removesuffix(".weight").removesuffix(".bias")


def plan_tensors(merge: Merge) -> list[PlannedTensor]:
    """Every tensor that is written, in order: embedding, layer after layer, the rest.

    A tied head has no tensor of its own, as transformers writes it.

    Args:
        merge: What is merged.

    Returns:
        The tensors; none of them is read.
    """
    table = hf.tensor_table(merge.config)
    embedding, *others = (_plan(merge, row) for row in table if not row.stacked)
    stacked = [
        _plan(merge, row, layer)
        for layer in range(merge.config.layers)
        for row in table
        if row.stacked
    ]
    return [embedding, *stacked, *others]


def _plan(merge: Merge, row: hf.TensorRow, layer: int | None = None) -> PlannedTensor:
    name = row.hf.format(layer)
    embedding = merge.folder.entries["model.embed_tokens.weight"].dtype
    stored = merge.folder.entries[name].dtype
    own = _DTYPES.get(stored, _DTYPES[embedding])
    dtype = np.dtype(own if merge.dtype is None else merge.dtype)
    return PlannedTensor(name, row, layer, dtype)


def merge_tensor(merge: Merge, tensor: PlannedTensor) -> np.ndarray:
    """One tensor of the merged checkpoint.

    Args:
        merge: What is merged.
        tensor: One of `plan_tensors`.

    Returns:
        Its value as Hugging Face stores it: a linear weight is [out, in].

    Raises:
        ValueError: A value is NaN or infinite.
    """
    value = _read_base(merge, tensor)
    path, adapter = _module_path(tensor.row), merge.adapter
    if adapter is not None and path in adapter.params:
        of_layer = operator.itemgetter(tensor.layer)
        factors = jax.tree.map(of_layer, adapter.params[path])
        value = _merge_factors(value, factors, adapter.config)
    with np.errstate(over="ignore"):  # what overflows is refused below
        value = np.ascontiguousarray(value.astype(tensor.dtype))
    if not np.isfinite(value).all():
        raise ValueError(
            f"merged tensor {tensor.name!r} has a value that is NaN or infinite in "
            f"{tensor.dtype}: expected finite ones"
        )
    return value


def _merge_factors(
    value: np.ndarray, factors: lora.LoraParams, config: lora.LoraConfig
) -> np.ndarray:
    """A module's weight [out, in] or bias [out] with its adapter, in float32."""
    wide = jnp.asarray(value, jnp.float32)
    if wide.ndim == 1:
        if factors.bias is None:
            return value
        return np.asarray(wide + config.scaling * factors.bias)
    # Not under jit, where the compiler would fuse the product into the sum.
    return np.asarray(dora.merge_weight(wide.T, factors, config)).T


def _read_base(merge: Merge, tensor: PlannedTensor) -> np.ndarray:
    """The base's tensor; values of NF4 codes are in the dtype that is written."""
    if not tensor.row.linear or merge.base == "original":
        return merge.folder.read(tensor.name)
    reader = tensor_reader.TensorReader(merge.folder, True, True, None)
    weight = reader.read(tensor.name, tensor.row.shape, linear=True)
    return np.asarray(nf4.decode(weight, tensor.dtype)).T


def check_shard_size(text: str) -> str:
    """The size, if it is one.

    Args:
        text: A number and KB, MB, GB or TB, powers of 1000.

    Raises:
        ValueError: It is something else.

    Example:
        >>> check_shard_size("500MB")
        '500MB'
    """
    number = re.fullmatch(r"(\d+(?:\.\d+)?) ?[KMGT]B", text.strip(), re.IGNORECASE)
    if not number or not float(number[1]):
        raise ValueError(
            f"max_shard_size {text!r}: expected a size such as 500MB or 5GB"
        )
    return text


def write(
    merge: Merge,
    out: pathlib.Path,
    max_shard_size: str = MAX_SHARD_SIZE,
    progress: bool = False,
) -> None:
    """Writes the merged tensors: model.safetensors, or shards and their index.

    Args:
        merge: What is merged.
        out: A folder.
        max_shard_size: The most that a file holds, such as 5GB; a larger tensor has a
            file of its own.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: A value is NaN or infinite.
    """
    tensors = {tensor.name: tensor for tensor in plan_tensors(merge)}
    split = huggingface_hub.split_state_dict_into_shards_factory(
        tensors,
        get_storage_size=_nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=check_shard_size(max_shard_size),
    )
    bar = tqdm.tqdm(
        total=len(tensors), desc="merge", unit="tensor", disable=not progress
    )
    for file, names in split.filename_to_tensors.items():
        shard = {}
        for name in names:
            shard[name] = merge_tensor(merge, tensors[name])
            bar.update()
        safetensors.numpy.save_file(shard, out / file, metadata={"format": "pt"})
        _grant_reading(out / file)
    bar.close()
    if split.is_sharded:
        parameters = sum(tensor.size for tensor in tensors.values())
        index = {
            "metadata": {"total_parameters": parameters, **split.metadata},
            "weight_map": split.tensor_to_filename,
        }
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        (out / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _grant_reading(file: pathlib.Path) -> None:
    """Gives a file the usual rights; safetensors leaves it to its owner alone."""
    masked = os.umask(0)
    os.umask(masked)
    file.chmod(0o666 & ~masked)


def _nbytes(tensor: PlannedTensor) -> int:
    return tensor.size * tensor.dtype.itemsize


def total_bytes(merge: Merge) -> int:
    """What the merged tensors take on disk.

    Args:
        merge: What is to be merged.

    Returns:
        Bytes.
    """
    return sum(map(_nbytes, plan_tensors(merge)))
