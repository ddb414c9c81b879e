"""Hugging Face checkpoints to `Transformer` and back: one table of names, strict both ways."""

import dataclasses
import functools
import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
import tqdm
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxent.arrays import dynamic8, lora, nf4
from jaxent.checkpoint import parts, safetensors_folder
from jaxent.distributed import axes
from jaxent.model import blocks, sharding, transformer
from jaxent.model import config as configs

_BNB = ".quant_state.bitsandbytes__nf4"
_PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", _BNB)
_IGNORED = re.compile(
    r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
)  # a buffer, recomputed from the config


@dataclasses.dataclass(frozen=True)
class TensorRow:
    """One parameter: its HF name ("{}" stands for the layer), its path here, and its HF shape."""

    hf: str
    path: str
    shape: tuple[int, ...]
    linear: bool = False  # stored [out, in] by Hugging Face, [in, out] here; quantised

    @property
    def stacked(self) -> bool:
        return "{}" in self.hf


def tensor_table(config: configs.Config) -> list[TensorRow]:
    """Every parameter of a model of `config`, in the order it is loaded."""
    d, v = config.embed, config.vocab
    rows = [TensorRow("model.embed_tokens.weight", "embed_tokens.weight", (v, d))]
    for module, (k, n) in blocks.linear_shapes(config).items():
        path = lora.PATHS[module]
        rows.append(
            TensorRow(
                f"model.layers.{{}}.{path}.weight",
                f"layers.{path}.weight",
                (n, k),
                linear=True,
            )
        )
        if config.qkv_bias and module in ("q_proj", "k_proj", "v_proj"):
            rows.append(
                TensorRow(f"model.layers.{{}}.{path}.bias", f"layers.{path}.bias", (n,))
            )
    for norm in ("self_attn.q_norm", "self_attn.k_norm") if config.qk_norm else ():
        rows.append(
            TensorRow(
                f"model.layers.{{}}.{norm}.weight",
                f"layers.{norm}.weight",
                (config.head_dim,),
            )
        )
    for norm in ("input_layernorm", "post_attention_layernorm"):
        rows.append(
            TensorRow(f"model.layers.{{}}.{norm}.weight", f"layers.{norm}.weight", (d,))
        )
    rows.append(TensorRow("model.norm.weight", "norm.weight", (d,)))
    if not config.tied:
        rows.append(TensorRow("lm_head.weight", "lm_head.weight", (v, d)))
    return rows


def tensor_names(row: TensorRow, config: configs.Config) -> list[str]:
    return [row.hf.format(i) for i in range(config.layers)] if row.stacked else [row.hf]


def load(
    source: str,
    quantize: bool = True,
    dtype=None,
    double: bool = True,
    progress: bool = False,
    mesh: Mesh | None = None,
) -> transformer.Transformer:
    """Loads a local folder or Hub id; linear weights become NF4 (double-quantised) if `quantize`.

    One tensor at a time: read, encode, place on the default device, drop. Host memory above the
    finished model stays below two of the largest tensors. dtype None keeps the checkpoint's for
    embedding, norms, biases and head. Checkpoints already quantised by bitsandbytes are taken as
    they are. On a mesh each process reads and encodes only what its devices hold, as `sharding` says. Raises before
    loading anything if names, shapes, dtypes or files do not fit, or the mesh does not split them.
    """
    folder = safetensors_folder.open_folder(safetensors_folder.locate(source))
    config = configs.read_config(folder.path)
    check_tensors(folder, config)
    model = transformer.abstract(config)
    if mesh is not None:
        sharding.check_mesh(abstract_model(config, quantize), mesh)
    bar = tqdm.tqdm(
        total=len(folder.entries),
        desc="load",
        unit="tensor",
        disable=not progress,
        leave=False,
    )
    for row in tensor_table(config):
        options = dict(quantize=quantize, double=double, dtype=dtype, bar=bar)
        if mesh is None:
            read = functools.partial(_read, folder, row, **options)
        else:
            logical = _parameter(model, row.path).logical[row.stacked :]
            read = functools.partial(
                _read_parts, folder, row, logical=logical, mesh=mesh, **options
            )
        value = (
            _stack(config.layers, lambda i: read(row.hf.format(i)))
            if row.stacked
            else read(row.hf)
        )
        set_param(
            model,
            row.path,
            value if isinstance(value, jax.Array | nf4.NF4) else jax.device_put(value),
        )
    bar.close()
    return model


