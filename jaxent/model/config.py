"""Model configurations, read from a Hugging Face config.json.

Families (model_type): qwen2 (Qwen2, Qwen2.5, Qwen2.5-Coder), qwen3 (Qwen3, dense),
llama (Llama 2 and 3, CodeLlama, DeepSeek-Coder) and mistral; any size of each, from its
config alone.
"""

import dataclasses
import pathlib

from jaxent import json_files
from jaxent.model import config_keys, config_values

FAMILIES = ("qwen2", "qwen3", "llama", "mistral")

# Classes of transformers have these where a config.json does not say.
_CONTEXT = {"qwen2": 32768, "qwen3": 32768, "llama": 2048, "mistral": 131072}
_KV_HEADS = {"qwen2": 32, "mistral": 8}
_WINDOW = 4096
_MAX_WINDOW_LAYERS = 28

# Rope scalings understood, each with its keys.
_ROPE: dict[str, set[str]] = {
    "default": set(),
    "linear": {"factor"},
    "llama3": {
        "factor",
        "low_freq_factor",
        "high_freq_factor",
    },
}
# Every kind of rope may state these; only llama3 uses the second.
_ROPE_KEYS = frozenset(
    ["rope_theta", "original_max_position_embeddings", "rope_type", "type"]
)
_FULL, _SLIDING = "full_attention", "sliding_attention"


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
    raw = read_raw(folder)
    return from_dict(raw, str(pathlib.Path(folder) / "config.json"))


def read_raw(folder: str | pathlib.Path) -> dict:
    """The dictionary of a checkpoint folder's config.json, unchecked.

    Args:
        folder: a folder that holds config.json.

    Returns:
        The dictionary.

    Raises:
        FileNotFoundError: there is no config.json.
    """
    path = pathlib.Path(folder) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file, expected a Hugging Face checkpoint's config.json"
        )
    return json_files.read_json(path)


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
    config_keys.check_keys(raw, family, source)
    vocab = _count(raw, "vocab_size", source)
    config_values.check_token_ids(raw, vocab, source)
    context = _count(raw, "max_position_embeddings", source, _CONTEXT[family])
    layers = _count(raw, "num_hidden_layers", source)
    heads = _count(raw, "num_attention_heads", source)
    embed = _count(raw, "hidden_size", source)
    return Config(
        family=family,
        vocab=vocab,
        embed=embed,
        mlp=_count(raw, "intermediate_size", source),
        layers=layers,
        heads=heads,
        kv_heads=_read_kv_heads(raw, family, heads, source),
        head_dim=_read_head_dim(raw, embed, heads, source),
        context=context,
        norm_eps=config_values.read_number(
            raw, "rms_norm_eps", 1e-6, source, below=1.0
        ),
        rope=_read_rope(raw, context, source),
        tied=bool(raw.get("tie_word_embeddings")),
        qkv_bias=family == "qwen2",
        qk_norm=family == "qwen3",
        window=_read_window(raw, family, layers, source),
    )


def _count(raw: dict, key: str, source: str, default: int = 0) -> int:
    """A positive whole number; null means the default."""
    given = {} if raw.get(key) is None else raw
    return config_values.read_count(given, key, default, source)


def _read_kv_heads(raw: dict, family: str, heads: int, source: str) -> int:
    """As the family's class has it: null is one for each head, absence its default."""
    if "num_key_value_heads" in raw or family not in _KV_HEADS:
        return _count(raw, "num_key_value_heads", source, heads)
    return _KV_HEADS[family]


