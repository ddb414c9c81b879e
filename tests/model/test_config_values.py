"""Nonsense in a config.json is named before anything has its size."""

import math
import tracemalloc

import pytest

from jaxent.model import config, config_values

RAW = {
    "model_type": "llama",
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads 0, expected a whole number"),
        ({"num_key_value_heads": 0}, "num_key_value_heads 0"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000.*to 4096"),
        ({"num_hidden_layers": -1}, "num_hidden_layers -1"),
        ({"hidden_size": 10**30}, "hidden_size 10+, expected"),
        ({"hidden_size": "64"}, "hidden_size '64'"),
        ({"hidden_size": 64.0}, "hidden_size 64.0"),
        ({"vocab_size": True}, "vocab_size True"),
        ({"head_dim": 0}, "head_dim 0"),
        ({"head_dim": 15}, "head_dim 15, expected an even number"),
        ({"num_attention_heads": 3}, "hidden_size 64 is not a multiple"),
        ({"max_position_embeddings": -5}, "max_position_embeddings -5"),
        ({"rms_norm_eps": -1}, "rms_norm_eps -1, expected a finite number from 0 to"),
        ({"rms_norm_eps": "1e-5"}, "rms_norm_eps '1e-5'"),  # a YAML that lost its dot
        ({"rms_norm_eps": math.nan}, "rms_norm_eps nan"),
        ({"rope_theta": 0}, "rope_theta 0, expected a finite number above 0"),
        ({"rope_theta": math.inf}, "rope_theta inf"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "factor 0, expected"),
        ({"rope_scaling": {"type": "linear", "factor": -2}}, "factor -2, expected"),
        ({"pad_token_id": 512}, "pad_token_id 512, expected below vocab_size 512"),
        ({"eos_token_id": [2, 600]}, r"eos_token_id \[2, 600\], expected below"),
        ({"bos_token_id": "<s>"}, "bos_token_id '<s>', expected below"),
    ],
)
def test_nonsense_is_refused_by_name(change, message):
    tracemalloc.start()
    with pytest.raises(ValueError, match=message):
        config.from_dict(RAW | change)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_no_token_and_bounds_pass():
    config.from_dict(RAW | {"pad_token_id": -1, "eos_token_id": [1, 511]})
    assert config.from_dict(RAW | {"rms_norm_eps": 0}).norm_eps == 0
    assert config_values.read_count({}, "head_dim", 128, "x") == 128
    assert config_values.read_number({"a": None}, "a", 2.0, "x") == 2.0