def check_tensors(folder: safetensors_folder.Folder, config: configs.Config) -> None:
    """Every tensor used once, every parameter filled once, shapes equal; ValueError naming the tensor otherwise."""
    left = {n for n in folder.entries if not _IGNORED.fullmatch(n)}
    for row in tensor_table(config):
        for name in tensor_names(row, config):
            if name not in left:
                raise ValueError(
                    f"{folder.path}: tensor {name!r} is missing, expected shape {row.shape}"
                )
            left -= {name, *(name + part for part in _PARTS)}
            entry = folder.entries[name]
            if name + _BNB in folder.entries:
                if not row.linear:
                    raise ValueError(
                        f"{entry.file}: tensor {name!r} is NF4, expected an unquantised one"
                    )
            elif entry.dtype not in ("F32", "BF16", "F16"):
                raise ValueError(
                    f"{entry.file}: tensor {name!r} has dtype {entry.dtype}, expected F32, BF16 or F16"
                )
            elif entry.shape != row.shape:
                raise ValueError(
                    f"{entry.file}: tensor {name!r} has shape {entry.shape}, expected {row.shape}"
                )
    if config.tied and "lm_head.weight" in left:
        if not np.array_equal(
            folder.read("lm_head.weight"), folder.read("model.embed_tokens.weight")
        ):
            raise ValueError(
                f"{folder.path}: config ties the head, but 'lm_head.weight' differs from the embedding"
            )
        left.remove("lm_head.weight")
    if left:
        raise ValueError(
            f"{folder.path}: surplus tensor {min(left)!r}, which no {config.family} parameter uses"
        )


def abstract_model(
    config: configs.Config, quantize: bool = True, dtype=jnp.bfloat16
) -> transformer.Transformer:
    """What `load` would give, as ShapeDtypeStructs: nothing is read or allocated."""
    model = transformer.abstract(config, dtype)
    for row in tensor_table(config) if quantize else ():
        if row.linear:
            set_param(model, row.path, nf4.abstract(row.shape[::-1], config.layers))
    return model


def _read(folder, row, name, *, quantize, double, dtype, bar):
    """One tensor as it will lie on the device (numpy leaves)."""
    bar.update()
    if name + _BNB in folder.entries:
        packed = _packed(folder, name, row.shape)
        return (
            nf4.repack(packed)
            if quantize
            else np.asarray(nf4.decode(nf4.repack(packed), dtype or jnp.bfloat16))
        )
    value = folder.read(name)
    if row.linear and quantize:
        try:
            return nf4.repack(nf4.encode(value, double=double))
        except ValueError as error:
            raise ValueError(
                f"{folder.entries[name].file}: tensor {name!r}: {error}"
            ) from error
    value = value.T if row.linear else value
    return value if dtype is None else value.astype(dtype)


def _read_parts(
    folder, row, name, *, quantize, double, dtype, bar, logical, mesh: Mesh
):
    """One tensor on the mesh, read a part at a time. logical: the parameter's axes without the layer's."""
    shape, found = (
        (row.shape[::-1] if row.linear else row.shape),
        name + _BNB in folder.entries,
    )
    straddling = (
        quantize and shape[0] % nf4.GROUP != 0
    )  # blocks of one output end in another: kept whole
    if row.linear and (straddling or found and not quantize):
        value = _read(
            folder, row, name, quantize=quantize, double=double, dtype=dtype, bar=bar
        )
        return jax.tree.map(
            axes.device_put_global, value, axes.param_shardings(value, mesh, logical)
        )
    bar.update()
    if row.linear and quantize:
        lie = axes.param_shardings(nf4.abstract(shape), mesh, logical)
        if found:
            read = lambda span: folder.read(name, (slice(*span),))
            return parts.read_stored(
                read, _absmax(_stored_scales(folder, name, row.shape)), shape, lie
            )
        try:
            return parts.read_encoded(
                lambda *spans: folder.read(name, _slices(spans)), shape, double, lie
            )
        except ValueError as error:
            raise ValueError(
                f"{folder.entries[name].file}: tensor {name!r}: {error}"
            ) from error

    def part(spans):
        value = (
            folder.read(name, _slices(spans[::-1])).T
            if row.linear
            else folder.read(name, _slices(spans))
        )
        return value if dtype is None else value.astype(dtype)

    return parts.read_dense(part, shape, axes.named_sharding(mesh, *logical))


