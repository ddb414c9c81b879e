"""adapter_config.json: every key honoured, harmless, or refused by its name.

Defaults and matching are those of PEFT's `LoraConfig` and `LoraModel` (0.21), which say
of a file that PEFT wrote, of any version, what its tensors mean.
"""

import dataclasses
import math
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jaxent import json_files
from jaxent.arrays import lora
from jaxent.checkpoint import real_model

# Keys that change no number of a trained adapter on a model of linear layers.
_HARMLESS = frozenset(
    (
        "_from_model_config",
        "auto_mapping",
        "base_model_class",
        "corda_config",  # init_lora_weights says whether these three are used
        "ensure_weight_tying",  # of modules_to_save, which is refused
        "eva_config",
        "fan_in_fan_out",  # PEFT sets it to False for torch.nn.Linear
        "inference_mode",
        "loftq_config",
        "lora_ga_config",
        "megatron_config",  # for Megatron's own layers
        "megatron_core",
        "merge_weights",
        "parent_library",
        "peft_version",
        "qalora_group_size",  # of use_qalora, which is refused
        "revision",
        "runtime_config",
        "task_type",
        "transformers_version",
        "unsloth_fixed",
        "unsloth_version",
    )
)
# Keys that make an adapter more than its factors, where they are set: what they do.
_REFUSED = {
    "alora_invocation_tokens": "switches the adapter on after these tokens only",
    "arrow_config": "routes between adapters",
    "enable_lora": "adapts parts of a fused module",
    "kasa_config": "truncates the base's weights",
    "layer_replication": "repeats layers of the base",
    "modules_to_save": "replaces whole modules of the base",
    "monteclora_config": "samples its weights",
    "target_parameters": "adapts parameters that are no linear modules",
    "trainable_token_indices": "replaces rows of the embedding",
    "use_bdlora": "makes the factors block-diagonal",
    "use_qalora": "pools the inputs",
    "velora_config": "compresses activations in training",
}
# Those of them that replace weights, as a merged model has them.
_REPLACING = ("modules_to_save", "trainable_token_indices")
MERGED = "what PEFT's merge_and_unload saves, as --model"
_HONOURED = frozenset(
    (
        "alpha_pattern",
        "base_model_name_or_path",
        "bias",
        "exclude_modules",
        "init_lora_weights",
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_bias",
        "lora_dropout",
        "peft_type",
        "r",
        "rank_pattern",
        "target_modules",
        "use_dora",
        "use_rslora",
    )
)
# Initialisations that leave the base as it is; all others change its weights first,
# and PEFT repeats that at load or cannot.
_INITIALISATIONS = ("gaussian", "eva", "orthogonal", "mica")
_CHANGES_BASE = re.compile("pissa|olora|corda|loftq|lora_ga", re.IGNORECASE)
# PEFT's target modules of the supported families where the file names none.
_DEFAULT_TARGETS = ("q_proj", "v_proj")


