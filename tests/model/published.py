"""config.json of the paper's six models, the keys that matter, as published on the Hub."""

_QWEN = {"model_type": "qwen2", "vocab_size": 152064, "num_key_value_heads": 8, "rope_theta": 1e6, "rms_norm_eps": 1e-6,
         "max_position_embeddings": 32768, "tie_word_embeddings": False, "hidden_act": "silu",
         "use_sliding_window": False, "sliding_window": 131072}  # fmt: skip
_LLAMA = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
          "num_attention_heads": 32, "num_key_value_heads": 32, "tie_word_embeddings": False,
          "max_position_embeddings": 16384}  # fmt: skip

CONFIGS = {
    "Qwen2.5-Coder-7B": _QWEN | {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                                 "num_attention_heads": 28, "num_key_value_heads": 4, "max_window_layers": 28},
    "Qwen2.5-Coder-14B": _QWEN | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 48,
                                  "num_attention_heads": 40, "max_window_layers": 48},
    "Qwen2.5-Coder-32B": _QWEN | {"hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64,
                                  "num_attention_heads": 40, "max_window_layers": 64},
    "Mistral-7B-v0.3": {"model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336,
                        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
                        "rope_theta": 1e6, "rms_norm_eps": 1e-5, "sliding_window": None,
                        "max_position_embeddings": 32768, "tie_word_embeddings": False},
    "DeepSeek-Coder-6.7B": _LLAMA | {"vocab_size": 32256, "rope_theta": 1e5, "rms_norm_eps": 1e-6,
                                     "rope_scaling": {"type": "linear", "factor": 4.0}},
    "CodeLlama-7B": _LLAMA | {"vocab_size": 32016, "rope_theta": 1e6, "rms_norm_eps": 1e-5, "rope_scaling": None},
}  # fmt: skip