def _absmax(scales: np.ndarray | dynamic8.Dynamic8) -> np.ndarray:
    return dynamic8.decode(scales) if isinstance(scales, dynamic8.Dynamic8) else scales


def _slices(spans) -> tuple[slice, ...]:
    return tuple(slice(*span) for span in spans)


def _packed(folder, name, shape) -> nf4.Packed:
    """A weight that bitsandbytes quantised, as its checkpoint holds it."""
    scales = _stored_scales(folder, name, shape)
    return nf4.Packed(folder.read(name).reshape(-1), scales, shape)


def _stored_scales(folder, name, shape) -> np.ndarray | dynamic8.Dynamic8:
    """The block scales of a weight that bitsandbytes quantised, once its state is seen to be what this package reads."""
    state = json.loads(folder.read(name + _BNB).tobytes())
    where = f"{folder.entries[name].file}: tensor {name!r}"
    for key, wanted in (
        ("quant_type", "nf4"),
        ("blocksize", nf4.BLOCK),
        ("shape", list(shape)),
    ):
        if state.get(key) != wanted:
            raise ValueError(
                f"{where}: bitsandbytes {key} {state.get(key)!r}, expected {wanted!r}"
            )
    if not np.array_equal(
        folder.read(name + ".quant_map"), np.array(nf4.TABLE, np.float32)
    ):
        raise ValueError(f"{where}: its 16-value table is not NF4's")
    scales = folder.read(name + ".absmax")
    if name + ".nested_absmax" not in folder.entries:
        return scales
    if state.get("nested_blocksize") != dynamic8.BLOCK:
        raise ValueError(
            f"{where}: nested_blocksize {state.get('nested_blocksize')!r}, expected {dynamic8.BLOCK}"
        )
    nested = folder.read(name + ".nested_absmax"), np.float32(state["nested_offset"])
    return dynamic8.Dynamic8(scales, *nested, folder.read(name + ".nested_quant_map"))


def _stack(count: int, read):
    """Layers 0..count-1 stacked on the device, written in place: the host holds one at a time."""
    first = read(0)
    stacked = jax.tree.map(lambda x: _zeros(count, x), first)
    stacked = _write(stacked, first, 0)
    del first
    for index in range(1, count):
        stacked = _write(stacked, read(index), index)
        jax.block_until_ready(stacked)  # lets the host copy go before the next read
    return stacked


def _zeros(count: int, x):
    """[count, ...] zeros that lie as x does, where x is on a mesh."""
    shape, s = (count, *x.shape), getattr(x, "sharding", None)
    return jnp.zeros(
        shape,
        x.dtype,
        device=None
        if s is None
        else NamedSharding(s.mesh, PartitionSpec(None, *s.spec)),
    )


@functools.partial(jax.jit, donate_argnums=0)
def _write(stacked, layer, index):
    return jax.tree.map(
        lambda s, x: jax.lax.dynamic_update_index_in_dim(s, x, index, 0), stacked, layer
    )


def set_param(model: transformer.Transformer, path: str, value) -> None:
    """Puts a value (dense or NF4) into the parameter at a dotted path."""
    _parameter(model, path).set_value(value)


def _parameter(model: transformer.Transformer, path: str):
    return functools.reduce(getattr, path.split("."), model)


def save(
    model: transformer.Transformer, folder: pathlib.Path, raw_config: dict, dtype=None
) -> None:
    """Writes a dense model as a Hugging Face folder: config.json (as given) and model.safetensors."""
    config = configs.from_dict(raw_config)
    tensors = {}
    for row in tensor_table(config):
        value = functools.reduce(getattr, row.path.split("."), model).get_value()
        value = np.asarray(value if dtype is None else value.astype(dtype))
        for index, name in enumerate(tensor_names(row, config)):
            one = value[index] if row.stacked else value
            tensors[name] = np.ascontiguousarray(one.T if row.linear else one)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "model.safetensors.partial"
    safetensors.numpy.save_file(tensors, partial, metadata={"format": "pt"})
    partial.rename(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(raw_config, indent=1) + "\n")
