"""The config.json of published models is accepted, or refused for a true reason."""

import dataclasses

import published_files
import pytest

from jaxent.model import config

SHAPE = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}


def ours(raw: dict) -> dict:
    found = dataclasses.asdict(config.from_dict(raw))
    rope = found.pop("rope")
    for name in ("family", "qkv_bias", "qk_norm"):
        found.pop(name)
    trained = rope["bands"] and rope["bands"]["context"]
    return found | {
        "theta": rope["theta"],
        "factor": rope["factor"],
        "trained": trained,
    }


@pytest.mark.parametrize("model", published_files.FILES["configs"])
def test_published_configs_are_read_as_transformers_reads_them(model):
    raw = published_files.FILES["configs"][model]
    assert ours(raw) == published_files.resolve(raw)


@pytest.mark.parametrize("model", published_files.FILES["refused_configs"])
def test_what_cannot_be_computed_is_refused_by_name(model):
    case = published_files.FILES["refused_configs"][model]
    with pytest.raises(ValueError, match=case["reason"]):
        config.from_dict(case["config"])


FULL, SLIDING = "full_attention", "sliding_attention"
ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
CASES = {
    # Windows: transformers 35896, vLLM 17306 and 15705, lorax 532, TRL 7204.
    "qwen2 states a window and does not use it": ("qwen2", {"sliding_window": 32}),
    "qwen2 uses it above more layers than there are": (
        "qwen2",
        {"sliding_window": 32, "use_sliding_window": True},
    ),
    "qwen2 uses it on all layers": (
        "qwen2",
        {"sliding_window": 32, "use_sliding_window": True, "max_window_layers": 0},
    ),
    "qwen2 uses the class's window": (
        "qwen2",
        {"use_sliding_window": True, "max_window_layers": 0},
    ),
    "qwen3's window is on, max_window_layers equals the layers": (
        "qwen3",
        {"sliding_window": 32, "use_sliding_window": True, "max_window_layers": 4},
    ),
    "layer_types win over max_window_layers": (
        "qwen2",
        {
            "sliding_window": 32,
            "use_sliding_window": True,
            "max_window_layers": 4,
            "layer_types": [SLIDING] * 4,
        },
    ),
    "all layers full though a window is stated and used": (
        "qwen3",
        {
            "sliding_window": 32,
            "use_sliding_window": True,
            "max_window_layers": 0,
            "layer_types": [FULL] * 4,
        },
    ),
    "mistral without the key has the class's window": ("mistral", {}),
    "mistral with null has none": ("mistral", {"sliding_window": None}),
    "mistral with layer_types is another class": (
        "mistral",
        {"sliding_window": 32, "layer_types": [FULL] * 4},
    ),
    "mistral with all layers sliding": (
        "mistral",
        {"sliding_window": 32, "layer_types": [SLIDING] * 4},
    ),
    "llama knows no window": ("llama", {"sliding_window": 32}),
    # Rope: transformers 32167 and 32916, vLLM 6897, onnxruntime-genai 2609.
    "rope type only under its old name": (
        "llama",
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
    ),
    "both names, the new one wins": (
        "llama",
        {"rope_scaling": {"type": "default", "rope_type": "linear", "factor": 2.0}},
    ),
    "rope_scaling wins as a whole": (
        "llama",
        {
            "rope_theta": 5e5,
            "rope_scaling": {"rope_type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
    ),
    "theta inside wins over theta beside": (
        "llama",
        {"rope_theta": 5e5, "rope_parameters": {"rope_theta": 1e6}},
    ),
    "theta beside where there is none inside": (
        "qwen2",
        {"rope_theta": 5e5, "rope_parameters": {"rope_type": "default"}},
    ),
    "an empty rope_scaling": ("llama", {"rope_scaling": {}, "rope_theta": 1e6}),
    "llama3 without its trained length takes the context": (
        "llama",
        {
            "max_position_embeddings": 4096,
            "rope_scaling": ROPE | {"rope_type": "llama3"},
        },
    ),
    "the trained length beside the scaling wins": (
        "llama",
        {
            "original_max_position_embeddings": 256,
            "rope_scaling": ROPE
            | {"rope_type": "llama3", "original_max_position_embeddings": 512},
        },
    ),
    "all of a head is rotated": ("llama", {"partial_rotary_factor": 1.0}),
    # Defaults that differ between classes.
    "mistral's head count of keys is its class's": (
        "mistral",
        {"num_attention_heads": 16, "num_key_value_heads": ...},
    ),
    "null is a head of keys for each": ("qwen2", {"num_key_value_heads": None}),
    "llama's follows from its heads": ("llama", {"num_key_value_heads": ...}),
    "llama's head width may be null": ("llama", {"head_dim": None}),
    "the head may be untied by null": ("llama", {"tie_word_embeddings": False}),
    "silu by its other name": ("llama", {"hidden_act": "swish"}),
}


@pytest.mark.parametrize("case", CASES)
def test_siblings_are_resolved_as_transformers_resolves_them(case):
    family, change = CASES[case]
    raw = SHAPE | {"model_type": family} | change
    raw = {key: value for key, value in raw.items() if value is not ...}
    assert ours(raw) == published_files.resolve(raw)


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        (
            "qwen2",
            {"use_sliding_window": True, "max_window_layers": 2},
            "some layers only .max_window_layers 2.",
        ),
        ("mistral", {"layer_types": [FULL] * 3 + [SLIDING]}, "some layers only"),
        ("qwen3", {"layer_types": [SLIDING] * 4}, "the model has no sliding window"),
        ("llama", {"layer_types": [SLIDING] * 4}, "the model has no sliding window"),
        ("qwen2", {"layer_types": [FULL] * 3}, "a list of 4, one a layer"),
        (
            "qwen2",
            {"layer_types": ["linear_attention"] * 4},
            "'linear_attention', expected full_attention or sliding_attention",
        ),
        ("mistral", {"sliding_window": 0}, "sliding_window 0, expected a whole number"),
        ("llama", {"rope_scaling": {"full_attention": {}}}, "expected nothing"),
        ("llama", {"rope_scaling": "linear"}, "expected a dictionary"),
    ],
)
def test_windows_and_ropes_that_cannot_be_are_refused(family, change, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(SHAPE | {"model_type": family} | change)
