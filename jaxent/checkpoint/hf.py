"""Hugging Face checkpoints to `Transformer` and back: one table of names, strict."""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
import tqdm
from absl import logging
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxent.arrays import lora, nf4
from jaxent.checkpoint import (
    bitsandbytes_nf4,
    quantization,
    safetensors_folder,
    tensor_reader,
)
from jaxent.model import blocks, sharding, transformer
from jaxent.model import config as configs

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
# A buffer of some checkpoints, which is computed from the config.
_IGNORED = re.compile(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq")
_DTYPES = {"F32": jnp.float32, "BF16": jnp.bfloat16, "F16": jnp.float16}


@dataclasses.dataclass(frozen=True)
class TensorRow:
    """One parameter.

    Attributes:
        hf: Its name in Hugging Face's checkpoints; "{}" is the layer.
        path: Its dotted path in `Transformer`.
        shape: Its shape in Hugging Face's checkpoints, of one layer.
        linear: Whether it is a linear weight: stored [out, in] by Hugging Face,
            [in, out] here; quantised.
    """

    hf: str
    path: str
    shape: tuple[int, ...]
    linear: bool = False

    @property
    def stacked(self) -> bool:
        """Whether it has a leading layer axis here."""
        return "{}" in self.hf


def tensor_table(config: configs.Config) -> list[TensorRow]:
    """Every parameter of a model.

    Args:
        config: The model's.

    Returns:
        A row a parameter, in the order of loading.
    """
    d, v = config.embed, config.vocab
    rows = [TensorRow(_EMBEDDING, "embed_tokens.weight", (v, d))]
    for module, (k, n) in blocks.linear_shapes(config).items():
        path = lora.PATHS[module]
        rows.append(_layer_row(f"{path}.weight", (n, k), linear=True))
        if config.qkv_bias and module in ("q_proj", "k_proj", "v_proj"):
            rows.append(_layer_row(f"{path}.bias", (n,)))
    if config.qk_norm:
        rows.append(_layer_row("self_attn.q_norm.weight", (config.head_dim,)))
        rows.append(_layer_row("self_attn.k_norm.weight", (config.head_dim,)))
    rows.append(_layer_row("input_layernorm.weight", (d,)))
    rows.append(_layer_row("post_attention_layernorm.weight", (d,)))
    rows.append(TensorRow("model.norm.weight", "norm.weight", (d,)))
    if not config.tied:
        rows.append(TensorRow(_HEAD, "lm_head.weight", (v, d)))
    return rows


def _layer_row(path: str, shape: tuple[int, ...], linear: bool = False) -> TensorRow:
    return TensorRow(f"model.layers.{{}}.{path}", f"layers.{path}", shape, linear)


def tensor_names(row: TensorRow, config: configs.Config) -> list[str]:
    """The names of a parameter's tensors in Hugging Face's checkpoints, one a layer."""
    if not row.stacked:
        return [row.hf]
    return [row.hf.format(layer) for layer in range(config.layers)]


def load(
    source: str,
    quantize: bool = True,
    dtype: Any = None,
    double: bool = True,
    progress: bool = False,
    mesh: Mesh | None = None,
) -> transformer.Transformer:
    """Loads a checkpoint onto the default device, or onto a mesh.

    One tensor at a time is read, encoded, copied to the device and dropped: host memory
    above the finished model stays below two of the largest tensors. A checkpoint that
    bitsandbytes quantised keeps its codes and scales, and modules that it kept dense
    (llm_int8_skip_modules) stay dense in all layers. On a mesh each process reads and
    encodes only what its devices hold, as `sharding` says. Weights whose inputs are no
    multiple of 64 stay in one column of NF4 blocks; a warning names the first of them.

    Args:
        source: A local folder or a Hub id.
        quantize: Whether linear weights become NF4.
        dtype: Of embedding, norms, biases and head (and of linear weights unless they
            are quantised); None: the checkpoint's, of layers in two dtypes the one that
            holds both.
        double: Whether the scales of NF4 are quantised too.
        progress: Whether to show a progress bar.
        mesh: Devices to split the model over.

    Returns:
        The model.

    Raises:
        FileNotFoundError: There is no such folder or id, or a file is missing.
        ValueError: Names, shapes, dtypes or the mesh do not fit; before anything is
            loaded. Or a tensor holds NaN or infinity.

    Example:
        >>> folder = pathlib.Path(configs.__file__).parents[1] / "data/checkpoints/tiny"
        >>> load(str(folder)).config.layers
        4
    """
    folder, config = _open_checked(source)
    model = transformer.abstract(config)
    if mesh is not None:
        sharding.check_mesh(abstract_model(config, quantize), mesh)
    if quantize and jax.process_index() == 0:
        _warn_of_straddling(folder.path, config)
    reader = tensor_reader.TensorReader(folder, quantize, double, dtype)
    bar = _progress_bar(len(folder.entries), progress)
    stored = quantization.read_quantization(folder.path)
    for row in tensor_table(config):
        param = _parameter(model, row.path)
        own = _reader_of(reader, row, config, stored)
        param.set_value(_load_param(own, row, param, config.layers, mesh, bar))
    bar.close()
    return model


@functools.cache
def _warn_of_straddling(folder: pathlib.Path, config: configs.Config) -> None:
    """Says once which weight falls out of the layout that meshes split, if any does."""
    for row in tensor_table(config):
        if row.linear and nf4.blocks_straddle(row.shape[1]):
            logging.warning(
                "%s: tensor %r has %d inputs, no multiple of %d: every such weight is"
                " kept as one column of NF4 blocks, which no mesh splits and which is"
                " transposed at every use",
                folder,
                tensor_names(row, config)[0],
                row.shape[1],
                nf4.BLOCK,
            )
            return


def _open_checked(source: str) -> tuple[safetensors_folder.Folder, configs.Config]:
    """A checkpoint's headers and configuration, which fit each other."""
    folder = safetensors_folder.open_folder(safetensors_folder.locate(source))
    config = configs.read_config(folder.path)
    check_tensors(folder, config)
    return _with_embedding(folder, config), config


def _progress_bar(total: int, shown: bool) -> tqdm.tqdm:
    return tqdm.tqdm(
        total=total, desc="load", unit="tensor", disable=not shown, leave=False
    )


def check_tensors(folder: safetensors_folder.Folder, config: configs.Config) -> None:
    """Checks that each tensor is used once and each parameter filled once.

    Args:
        folder: The checkpoint.
        config: The model's.

    Raises:
        ValueError: A tensor is missing, surplus, or of another shape or dtype.
    """
    stored = quantization.read_quantization(folder.path)
    folder = _with_embedding(folder, config)
    left = {name for name in folder.entries if not _IGNORED.fullmatch(name)}
    for row in tensor_table(config):
        for name in tensor_names(row, config):
            if name not in left:
                raise ValueError(
                    f"{folder.path}: tensor {name!r} is missing,"
                    f" expected shape {row.shape}"
                )
            left -= {name, *(name + suffix for suffix in bitsandbytes_nf4.SUFFIXES)}
            _check_tensor(folder, name, row)
            if row.linear:
                quantization.check_stored(stored, folder, name)
    if config.tied and _HEAD in left:
        if not np.array_equal(folder.read(_HEAD), folder.read(_EMBEDDING)):
            raise ValueError(
                f"{folder.path}: config ties the head, but {_HEAD!r} differs"
                " from the embedding (tie_word_embeddings: false would use it)"
            )
        left.remove(_HEAD)
    if left:
        raise ValueError(
            f"{folder.path}: surplus tensor {min(left)!r}, which no {config.family}"
            " parameter uses"
        )


def _with_embedding(
    folder: safetensors_folder.Folder, config: configs.Config
) -> safetensors_folder.Folder:
    """Of a tied pair that was saved under the head's name, under the embedding's."""
    entries = dict(folder.entries)
    if not config.tied or _EMBEDDING in entries or _HEAD not in entries:
        return folder
    entries[_EMBEDDING] = entries.pop(_HEAD)
    return dataclasses.replace(folder, entries=entries)


def _check_tensor(folder: safetensors_folder.Folder, name: str, row: TensorRow) -> None:
    entry = folder.entries[name]
    where = f"{entry.file}: tensor {name!r}"
    if bitsandbytes_nf4.is_stored(folder, name):
        if not row.linear:
            raise ValueError(f"{where} is NF4, expected an unquantised one")
        n, k = row.shape
        bitsandbytes_nf4.check_codes(folder, name, (n, k))
    elif entry.dtype not in _DTYPES:
        raise ValueError(f"{where} has dtype {entry.dtype}, expected F32, BF16 or F16")
    elif entry.shape != row.shape:
        raise ValueError(f"{where} has shape {entry.shape}, expected {row.shape}")


def abstract_model(
    config: configs.Config, quantize: bool = True, dtype: Any = jnp.bfloat16
) -> transformer.Transformer:
    """What `load` would give, as ShapeDtypeStructs: nothing is read or allocated.

    Args:
        config: The model's.
        quantize: Whether linear weights are NF4.
        dtype: Of everything else.

    Returns:
        The model.
    """
    model = transformer.abstract(config, dtype)
    if quantize:
        for row in tensor_table(config):
            if row.linear:
                n, k = row.shape
                set_param(model, row.path, nf4.abstract((k, n), config.layers))
    return model


def set_param(model: transformer.Transformer, path: str, value: Any) -> None:
    """Replaces the value of one parameter.

    Args:
        model: The model, changed in place.
        path: The parameter's dotted path (`TensorRow.path`).
        value: An array or an NF4.
    """
    _parameter(model, path).set_value(value)


def _parameter(model: transformer.Transformer, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), model)


