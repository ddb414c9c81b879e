"""Adapters in PEFT's format: adapter_model.safetensors and adapter_config.json."""

import dataclasses
import json
import pathlib
import re
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxent.arrays import lora
from jaxent.checkpoint import finite, peft_config, safetensors_folder
from jaxent.model import blocks
from jaxent.model import config as configs

_PREFIX = "base_model.model."
_MODULE = "model.layers.{}.{}"
_TENSOR = re.compile(
    r"base_model\.model\.(model\.layers\.\d+\.\w+\.\w+)"
    r"\.(lora_A\.weight|lora_B\.weight|lora_B\.bias|lora_magnitude_vector)(?:\.weight)?"
)
_SUFFIXES = {
    "a": "lora_A.weight",
    "b": "lora_B.weight",
    "bias": "lora_B.bias",
    "magnitude": "lora_magnitude_vector",
}
"""Field of `lora.LoraParams` to the end of its tensors' names."""
_DTYPES = ("F64", "F32", "F16", "BF16")
# What a tensor that is none of a module's says of how it came into the file.
_SURPLUS = (
    (
        r"modules_to_save|embed_tokens|lm_head",
        f"replaces or adapts embedding or head: give {peft_config.MERGED}",
    ),
    (r"\.bias$", "is a trained bias of the base"),
    (r"base_layer", "is a weight of the base"),
    (r"lora_\w+\.(?!weight$|bias$)\w+", "has the adapter's name, which PEFT ignores"),
    (r"_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module", "was saved wrapped"),
)


def save_adapter(adapter: lora.Adapter, folder: pathlib.Path, base: str) -> None:
    """Writes an adapter as a folder that `PeftModel.from_pretrained` reads.

    Its tensors are lora_A [R, K] and lora_B [N, R] of each module and layer, and
    lora_magnitude_vector [N] and lora_B.bias [N] where there are any, float32. Its
    settings are those that differ from PEFT's defaults, for older versions refuse keys
    that they do not know, and rank, alpha and modules, which other readers require.

    Args:
        adapter: The adapter.
        folder: The folder, made if it does not exist.
        base: The name of the base model, as PEFT records it.
    """
    tensors = {}
    for path, factors in adapter.params.items():
        named = {"a": np.asarray(factors.a), "b": np.asarray(factors.b).mT}
        vectors = factors.vectors()
        vectors.pop("gain", None)  # it follows from the others
        named |= {name: np.asarray(value) for name, value in vectors.items()}
        for name, stacked in named.items():
            for layer, value in enumerate(stacked):
                module = _PREFIX + _MODULE.format(layer, path)
                key = f"{module}.{_SUFFIXES[name]}"
                tensors[key] = np.ascontiguousarray(value, np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "adapter_model.safetensors.partial"
    safetensors.numpy.save_file(tensors, partial, metadata={"format": "pt"})
    text = json.dumps(_settings(adapter, base), indent=1) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    partial.rename(folder / "adapter_model.safetensors")


def _settings(adapter: lora.Adapter, base: str) -> dict[str, Any]:
    """The content of adapter_config.json."""
    config = adapter.config
    alpha = int(config.alpha) if config.alpha == int(config.alpha) else config.alpha
    biased = any(f.bias is not None for f in adapter.params.values())
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": config.rank,
        "lora_alpha": alpha,
        "target_modules": list(config.modules),
    }
    optional = {
        "lora_dropout": config.dropout,
        "use_rslora": config.use_rslora,
        "use_dora": config.use_dora,
        "lora_bias": biased,
    }
    return settings | {key: value for key, value in optional.items() if value}


