"""Model configurations, read from a Hugging Face config.json.

Families (model_type): qwen2 (Qwen2, Qwen2.5, Qwen2.5-Coder), qwen3 (Qwen3, dense), llama (Llama 2 and 3,
CodeLlama, DeepSeek-Coder) and mistral; any size of each, from its config alone.
"""

import dataclasses
import json
import pathlib

FAMILIES = ("qwen2", "qwen3", "llama", "mistral")

# Keys that change nothing in what this package computes (generation, training and bookkeeping).
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


# Rope scalings understood, each with the keys it has.
_ROPE = {
    "default": {},
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
    """Llama 3's rule for which pairs of a head are slowed: turns are counted over `context`, the original trained length.

    A pair of fewer than `low` turns is divided by the rope's factor, one of more than `high` is kept, in between is blended.
    """

    low: float
    high: float
    context: int

    def __post_init__(self):
        if not 0 < self.low < self.high:
            raise ValueError(
                f"config: low_freq_factor {self.low} and high_freq_factor {self.high}, expected 0 < low < high"
            )


@dataclasses.dataclass(frozen=True)
class Rope:
    """Rotary embedding: pair i of a head of H turns by theta^(-2i / H) radians a token, divided by factor.

    With bands, only the slow pairs are divided (rope_type "llama3").
    """

    theta: float
    factor: float = 1.0
    bands: Bands | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    """Shapes and constants of a decoder-only model.

    heads is a multiple of kv_heads; qk_norm is an RMS norm of each head's query and key before the rotation;
    window is the sliding window in tokens or None; context is the trained length in tokens.
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
                f"config: num_attention_heads {self.heads} is not a multiple of num_key_value_heads {self.kv_heads}"
            )


def read_config(folder: str | pathlib.Path) -> Config:
    """Reads `folder`/config.json; raises ValueError naming any key this package would get wrong."""
    path = pathlib.Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file, expected a Hugging Face checkpoint's config.json"
        )
    return from_dict(json.loads(path.read_text()), str(path))


def from_dict(raw: dict, where: str = "config.json") -> Config:
    """The `Config` of a Hugging Face configuration dictionary (transformers 4 or 5 spelling)."""
    family = raw.get("model_type")
    if family not in FAMILIES:
        raise ValueError(
            f"{where}: model_type {family!r}, expected one of {', '.join(FAMILIES)}"
        )
    unknown = sorted(set(raw) - _HARMLESS - _READ)
    if unknown:
        raise ValueError(
            f"{where}: unknown key {unknown[0]!r} = {raw[unknown[0]]!r}; refusing to guess what it changes"
        )
    needed = (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
    )
    needed += (
        ("num_key_value_heads", "head_dim") if family == "qwen3" else ()
    )  # their defaults do not follow from the others
    missing = [k for k in needed if k not in raw]
    if missing:
        raise ValueError(f"{where}: key {missing[0]!r} is missing")
    _expect(where, "hidden_act", raw.get("hidden_act", "silu"), "silu")
    _expect(where, "mlp_bias", raw.get("mlp_bias", False), False)
    if family != "qwen2":
        _expect(where, "attention_bias", raw.get("attention_bias", False), False)
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
        rope=_rope(raw, where),
        tied=raw.get("tie_word_embeddings", False),
        qkv_bias=family == "qwen2",
        qk_norm=family == "qwen3",
        window=_window(raw, family, where),
    )


def _expect(where, key, found, wanted):
    if found != wanted:
        raise ValueError(f"{where}: {key} {found!r}, expected {wanted!r}")


def _rope(raw, where) -> Rope:
    """From transformers 4's rope_theta + rope_scaling or 5's rope_parameters."""
    rope = {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}
    kind = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
    rope.pop("type", None)
    theta = rope.pop("rope_theta", None) or raw.get("rope_theta") or 10000.0
    if kind not in _ROPE:
        raise ValueError(
            f"{where}: rope scaling {kind!r} with {rope}, expected one of {', '.join(_ROPE)}"
        )
    if set(rope) != set(_ROPE[kind]):
        raise ValueError(
            f"{where}: rope scaling {kind!r} with {rope}, expected {', '.join(sorted(_ROPE[kind])) or 'nothing'}"
        )
    bands = None
    if kind == "llama3":
        bands = Bands(
            float(rope["low_freq_factor"]),
            float(rope["high_freq_factor"]),
            rope["original_max_position_embeddings"],
        )
    return Rope(float(theta), float(rope.get("factor", 1.0)), bands)


def _window(raw, family, where) -> int | None:
    """Sliding window in tokens. Qwen states one but uses it only with use_sliding_window, above max_window_layers."""
    qwen = family in ("qwen2", "qwen3")
    if family == "llama" or (qwen and not raw.get("use_sliding_window", False)):
        return None
    kinds = set(raw.get("layer_types") or ())
    if qwen and raw.get("max_window_layers", 28) > 0 or len(kinds) > 1:
        raise ValueError(
            f"{where}: a sliding window on some layers only (max_window_layers {raw.get('max_window_layers')}) is not supported"
        )
    return raw.get("sliding_window")
