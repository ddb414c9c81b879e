import json

import pytest

from jaxent.model import config

LLAMA = {
    "model_type": "llama",
    "vocab_size": 32016,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "rms_norm_eps": 1e-5,
}
MISTRAL = LLAMA | {"model_type": "mistral", "num_key_value_heads": 8}
QWEN3 = LLAMA | {
    "model_type": "qwen3",
    "num_key_value_heads": 8,
    "head_dim": 256,
    "sliding_window": None,
}
LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
QWEN = LLAMA | {
    "model_type": "qwen2",
    "num_key_value_heads": 8,
    "sliding_window": 131072,
    "max_window_layers": 28,
}


def test_defaults_and_both_spellings_of_rope():
    plain = config.from_dict(LLAMA | {"rope_theta": 1e6})
    assert (plain.kv_heads, plain.head_dim, plain.rope, plain.tied) == (
        32,
        128,
        config.Rope(1e6),
        False,
    )
    four = config.from_dict(
        LLAMA | {"rope_theta": 1e5, "rope_scaling": {"type": "linear", "factor": 4.0}}
    )
    five = config.from_dict(
        LLAMA
        | {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5}}
    )
    assert four == five and four.rope == config.Rope(1e5, 4.0)


def test_llama3_rope_in_both_spellings():
    four = config.from_dict(
        LLAMA | {"rope_theta": 5e5, "rope_scaling": LLAMA3 | {"rope_type": "llama3"}}
    )
    five = config.from_dict(
        LLAMA | {"rope_parameters": LLAMA3 | {"rope_type": "llama3", "rope_theta": 5e5}}
    )
    assert four == five and four.rope == config.Rope(
        5e5, 8.0, config.Bands(1.0, 4.0, 8192)
    )


def test_qwen3_norms_its_queries_and_keys_and_has_no_bias():
    ours = config.from_dict(QWEN3)
    assert (ours.qk_norm, ours.qkv_bias, ours.head_dim, ours.window) == (
        True,
        False,
        256,
        None,
    )
    assert not config.from_dict(QWEN).qk_norm and config.from_dict(QWEN).qkv_bias
    for key in ("head_dim", "num_key_value_heads"):
        with pytest.raises(ValueError, match=f"'{key}' is missing"):
            config.from_dict({k: v for k, v in QWEN3.items() if k != key})
    with pytest.raises(ValueError, match="attention_bias True, expected False"):
        config.from_dict(QWEN3 | {"attention_bias": True})


def test_windows():
    assert config.from_dict(MISTRAL | {"sliding_window": 4096}).window == 4096
    assert config.from_dict(MISTRAL | {"sliding_window": None}).window is None
    assert config.from_dict(QWEN | {"use_sliding_window": False}).window is None
    for raw in (QWEN, QWEN3 | {"sliding_window": 4096}):
        with pytest.raises(ValueError, match="some layers only"):
            config.from_dict(raw | {"use_sliding_window": True})
        assert (
            config.from_dict(
                raw | {"use_sliding_window": True, "max_window_layers": 0}
            ).window
            == raw["sliding_window"]
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "gpt2"},
            "model_type 'gpt2', expected one of qwen2, qwen3, llama, mistral",
        ),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5, expected 1"),
        ({"clip_qkv": 8.0}, "unknown key 'clip_qkv' = 8.0"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu', expected 'silu' or 'swish'"),
        ({"attention_bias": True}, "attention_bias True, expected False"),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
            "rope scaling 'yarn'.*expected one of default, linear, llama3",
        ),
        (
            {"rope_scaling": {"rope_type": "linear"}},
            "rope scaling 'linear' with .*'linear'}, expected factor",
        ),
        (
            {"rope_scaling": {"type": "linear", "factor": 4.0, "beta": 1}},
            "rope scaling 'linear' with .*'beta': 1",
        ),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "expected factor, high_freq_factor, low_freq_factor",
        ),
        (
            {"rope_scaling": LLAMA3 | {"rope_type": "llama3", "low_freq_factor": 4.0}},
            "low_freq_factor 4.0 and high_freq_factor 4.0",
        ),
        ({"num_key_value_heads": 5}, "not a multiple of num_key_value_heads 5"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        config.from_dict(LLAMA | change)


def test_missing_key_and_missing_file(tmp_path):
    with pytest.raises(ValueError, match="'hidden_size' is missing"):
        config.from_dict({k: v for k, v in LLAMA.items() if k != "hidden_size"})
    with pytest.raises(FileNotFoundError, match="no such file"):
        config.read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert config.read_config(tmp_path).layers == 32