def load_adapter(
    source: str, config: configs.Config, base: str | None = None
) -> lora.Adapter:
    """Reads a PEFT adapter; every tensor is used once, every shape checked.

    LoRA, rank-stabilised LoRA and DoRA, with biases of lora_B, with ranks and alphas of
    modules' own, and on some layers only. Ranks are padded with zeros to the largest,
    and a scaling that differs from the adapter's is multiplied into B; layers without
    the module have zeros.

    Args:
        source: A local folder or a Hub id.
        config: The base model's.
        base: The base model's folder or Hub id: a warning says where the adapter names
            another. None compares nothing.

    Returns:
        The adapter on the default device.

    Raises:
        FileNotFoundError: There is no such folder or id, or a file is missing.
        ValueError: The adapter is more than these, or a tensor is missing, surplus, not
            finite or of another shape.

    Example:
        >>> import tempfile
        >>> import jax
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
    files = _open_adapter(source, config)
    if base is not None:
        message = peft_config.describe_other_base(files.settings, base)
        if message is not None:
            warnings.warn(message, stacklevel=2)
    lora_config = files.lora_config()
    params = {
        lora.PATHS[module]: _load_module(files, lora_config, module)
        for module in lora_config.modules
    }
    return lora.Adapter(params, lora_config)


def load_adapter_config(source: str, config: configs.Config) -> lora.LoraConfig:
    """The settings of an adapter that training can begin from.

    Its modules have one rank and one alpha, in every layer, and no bias: what
    `load_adapter` makes of others is the same model, but would be trained otherwise.

    Args:
        source: A local folder or a Hub id.
        config: The base model's.

    Returns:
        The adapter's settings, modules in the order of `lora.MODULES`.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: As `load_adapter`, or the modules differ in their settings.
    """
    files = _open_adapter(source, config)
    found = {files.settings.rank_and_alpha(name) for name in files.modules}
    everywhere = len(files.modules) % config.layers == 0
    if len(found) > 1 or not everywhere or files.settings.lora_bias:
        what = "rank_pattern or alpha_pattern"
        if not everywhere:
            what = "layers_to_transform"
        elif files.settings.lora_bias:
            what = "lora_bias"
        raise ValueError(
            f"{files.settings.path}: training cannot begin from an adapter with {what}:"
            " expected one rank and one alpha in every layer"
        )
    return files.lora_config()


@dataclasses.dataclass(frozen=True)
class _AdapterFiles:
    """An adapter's folder whose tensors are those that its settings ask for.

    Attributes:
        folder: the tensors.
        settings: its adapter_config.json.
        config: the base model's.
        modules: the adapted modules, by PEFT's names.
        tensors: (module, end of the name) to the tensor's name.
    """

    folder: safetensors_folder.Folder
    settings: peft_config.AdapterConfig
    config: configs.Config
    modules: frozenset[str]
    tensors: dict[tuple[str, str], str]

    def lora_config(self) -> lora.LoraConfig:
        """Rank, alpha and modules of the adapter; the largest rank of several."""
        settings = self.settings
        adapted = {name.rpartition(".")[2] for name in self.modules}
        ordered = tuple(module for module in lora.MODULES if module in adapted)
        pairs = {settings.rank_and_alpha(name) for name in self.modules}
        rank, alpha = max(pairs)
        try:
            return lora.LoraConfig(
                rank,
                alpha,
                settings.dropout,
                ordered,
                settings.use_rslora,
                settings.use_dora,
            )
        except ValueError as error:
            raise ValueError(f"{settings.path}: {error}") from error

    def read(self, module: str, field: str, shape: tuple[int, ...]) -> np.ndarray:
        """A tensor in float32."""
        name = self.tensors[module, _SUFFIXES[field]]
        entry = self.folder.entries[name]
        if entry.shape != shape:
            hint = ""
            if 0 in entry.shape:
                hint = (
                    "; it is empty, as DeepSpeed ZeRO-3 saves what it has not gathered"
                )
            raise ValueError(
                f"{self.folder.path}: tensor {name!r} has shape {entry.shape},"
                f" expected {shape}{hint}"
            )
        if entry.dtype not in _DTYPES:
            raise ValueError(
                f"{self.folder.path}: tensor {name!r} is {entry.dtype},"
                f" expected one of {', '.join(_DTYPES)}"
            )
        value = self.folder.read(name).astype(np.float32)
        if finite.first_not_finite(value) is not None:
            raise ValueError(
                f"{self.folder.path}: tensor {name!r} holds NaN or infinity"
            )
        return value


def _open_adapter(source: str, config: configs.Config) -> _AdapterFiles:
    folder = safetensors_folder.open_folder(
        safetensors_folder.locate(source), "adapter_model"
    )
    settings = peft_config.read_adapter_config(folder.path)
    tensors = {}
    for name in sorted(folder.entries):
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise ValueError(_describe_surplus(folder.path, name))
        tensors[match.group(1), match.group(2)] = name
    names = [
        _MODULE.format(layer, path)
        for layer in range(config.layers)
        for path in lora.PATHS.values()
    ]
    modules = frozenset(name for name in names if settings.selects(name))
    files = _AdapterFiles(folder, settings, config, modules, tensors)
    _check_tensors(files)
    return files


def _check_tensors(files: _AdapterFiles) -> None:
    """ValueError unless every adapted module has its tensors, and there are no more."""
    settings = files.settings
    for name in ("lm_head", "model.embed_tokens"):
        if settings.selects(name):
            raise ValueError(
                f"{settings.path}: target_modules {settings.target_modules!r} adapt"
                f" {name}, expected linear modules of the layers only"
            )
    if not files.modules:
        raise ValueError(
            f"{settings.path}: target_modules {settings.target_modules!r} name no"
            f" module of the model, expected some of {', '.join(lora.MODULES)}"
        )
    fields = ["a", "b"]
    fields += ["bias"] if settings.lora_bias else []
    fields += ["magnitude"] if settings.use_dora else []
    wanted = {(name, _SUFFIXES[f]) for name in files.modules for f in fields}
    for name, suffix in sorted(wanted - set(files.tensors)):
        example = min(files.folder.entries, default="no tensor")
        raise ValueError(
            f"{files.folder.path}: tensor '{_PREFIX}{name}.{suffix}' is missing"
            f" (found {example!r})"
        )
    for key in sorted(set(files.tensors) - wanted):
        raise ValueError(_describe_surplus(files.folder.path, files.tensors[key]))
    layered = {name.split(".", 3)[3] for name in files.modules}
    if settings.use_dora and len(files.modules) != len(layered) * files.config.layers:
        raise ValueError(
            f"{settings.path}: use_dora on some layers only is not supported,"
            " expected each module in every layer"
        )


def _describe_surplus(folder: pathlib.Path, name: str) -> str:
    """The message about a tensor that no adapted module has."""
    reason = "no module that adapter_config.json adapts uses it"
    for pattern, meaning in _SURPLUS:
        if re.search(pattern, name):
            reason = f"it {meaning}"
            break
    return (
        f"{folder}: surplus tensor {name!r}: {reason}; expected lora_A and lora_B of"
        " linear modules, such as"
        f" '{_PREFIX}model.layers.0.self_attn.q_proj.lora_A.weight'"
    )


def _load_module(
    files: _AdapterFiles, lora_config: lora.LoraConfig, module: str
) -> lora.LoraParams:
    """The factors of one module in all layers."""
    settings, rank = files.settings, lora_config.rank
    k, n = blocks.linear_shapes(files.config)[module]
    layers = files.config.layers
    a = np.zeros((layers, rank, k), np.float32)
    b = np.zeros((layers, rank, n), np.float32)
    bias = np.zeros((layers, n), np.float32) if settings.lora_bias else None
    magnitude = np.zeros((layers, n), np.float32) if settings.use_dora else None
    for layer in range(layers):
        name = _MODULE.format(layer, lora.PATHS[module])
        if name not in files.modules:
            continue
        own_rank, _ = settings.rank_and_alpha(name)
        # Exactly 1 where the module's rank and alpha are the adapter's.
        ratio = np.float32(settings.scaling(name) / lora_config.scaling)
        a[layer, :own_rank] = files.read(name, "a", (own_rank, k))
        b[layer, :own_rank] = files.read(name, "b", (n, own_rank)).T * ratio
        if bias is not None:
            bias[layer] = files.read(name, "bias", (n,)) * ratio
        if magnitude is not None:
            magnitude[layer] = files.read(name, "magnitude", (n,))
    vectors = {"bias": bias, "magnitude": magnitude}
    there = {key: jnp.asarray(x) for key, x in vectors.items() if x is not None}
    return lora.LoraParams(jnp.asarray(a), jnp.asarray(b), **there)
