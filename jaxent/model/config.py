"""Model configurations, read from a Hugging Face config.json.

Families (model_type): qwen2 (Qwen2, Qwen2.5, Qwen2.5-Coder), qwen3 (Qwen3, dense),
llama (Llama 2 and 3, CodeLlama, DeepSeek-Coder) and mistral; any size of each, from its
config alone.
"""

import dataclasses
import pathlib

from jaxent import json_files

FAMILIES = ("qwen2", "qwen3", "llama", "mistral")

# Keys that change nothing in what this package computes: generation, training and
# bookkeeping.
_HARMLESS = frozenset(
    [
        "_name_or_path",
        "architectures",
        "attention_dropout",
        "bad_words_ids",
        "bos_token_id",
        "chunk_size_feed_forward",
        "diversity_penalty",
        "dtype",
        "eos_token_id",
        "id2label",
        "initializer_range",
        "is_decoder",
        "is_encoder_decoder",
        "label2id",
        "layer_types",
        "max_window_layers",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "pretraining_tp",
        "problem_type",
        "quantization_config",
        "return_dict",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_cache",
        "use_sliding_window",
        "sliding_window",
        "max_position_embeddings",
    ]
)
_READ = frozenset(
    [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "rms_norm_eps",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "tie_word_embeddings",
        "hidden_act",
        "attention_bias",
        "mlp_bias",
    ]
)

_NEEDED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
)
# Qwen3's defaults of these do not follow from its other keys.
_NEEDED_BY_QWEN3 = ("num_key_value_heads", "head_dim")
# Rope scalings understood, each with its keys.
_ROPE: dict[str, set[str]] = {
    "default": set(),
    "linear": {"factor"},
    "llama3": {
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    },
}


@dataclasses.dataclass(frozen=True)
class Bands:
    """Llama 3's rule for which pairs of a head are slowed.

    A pair that turns fewer than `low` times within `context` tokens is divided by the
    rope's factor, one that turns more than `high` times is kept, and pairs in between
    are blended.

    Attributes:
        low: turns.
        high: turns.
        context: the original trained length in tokens.
    """

    low: float
    high: float
    context: int

    def __post_init__(self):
        if not 0 < self.low < self.high:
            raise ValueError(
                f"config: low_freq_factor {self.low} and high_freq_factor {self.high}, "
                "expected 0 < low < high"
            )


@dataclasses.dataclass(frozen=True)
class Rope:
    """Rotary embedding: pair i turns by theta^(-2i / H) / factor radians per token.

    Attributes:
        theta: base of the frequencies.
        factor: what frequencies are divided by.
        bands: if given, only the slow pairs are divided (rope_type "llama3").
    """

    theta: float
    factor: float = 1.0
    bands: Bands | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """Shapes and constants of a decoder-only model.

    Attributes:
        family: one of `FAMILIES`.
        vocab: V.
        embed: D.
        mlp: F.
        layers: L.
        heads: N, a multiple of kv_heads.
        kv_heads: K.
        head_dim: H.
        context: trained length in tokens.
        norm_eps: added to the mean square in RMS norms.
        rope: rotary embedding.
        tied: whether the output head is the token embedding.
        qkv_bias: whether query, key and value projections have biases.
        qk_norm: whether each head's query and key have an RMS norm before the rotation.
        window: sliding window in tokens, or None.
    """

    family: str
    vocab: int
    embed: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    norm_eps: float
    rope: Rope
    tied: bool
    qkv_bias: bool
    qk_norm: bool
    window: int | None

    def __post_init__(self):
        if self.heads % self.kv_heads:
            raise ValueError(
                f"config: num_attention_heads {self.heads} is not a multiple of "
                f"num_key_value_heads {self.kv_heads}"
            )


def read_config(folder: str | pathlib.Path) -> Config:
    """Reads the config.json of a Hugging Face checkpoint folder.

    Args:
        folder: a folder that holds config.json.

    Returns:
        The configuration.

    Raises:
        FileNotFoundError: there is no config.json.
        ValueError: a key that this package would get wrong, named.

    Example:
        >>> import jaxent.data
        >>> data = pathlib.Path(jaxent.data.__file__).parent
        >>> read_config(data / "checkpoints" / "tiny").family
        'qwen2'
    """
    path = pathlib.Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file, expected a Hugging Face checkpoint's config.json"
        )
    return from_dict(json_files.read_json(path), str(path))


