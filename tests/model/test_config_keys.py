import pytest

from jaxent.model import config_keys

RAW = {
    "model_type": "llama",
    "vocab_size": 32,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.mark.parametrize(
    "change",
    [
        {"unk_token_id": 0},  # SmolLM2
        {"use_mrope": False},  # Qwen2.5
        {"unsloth_version": "2024.12.4", "unsloth_fixed": True},  # vLLM 11765
        {
            "auto_map": {"AutoModel": "modeling.py"},
            "_attn_implementation_autoset": True,
        },
        {"tokenizer_class": "LlamaTokenizer", "model_max_length": 4096},
        {"max_length": 20, "do_sample": True, "temperature": 0.7, "top_k": 20},
        {"rope_interleaved": False, "is_llama_config": True},
        {
            "an_unknown_key": None,
            "another": "",
            "a_list": [],
            "a_table": {},
            "off": False,
        },
        {"per_layer_config": {}, "transformers_weights": "model.safetensors"},
        {"is_causal": True, "tie_last_hidden_states": None, "partial_rotary_factor": 1},
        {"attention_dropout": 0, "pruned_heads": {}, "num_experts": 0},
        {"hidden_act": "swish", "mlp_bias": False, "attention_bias": None},
        {"boi_token_id": 7, "mask_token_id": 3},
    ],
)
def test_what_changes_nothing_passes(change):
    config_keys.check_keys(RAW | change, "llama", "config.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_mrope": True}, "unknown key 'use_mrope' = True"),
        ({"rotary_dim": 64}, "unknown key 'rotary_dim' = 64"),  # transformers 48241
        ({"clip_qkv": 0}, "unknown key 'clip_qkv' = 0"),
        (
            {"per_layer_config": {"0": {"head_dim": 4}}},
            "unknown key 'per_layer_config'",
        ),
        ({"dual_chunk_attention_config": {"chunk_size": 4}}, "dual_chunk_attention"),
        ({"attn_logit_softcapping": 50.0}, "'attn_logit_softcapping' = 50.0"),
        ({"is_causal": False}, "is_causal False, expected True"),
        ({"tie_last_hidden_states": False}, "tie_last_hidden_states False"),
        ({"transformers_weights": "adapter_model.bin"}, "expected 'model.safetensors'"),
        ({"rope_interleaved": True}, "unknown key 'rope_interleaved' = True"),
        ({"attention_dropout": 0.1}, "attention_dropout 0.1, expected 0"),
        ({"attention_bias": True}, "attention_bias True, expected False"),
        ({"embedding_multiplier": 12.0}, "embedding_multiplier 12.0, expected 1"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu', expected 'silu' or 'swish'"),
        ({"hidden_size": None}, "'hidden_size' is missing"),
    ],
)
def test_what_would_be_read_past_is_refused(change, message):
    with pytest.raises(ValueError, match=f"config.json: .*{message}"):
        config_keys.check_keys(RAW | change, "llama", "config.json")


def test_families_differ():
    qwen = RAW | {"attention_bias": False}
    config_keys.check_keys(qwen, "qwen2", "config.json")
    with pytest.raises(ValueError, match="'num_key_value_heads' is missing"):
        config_keys.check_keys(RAW, "qwen3", "config.json")