def _reader_of(
    reader: tensor_reader.TensorReader,
    row: TensorRow,
    config: configs.Config,
    stored: quantization.Quantization | None,
) -> tensor_reader.TensorReader:
    """How one parameter's tensors are read: all its layers alike.

    Weights that bitsandbytes kept as they are stay so. Where it kept some layers and
    quantised others, all are kept dense in a dtype that holds every value.
    """
    names = tensor_names(row, config)
    packed = [bitsandbytes_nf4.is_stored(reader.folder, name) for name in names]
    quantize = reader.quantize and row.linear
    if stored is not None and not all(packed):
        quantize = False
    if quantize or reader.dtype is not None:
        return dataclasses.replace(reader, quantize=quantize)
    # A model with NF4 weights computes with every bit of their values.
    decoded = jnp.float32 if reader.quantize else tensor_reader.STORED_DTYPE
    dtypes = {
        decoded if is_packed else _DTYPES[reader.folder.entries[name].dtype]
        for name, is_packed in zip(names, packed)
    }
    if not any(packed) and len(dtypes) == 1:
        return dataclasses.replace(reader, quantize=quantize)
    dtype = functools.reduce(jnp.promote_types, dtypes)
    return dataclasses.replace(reader, quantize=quantize, dtype=dtype)


def _load_param(
    reader: tensor_reader.TensorReader,
    row: TensorRow,
    param: Any,
    layers: int,
    mesh: Mesh | None,
    bar: tqdm.tqdm,
) -> Any:
    """A parameter's value on the device or on the mesh, its layers stacked."""

    def read(name: str) -> Any:
        bar.update()
        if mesh is None:
            return reader.read(name, row.shape, row.linear)
        logical = param.logical[row.stacked :]
        return reader.read_onto(name, row.shape, row.linear, mesh, logical)

    if row.stacked:
        return _stack(layers, lambda layer: read(row.hf.format(layer)))
    value = read(row.hf)
    return value if isinstance(value, jax.Array | nf4.NF4) else jax.device_put(value)