def from_dict(raw: dict, source: str = "config.json") -> Config:
    """The `Config` of a Hugging Face configuration dictionary.

    Args:
        raw: the dictionary, in the spelling of transformers 4 or 5.
        source: what errors call it.

    Returns:
        The configuration.

    Raises:
        ValueError: a missing key, an unknown key, or a value that is not supported.

    Example:
        >>> config = from_dict(
        ...     {
        ...         "model_type": "llama",
        ...         "vocab_size": 512,
        ...         "hidden_size": 64,
        ...         "intermediate_size": 172,
        ...         "num_hidden_layers": 5,
        ...         "num_attention_heads": 8,
        ...     }
        ... )
        >>> config.head_dim, config.kv_heads, config.rope
        (8, 8, Rope(theta=10000.0, factor=1.0, bands=None))
    """
    family = raw.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"{source}: model_type {family!r}, expected one of {', '.join(FAMILIES)}"
        )
    _check_keys(raw, family, source)
    heads = raw["num_attention_heads"]
    return Config(
        family=family,
        vocab=raw["vocab_size"],
        embed=raw["hidden_size"],
        mlp=raw["intermediate_size"],
        layers=raw["num_hidden_layers"],
        heads=heads,
        kv_heads=raw.get("num_key_value_heads") or heads,
        head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
        context=raw.get("max_position_embeddings", 2048),
        norm_eps=raw.get("rms_norm_eps", 1e-6),
        rope=_read_rope(raw, source),
        tied=raw.get("tie_word_embeddings", False),
        qkv_bias=family == "qwen2",
        qk_norm=family == "qwen3",
        window=_read_window(raw, family, source),
    )


def _check_keys(raw: dict, family: str, source: str) -> None:
    """Raises ValueError for unknown, missing and unsupported keys."""
    unknown = sorted(set(raw) - _HARMLESS - _READ)
    if unknown:
        raise ValueError(
            f"{source}: unknown key {unknown[0]!r} = {raw[unknown[0]]!r}; "
            "refusing to guess what it changes"
        )
    needed = _NEEDED + (_NEEDED_BY_QWEN3 if family == "qwen3" else ())
    missing = [key for key in needed if key not in raw]
    if missing:
        raise ValueError(f"{source}: key {missing[0]!r} is missing")
    _expect(source, "hidden_act", raw.get("hidden_act", "silu"), "silu")
    _expect(source, "mlp_bias", raw.get("mlp_bias", False), False)
    if family != "qwen2":
        _expect(source, "attention_bias", raw.get("attention_bias", False), False)


def _expect(source: str, key: str, value, expected) -> None:
    if value != expected:
        raise ValueError(f"{source}: {key} {value!r}, expected {expected!r}")


def _read_rope(raw: dict, source: str) -> Rope:
    """From transformers 4's rope_theta + rope_scaling or 5's rope_parameters."""
    rope = {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}
    kind = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
    rope.pop("type", None)
    theta = rope.pop("rope_theta", None) or raw.get("rope_theta") or 10000.0
    problem = f"{source}: rope scaling {kind!r} with {rope}"
    if kind not in _ROPE:
        raise ValueError(f"{problem}, expected one of {', '.join(_ROPE)}")
    if set(rope) != _ROPE[kind]:
        keys = ", ".join(sorted(_ROPE[kind])) or "nothing"
        raise ValueError(f"{problem}, expected {keys}")
    bands = None
    if kind == "llama3":
        bands = Bands(
            float(rope["low_freq_factor"]),
            float(rope["high_freq_factor"]),
            rope["original_max_position_embeddings"],
        )
    return Rope(float(theta), float(rope.get("factor", 1.0)), bands)


def _read_window(raw: dict, family: str, source: str) -> int | None:
    """Sliding window in tokens.

    Qwen states one but uses it only with use_sliding_window, above max_window_layers.
    """
    qwen = family in ("qwen2", "qwen3")
    if family == "llama" or (qwen and not raw.get("use_sliding_window", False)):
        return None
    layer_types = set(raw.get("layer_types") or ())
    lower_layers = raw.get("max_window_layers", 28) if qwen else 0
    if lower_layers > 0 or len(layer_types) > 1:
        raise ValueError(
            f"{source}: a sliding window on some layers only (max_window_layers "
            f"{raw.get('max_window_layers')}) is not supported"
        )
    return raw.get("sliding_window")