@dataclasses.dataclass(frozen=True)
class AdapterConfig:
    """An adapter_config.json with PEFT's defaults for what it does not say.

    A module's name below is the one that PEFT matches, such as
    "model.layers.0.self_attn.q_proj".

    Attributes:
        path: the file.
        base: the base model that the file names, or None.
        rank: of modules that `rank_pattern` does not match.
        alpha: of modules that `alpha_pattern` does not match.
        dropout: probability that an element of a module's input is zeroed.
        use_rslora: whether the scaling is alpha / sqrt(rank).
        use_dora: whether there are magnitudes.
        lora_bias: whether there are biases.
        target_modules: a pattern of whole names, or ends of names.
        exclude_modules: likewise, of modules that are not adapted.
        layers: the layers that are adapted; None for all.
        layers_pattern: names of the list of layers.
        rank_pattern: patterns of ends of names to ranks.
        alpha_pattern: patterns of ends of names to alphas.
    """

    path: pathlib.Path
    base: str | None
    rank: int
    alpha: float
    dropout: float
    use_rslora: bool
    use_dora: bool
    lora_bias: bool
    target_modules: str | tuple[str, ...]
    exclude_modules: str | tuple[str, ...]
    layers: tuple[int, ...] | None
    layers_pattern: tuple[str, ...]
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]

    def selects(self, name: str) -> bool:
        """Whether a module is adapted."""
        if _matches(self.exclude_modules, name):
            return False
        if not _matches(self.target_modules, name):
            return False
        if self.layers is None or isinstance(self.target_modules, str):
            return True
        if name in self.target_modules:  # a whole name says its layer itself
            return True
        patterns = self.layers_pattern or (r"[^.]*",)
        for pattern in patterns:
            found = re.match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", name)
            if found:
                return int(found.group(1)) in self.layers
        return False

    def rank_and_alpha(self, name: str) -> tuple[int, float]:
        """Rank and alpha of a module."""
        rank = _first_match(self.rank_pattern, name, self.rank)
        alpha = _first_match(self.alpha_pattern, name, self.alpha)
        return int(rank), float(alpha)

    def scaling(self, name: str) -> float:
        """What a module's low-rank product is multiplied by."""
        rank, alpha = self.rank_and_alpha(name)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def read_adapter_config(folder: str | pathlib.Path) -> AdapterConfig:
    """Reads an adapter's adapter_config.json.

    A null or a missing key is PEFT's default. A key that PEFT does not know passes
    where its value is false, null, zero or empty.

    Args:
        folder: The adapter's folder.

    Returns:
        What the file says.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A key is refused or has a value that PEFT does not take; the message
            names file, key and value.

    Example:
        >>> import tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> file = folder / "adapter_config.json"
        >>> _ = file.write_text('{"r": 4, "target_modules": ["q_proj"]}')
        >>> config = read_adapter_config(folder)
        >>> config.rank, config.alpha, config.selects("model.layers.0.self_attn.q_proj")
        (4, 8.0, True)
    """
    path = pathlib.Path(folder) / "adapter_config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a PEFT adapter folder")
    raw = json_files.read_json(path)
    given = {key: value for key, value in raw.items() if value is not None}
    _check_keys(path, given)
    return _from_keys(path, given)


def _check_keys(path: pathlib.Path, given: Mapping[str, Any]) -> None:
    """ValueError where a key is unknown, or says what is not supported."""
    peft_type = given.get("peft_type", "LORA")
    if peft_type != "LORA":
        raise ValueError(f"{path}: peft_type {peft_type!r}, expected 'LORA'")
    for key, value in given.items():
        if key in _REFUSED and value:
            instead = f", or {MERGED}" if key in _REPLACING else ""
            raise ValueError(
                f"{path}: {key} {value!r} {_REFUSED[key]}, which is not supported:"
                f" expected null{instead}"
            )
        known = key in _HARMLESS or key in _HONOURED or key in _REFUSED
        if not known and value:
            raise ValueError(
                f"{path}: {key} {value!r} is none of the keys of PEFT's LoraConfig that"
                " are known here (up to 0.21)"
            )
    init = given.get("init_lora_weights", True)
    if isinstance(init, str) and _CHANGES_BASE.match(init):
        raise ValueError(
            f"{path}: init_lora_weights {init!r} changes the base's weights, so that"
            " the adapter does not fit the base as it came; expected one saved with"
            " PEFT's path_initial_model_for_weight_conversion, whose"
            " init_lora_weights is true"
        )
    if not isinstance(init, bool) and init not in _INITIALISATIONS:
        names = ", ".join(_INITIALISATIONS)
        raise ValueError(
            f"{path}: init_lora_weights {init!r}, expected true, false or one of"
            f" {names}"
        )
    if given.get("bias", "none") not in ("none", "all", "lora_only"):
        raise ValueError(
            f"{path}: bias {given['bias']!r}, expected 'none', 'all' or 'lora_only'"
        )


