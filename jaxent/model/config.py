"""Model configurations, read from a Hugging Face config.json."""

import dataclasses
import json
import pathlib

FAMILIES = ("qwen2", "llama", "mistral")

# Keys that change nothing in what this package computes (generation, training and bookkeeping).
_HARMLESS = frozenset(
    "_name_or_path architectures attention_dropout bad_words_ids bos_token_id chunk_size_feed_forward "
    "diversity_penalty dtype eos_token_id id2label initializer_range is_decoder is_encoder_decoder label2id "
    "layer_types max_window_layers model_type output_attentions output_hidden_states pad_token_id "
    "pretraining_tp problem_type quantization_config return_dict torch_dtype torchscript transformers_version "
    "use_cache use_sliding_window sliding_window max_position_embeddings".split()
)
_READ = frozenset(
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
    "rms_norm_eps rope_theta rope_scaling rope_parameters tie_word_embeddings hidden_act attention_bias mlp_bias".split()
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Shapes and constants of a decoder-only model.

    heads is a multiple of kv_heads; rope positions are divided by rope_scale (linear scaling);
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
    rope_theta: float
    rope_scale: float
    tied: bool
    qkv_bias: bool
    window: int | None

    def __post_init__(self):
        if self.heads % self.kv_heads:
            raise ValueError(f"config: num_attention_heads {self.heads} is not a multiple of num_key_value_heads {self.kv_heads}")


def read(folder: str | pathlib.Path) -> Config:
    """Reads `folder`/config.json; raises ValueError naming any key this package would get wrong."""
    path = pathlib.Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, expected a Hugging Face checkpoint's config.json")
    return from_dict(json.loads(path.read_text()), str(path))


def from_dict(raw: dict, where: str = "config.json") -> Config:
    """The `Config` of a Hugging Face configuration dictionary (transformers 4 or 5 spelling)."""
    family = raw.get("model_type")
    if family not in FAMILIES:
        raise ValueError(f"{where}: model_type {family!r}, expected one of {', '.join(FAMILIES)}")
    unknown = sorted(set(raw) - _HARMLESS - _READ)
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r} = {raw[unknown[0]]!r}; refusing to guess what it changes")
    missing = [k for k in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads") if k not in raw]
    if missing:
        raise ValueError(f"{where}: key {missing[0]!r} is missing")
    _expect(where, "hidden_act", raw.get("hidden_act", "silu"), "silu")
    _expect(where, "mlp_bias", raw.get("mlp_bias", False), False)
    if family != "qwen2":
        _expect(where, "attention_bias", raw.get("attention_bias", False), False)
    theta, scale = _rope(raw, where)
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
        rope_theta=theta,
        rope_scale=scale,
        tied=raw.get("tie_word_embeddings", False),
        qkv_bias=family == "qwen2",
        window=_window(raw, family, where),
    )


def _expect(where, key, found, wanted):
    if found != wanted:
        raise ValueError(f"{where}: {key} {found!r}, expected {wanted!r}")


def _rope(raw, where) -> tuple[float, float]:
    """(theta, linear factor) from transformers 4's rope_theta + rope_scaling or 5's rope_parameters."""
    rope = {**(raw.get("rope_scaling") or {}), **(raw.get("rope_parameters") or {})}
    kind = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
    rope.pop("type", None)
    theta = rope.pop("rope_theta", None) or raw.get("rope_theta") or 10000.0
    factor = rope.pop("factor", 1.0)
    if kind not in ("default", "linear") or rope or (kind == "default" and factor != 1.0):
        raise ValueError(f"{where}: rope scaling {kind!r} with {rope or {'factor': factor}}, expected 'default' or 'linear' with a factor")
    return float(theta), float(factor)


def _window(raw, family, where) -> int | None:
    """Sliding window in tokens. Qwen2 states one but uses it only with use_sliding_window."""
    if family == "llama" or (family == "qwen2" and not raw.get("use_sliding_window", False)):
        return None
    kinds = set(raw.get("layer_types") or ())
    if family == "qwen2" and raw.get("max_window_layers", 0) > 0 or len(kinds) > 1:
        raise ValueError(f"{where}: a sliding window on some layers only (max_window_layers {raw.get('max_window_layers')}) is not supported")
    return raw.get("sliding_window")