def _stack(count: int, read: Callable[[int], Any]) -> Any:
    """Layers 0..count-1 stacked on the device in place; the host holds one of them."""
    first = read(0)
    stacked = jax.tree.map(lambda x: _zeros(count, x), first)
    stacked = _write(stacked, first, 0)
    del first
    for index in range(1, count):
        stacked = _write(stacked, read(index), index)
        jax.block_until_ready(stacked)  # lets the host copy go before the next read
    return stacked


def _zeros(count: int, x: Any) -> jax.Array:
    """[count, ...] zeros, split as x is where x is on a mesh."""
    device = None
    if isinstance(x, jax.Array) and isinstance(x.sharding, NamedSharding):
        spec = PartitionSpec(None, *x.sharding.spec)
        device = NamedSharding(x.sharding.mesh, spec)
    return jnp.zeros((count, *x.shape), x.dtype, device=device)


@functools.partial(jax.jit, donate_argnums=0)
def _write(stacked, layer, index):
    def write(rows, row):
        return jax.lax.dynamic_update_index_in_dim(rows, row, index, 0)

    return jax.tree.map(write, stacked, layer)


def save(
    model: transformer.Transformer,
    folder: pathlib.Path,
    raw_config: dict,
    dtype: Any = None,
) -> None:
    """Writes a dense model as a Hugging Face folder: config.json, model.safetensors.

    Args:
        model: The model, without NF4.
        folder: The folder, made if it does not exist.
        raw_config: What config.json is to hold.
        dtype: Of the tensors; None: the model's.
    """
    config = configs.from_dict(raw_config)
    tensors = {}
    for row in tensor_table(config):
        value = _parameter(model, row.path).get_value()
        value = np.asarray(value if dtype is None else value.astype(dtype))
        for index, name in enumerate(tensor_names(row, config)):
            one = value[index] if row.stacked else value
            tensors[name] = np.ascontiguousarray(one.T if row.linear else one)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "model.safetensors.partial"
    safetensors.numpy.save_file(tensors, partial, metadata={"format": "pt"})
    partial.rename(folder / "model.safetensors")
    text = json.dumps(raw_config, indent=1) + "\n"
    (folder / "config.json").write_text(text, encoding="utf-8")