def _from_keys(path: pathlib.Path, given: Mapping[str, Any]) -> AdapterConfig:
    read = _Reader(path, given)
    targets = read.names("target_modules", _DEFAULT_TARGETS)
    if isinstance(targets, str) and targets.lower() == "all-linear":
        targets = lora.MODULES
    config = AdapterConfig(
        path=path,
        base=read.text("base_model_name_or_path"),
        rank=read.number("r", 8, whole=True),
        alpha=float(read.number("lora_alpha", 8)),
        dropout=float(read.number("lora_dropout", 0.0)),
        use_rslora=read.flag("use_rslora"),
        use_dora=read.flag("use_dora"),
        lora_bias=read.flag("lora_bias"),
        target_modules=targets,
        exclude_modules=read.names("exclude_modules", ()),
        layers=read.layers(),
        layers_pattern=_as_tuple(read.names("layers_pattern", ())),
        rank_pattern=read.pattern("rank_pattern", whole=True),
        alpha_pattern=read.pattern("alpha_pattern"),
    )
    if config.use_dora and config.lora_bias:
        raise ValueError(f"{path}: lora_bias true beside use_dora, which PEFT refuses")
    return config


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Values of a file by key, checked."""

    path: pathlib.Path
    given: Mapping[str, Any]

    def _fail(self, key: str, value: Any, expected: str):
        raise ValueError(f"{self.path}: {key} {value!r}, expected {expected}")

    def flag(self, key: str) -> bool:
        value = self.given.get(key, False)
        if not isinstance(value, bool):
            self._fail(key, value, "true or false")
        return value

    def text(self, key: str) -> str | None:
        value = self.given.get(key, "")
        if not isinstance(value, str):
            self._fail(key, value, "a name")
        return value or None

    def number(self, key: str, default: float, whole: bool = False) -> Any:
        return self._check_number(key, self.given.get(key, default), whole)

    def _check_number(self, key: str, value: Any, whole: bool) -> Any:
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            self._fail(key, value, "a whole number" if whole else "a number")
        if not math.isfinite(value) or (whole and value < 1):
            self._fail(key, value, "a positive number" if whole else "a finite number")
        return value

    def names(self, key: str, default: tuple[str, ...]) -> str | tuple[str, ...]:
        value = self.given.get(key, default)
        if isinstance(value, str):
            self._compile(key, value)
            return value
        if not isinstance(value, (list, tuple)) or not _are(value, str):
            self._fail(key, value, "a name, a pattern or a list of names")
        return tuple(value)

    def layers(self) -> tuple[int, ...] | None:
        value = self.given.get("layers_to_transform")
        if value is None or value == []:
            return None
        numbers = value if isinstance(value, list) else [value]
        if not _are(numbers, int):
            self._fail("layers_to_transform", value, "numbers of layers")
        return tuple(numbers)

    def pattern(self, key: str, whole: bool = False) -> dict[str, Any]:
        value = self.given.get(key, {})
        if not isinstance(value, dict):
            self._fail(key, value, "an object of patterns and numbers")
        for pattern, number in value.items():
            self._compile(key, pattern)
            self._check_number(f"{key}[{pattern!r}]", number, whole)
        return value

    def _compile(self, key: str, pattern: str) -> None:
        try:
            re.compile(pattern)
        except re.error as error:
            self._fail(key, pattern, f"a regular expression ({error})")


def _are(values: Iterable[Any], kind: type) -> bool:
    return all(type(value) is kind for value in values)


def _as_tuple(names: str | tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(names, str):
        return (names,) if names else ()
    return names


def _matches(names: str | tuple[str, ...], name: str) -> bool:
    """Whether a module is meant: by a pattern of its name, or by an end of it."""
    if isinstance(names, str):
        return bool(names) and re.fullmatch(names, name) is not None
    return any(name == end or name.endswith(f".{end}") for end in names)


def _first_match(pattern: Mapping[str, Any], name: str, default: Any) -> Any:
    """The value of the first pattern that matches an end of the name."""
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", name):
            return value
    return default


def describe_other_base(config: AdapterConfig, model: str) -> str | None:
    """What to say where an adapter names another base than the model it is put on.

    Folders and Hub ids are compared by their last name, for a base may have moved.

    Args:
        config: the adapter's.
        model: the model's folder or Hub id.

    Returns:
        A sentence; None where the names agree or the adapter names no base.
    """
    if config.base is None or _base_name(config.base) == _base_name(model):
        return None
    return (
        f"{config.path}: base_model_name_or_path {config.base!r}, but the adapter is"
        f" put on {model!r}: expected the base it was trained on"
    )


def _base_name(model: str) -> str:
    """owner/name or a path, as the last name; a snapshot of the Hub's cache too."""
    resolved = real_model.resolve(model).rstrip("/")
    snapshot = re.search(r"models--[^/]+?--([^/]+)/snapshots/[^/]+$", resolved)
    name = snapshot.group(1) if snapshot else pathlib.PurePath(resolved).name
    return name.lower()