def _read_head_dim(raw: dict, embed: int, heads: int, source: str) -> int:
    """Even, as the rotation of pairs needs it."""
    if raw.get("head_dim") is None and embed % heads:
        raise ValueError(
            f"{source}: hidden_size {embed} is not a multiple of num_attention_heads "
            f"{heads}"
        )
    size = _count(raw, "head_dim", source, embed // heads)
    if size % 2:
        raise ValueError(f"{source}: head_dim {size}, expected an even number")
    return size


def _read_rope(raw: dict, context: int, source: str) -> Rope:
    """From transformers 4's rope_theta + rope_scaling or 5's rope_parameters.

    As in transformers, rope_scaling wins as a whole, and a theta inside over one beside
    it.
    """
    stated = raw.get("rope_scaling") or raw.get("rope_parameters") or {}
    if not isinstance(stated, dict):
        raise ValueError(f"{source}: rope scaling {stated!r}, expected a dictionary")
    rope = {key: value for key, value in stated.items() if value is not None}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    problem = f"{source}: rope scaling {kind!r} with {stated}"
    if kind not in _ROPE:
        raise ValueError(f"{problem}, expected one of {', '.join(_ROPE)}")
    theta = config_values.read_number(raw, "rope_theta", 10000.0, source)
    theta = config_values.read_number(rope, "rope_theta", theta, source)
    original = raw.get("original_max_position_embeddings")
    if original is not None:
        rope["original_max_position_embeddings"] = original
    rope.setdefault("original_max_position_embeddings", context)
    if rope.get("partial_rotary_factor") == 1:
        del rope["partial_rotary_factor"]
    if set(rope) - _ROPE_KEYS != _ROPE[kind]:
        keys = ", ".join(sorted(_ROPE[kind])) or "nothing"
        raise ValueError(f"{problem}, expected {keys}")
    bands = None
    if kind == "llama3":
        bands = Bands(
            config_values.read_number(rope, "low_freq_factor", None, source),
            config_values.read_number(rope, "high_freq_factor", None, source),
            _count(rope, "original_max_position_embeddings", source),
        )
    factor = 1.0
    if kind != "default":
        factor = config_values.read_number(rope, "factor", None, source)
    return Rope(theta, factor, bands)


def _read_window(raw: dict, family: str, layers: int, source: str) -> int | None:
    """Sliding window in tokens, as transformers resolves it.

    Llama's class knows none. Qwen's uses one only with use_sliding_window. Layers
    without layer_types have it from max_window_layers on (Qwen) or all (Mistral).
    """
    window = raw.get("sliding_window", _WINDOW)
    is_qwen = family in ("qwen2", "qwen3")
    if family == "llama" or (is_qwen and not raw.get("use_sliding_window")):
        window = None
    if window is not None:
        window = config_values.read_count(raw, "sliding_window", _WINDOW, source)
    full = layers
    if window is not None:
        full = 0
        if is_qwen:
            full = config_values.read_count(
                raw, "max_window_layers", _MAX_WINDOW_LAYERS, source, least=0
            )
    kinds = [_FULL] * min(full, layers) + [_SLIDING] * max(layers - full, 0)
    if raw.get("layer_types") is not None:
        kinds = _read_layer_types(raw["layer_types"], layers, source)
    if _SLIDING not in kinds:
        return None
    if window is None:
        raise ValueError(
            f"{source}: layer_types has {_SLIDING!r}, but the model has no sliding "
            f"window (sliding_window {raw.get('sliding_window')!r}, use_sliding_window "
            f"{raw.get('use_sliding_window')!r})"
        )
    if _FULL in kinds:
        raise ValueError(
            f"{source}: a sliding window on some layers only (max_window_layers "
            f"{raw.get('max_window_layers')}) is not supported"
        )
    return window


def _read_layer_types(stated, layers: int, source: str) -> list[str]:
    """One of two kinds of attention a layer."""
    kinds = (_FULL, _SLIDING)
    if not isinstance(stated, list) or len(stated) != layers:
        raise ValueError(
            f"{source}: layer_types {stated!r}, expected a list of {layers}, one a "
            "layer (num_hidden_layers)"
        )
    for kind in stated:
        if kind not in kinds:
            raise ValueError(
                f"{source}: layer_types has {kind!r}, expected {' or '.join(kinds)}"
            )
    return stated
