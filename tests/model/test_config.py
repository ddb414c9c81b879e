import json

import pytest

from jaxent.model import config

LLAMA = {
    "model_type": "llama", "vocab_size": 32016, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "rms_norm_eps": 1e-5,
}  # fmt: skip
MISTRAL = LLAMA | {"model_type": "mistral", "num_key_value_heads": 8}
QWEN = LLAMA | {"model_type": "qwen2", "num_key_value_heads": 8, "sliding_window": 131072, "max_window_layers": 28}


def test_defaults_and_both_spellings_of_rope():
    plain = config.from_dict(LLAMA | {"rope_theta": 1e6})
    assert (plain.kv_heads, plain.head_dim, plain.rope_theta, plain.rope_scale, plain.tied) == (32, 128, 1e6, 1.0, False)
    four = config.from_dict(LLAMA | {"rope_theta": 1e5, "rope_scaling": {"type": "linear", "factor": 4.0}})
    five = config.from_dict(LLAMA | {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5}})
    assert four == five and four.rope_scale == 4.0


def test_windows():
    assert config.from_dict(MISTRAL | {"sliding_window": 4096}).window == 4096
    assert config.from_dict(MISTRAL | {"sliding_window": None}).window is None
    assert config.from_dict(QWEN | {"use_sliding_window": False}).window is None
    with pytest.raises(ValueError, match="some layers only"):
        config.from_dict(QWEN | {"use_sliding_window": True})


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2', expected one of qwen2, llama, mistral"),
        ({"partial_rotary_factor": 0.5}, "unknown key 'partial_rotary_factor' = 0.5"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu', expected 'silu'"),
        ({"attention_bias": True}, "attention_bias True, expected False"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope scaling 'yarn'"),
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
        config.read(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert config.read(tmp_path).layers == 32
