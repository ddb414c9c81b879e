"""Adapters in PEFT's format: adapter_model.safetensors and adapter_config.json."""

import json
import pathlib
import re

import jax
import numpy as np
import safetensors.numpy

from jaxent.arrays import lora
from jaxent.checkpoint import safetensors_folder
from jaxent.model import blocks
from jaxent.model import config as configs

_KEY = "base_model.model.model.layers.{}.{}.lora_{}.weight"
_PLAIN = {
    "bias": "none",
    "use_rslora": False,
    "use_dora": False,
    "fan_in_fan_out": False,
    "use_qalora": False,
    "lora_bias": False,
}
_EMPTY = (
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "target_parameters",
    "trainable_token_indices",
    "exclude_modules",
    "layer_replication",
)


def save_adapter(adapter: lora.Adapter, folder: pathlib.Path, base: str) -> None:
    """Writes what `PeftModel.from_pretrained` reads: lora_A [R, K], lora_B [N, R], float32."""
    tensors = {}
    for path, factors in adapter.params.items():
        a, b = np.asarray(factors.a), np.asarray(factors.b)
        for layer in range(a.shape[0]):
            tensors[_KEY.format(layer, path, "A")] = np.ascontiguousarray(a[layer])
            tensors[_KEY.format(layer, path, "B")] = np.ascontiguousarray(b[layer].T)
    raw = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": adapter.config.rank,
        "lora_alpha": adapter.config.alpha,
        "lora_dropout": adapter.config.dropout,
        "init_lora_weights": True,
        "target_modules": list(adapter.config.modules),
        **_PLAIN,
    }
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "adapter_model.safetensors.partial"
    safetensors.numpy.save_file(tensors, partial, metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(raw, indent=1) + "\n")
    partial.rename(folder / "adapter_model.safetensors")


def load_adapter_config(folder: str | pathlib.Path) -> lora.LoraConfig:
    """The `lora.LoraConfig` of an adapter_config.json; ValueError naming any option that is not plain LoRA."""
    path = pathlib.Path(folder) / "adapter_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a PEFT adapter folder")
    raw = json.loads(path.read_text())
    expected = {"peft_type": "LORA", **_PLAIN, **dict.fromkeys(_EMPTY)}
    for key, wanted in expected.items():
        found = raw.get(key, wanted)
        if found != wanted and not (wanted is None and not found):
            raise ValueError(f"{path}: {key} {found!r}, expected {wanted!r}")
    modules = raw["target_modules"]
    modules = lora.MODULES if modules == "all-linear" else modules
    if isinstance(modules, str):
        raise ValueError(
            f"{path}: target_modules {modules!r} is a pattern, expected a list of module names"
        )
    ordered = tuple(m for m in lora.MODULES if m in modules) + tuple(
        m for m in modules if m not in lora.MODULES
    )
    return lora.LoraConfig(
        raw["r"], float(raw["lora_alpha"]), float(raw["lora_dropout"]), ordered
    )


def load_adapter(source: str, config: configs.Config) -> lora.Adapter:
    """Reads a PEFT adapter for a model of `config`; every key used once, every shape checked."""
    folder = safetensors_folder.open_folder(
        safetensors_folder.locate(source), "adapter_model"
    )
    lora_config = load_adapter_config(folder.path)
    left, params = set(folder.entries), {}
    for module in lora_config.modules:
        k, n = blocks.linear_shapes(config)[module]
        path = lora.PATHS[module]
        a = [
            _take(folder, left, _KEY.format(i, path, "A"), (lora_config.rank, k))
            for i in range(config.layers)
        ]
        b = [
            _take(folder, left, _KEY.format(i, path, "B"), (n, lora_config.rank))
            for i in range(config.layers)
        ]
        params[path] = lora.LoraParams(np.stack(a), np.stack([x.T for x in b]))
    if left:
        raise ValueError(
            f"{folder.path}: surplus tensor {min(left)!r}, which no module of {lora_config.modules} uses"
        )
    return jax.device_put(lora.Adapter(params, lora_config))


def _take(folder, left: set, name: str, shape) -> np.ndarray:
    if name not in left:
        found = min((n for n in left if re.search(r"lora_[AB]", n)), default="no other")
        raise ValueError(f"{folder.path}: tensor {name!r} is missing (found {found!r})")
    left.remove(name)
    if folder.entries[name].shape != shape:
        raise ValueError(
            f"{folder.path}: tensor {name!r} has shape {folder.entries[name].shape}, expected {shape}"
        )
    return folder.read(name).astype(np.float32)
