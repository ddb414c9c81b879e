"""Adapters in PEFT's format: adapter_model.safetensors and adapter_config.json."""

import json
import pathlib
import re

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxent import json_files
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
    """Writes an adapter as a folder that `PeftModel.from_pretrained` reads.

    Its tensors are lora_A [R, K] and lora_B [N, R] of each module and layer, float32.

    Args:
        adapter: The adapter.
        folder: The folder, made if it does not exist.
        base: The name of the base model, as PEFT records it.
    """
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
    text = json.dumps(raw, indent=1) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    partial.rename(folder / "adapter_model.safetensors")


def load_adapter_config(folder: str | pathlib.Path) -> lora.LoraConfig:
    """The settings of an adapter, from its adapter_config.json.

    Args:
        folder: The adapter's folder.

    Returns:
        Rank, alpha, dropout and modules, these in the order of `lora.MODULES`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The adapter is not plain LoRA; the message names the option.
    """
    path = pathlib.Path(folder) / "adapter_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a PEFT adapter folder")
    raw = json_files.read_json(path)
    expected = {"peft_type": "LORA", **_PLAIN, **dict.fromkeys(_EMPTY)}
    for key, wanted in expected.items():
        value = raw.get(key, wanted)
        unset = wanted is None and not value
        if value != wanted and not unset:
            raise ValueError(f"{path}: {key} {value!r}, expected {wanted!r}")
    modules = raw["target_modules"]
    if modules == "all-linear":
        modules = lora.MODULES
    if isinstance(modules, str):
        raise ValueError(
            f"{path}: target_modules {modules!r} is a pattern,"
            " expected a list of module names"
        )
    known = [module for module in lora.MODULES if module in modules]
    unknown = [module for module in modules if module not in lora.MODULES]
    return lora.LoraConfig(
        raw["r"],
        float(raw["lora_alpha"]),
        float(raw["lora_dropout"]),
        (*known, *unknown),
    )


def load_adapter(source: str, config: configs.Config) -> lora.Adapter:
    """Reads a PEFT adapter; every tensor is used once, every shape checked.

    Args:
        source: A local folder or a Hub id.
        config: The base model's.

    Returns:
        The adapter on the default device.

    Raises:
        FileNotFoundError: There is no such folder or id, or a file is missing.
        ValueError: The adapter is not plain LoRA, or a tensor is missing, surplus or of
            another shape.

    Example:
        >>> import tempfile
        >>> folder = pathlib.Path(configs.__file__).parents[1] / "data/checkpoints/tiny"
        >>> config = configs.read_config(folder)
        >>> adapter = lora.init_adapter(
        ...     jax.random.key(0),
        ...     lora.LoraConfig(rank=2, modules=("q_proj",)),
        ...     config.layers,
        ...     blocks.linear_shapes(config),
        ... )
        >>> with tempfile.TemporaryDirectory() as saved:
        ...     save_adapter(adapter, pathlib.Path(saved), "tiny")
        ...     again = load_adapter(saved, config)
        >>> again.config == adapter.config, list(again.params)
        (True, ['self_attn.q_proj'])
    """
    folder = safetensors_folder.open_folder(
        safetensors_folder.locate(source), "adapter_model"
    )
    lora_config = load_adapter_config(folder.path)
    left, params = set(folder.entries), {}
    for module in lora_config.modules:
        k, n = blocks.linear_shapes(config)[module]
        path = lora.PATHS[module]
        a, b = [], []
        for layer in range(config.layers):
            a_name, b_name = (_KEY.format(layer, path, factor) for factor in "AB")
            a.append(_take(folder, left, a_name, (lora_config.rank, k)))
            b.append(_take(folder, left, b_name, (n, lora_config.rank)).T)
        stacked_a, stacked_b = jnp.asarray(np.stack(a)), jnp.asarray(np.stack(b))
        params[path] = lora.LoraParams(stacked_a, stacked_b)
    if left:
        raise ValueError(
            f"{folder.path}: surplus tensor {min(left)!r}, which no module of"
            f" {lora_config.modules} uses"
        )
    return lora.Adapter(params, lora_config)


def _take(
    folder: safetensors_folder.Folder,
    left: set[str],
    name: str,
    shape: tuple[int, ...],
) -> np.ndarray:
    """A tensor in float32; its name leaves `left`."""
    if name not in left:
        factors = (other for other in left if re.search(r"lora_[AB]", other))
        example = min(factors, default="no other")
        raise ValueError(
            f"{folder.path}: tensor {name!r} is missing (found {example!r})"
        )
    left.remove(name)
    entry = folder.entries[name]
    if entry.shape != shape:
        raise ValueError(
            f"{folder.path}: tensor {name!r} has shape {entry.shape}, expected {shape}"
        )
    return folder.read(name).astype(np.float32)
