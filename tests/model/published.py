"""config.json of the paper's six models and of ladders around them, the keys that matter, as published on the Hub."""

_QWEN = {"model_type": "qwen2", "vocab_size": 152064, "num_key_value_heads": 8, "rope_theta": 1e6, "rms_norm_eps": 1e-6,
         "max_position_embeddings": 32768, "tie_word_embeddings": False, "hidden_act": "silu",
         "use_sliding_window": False, "sliding_window": 131072}  # fmt: skip
_LLAMA = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
          "num_attention_heads": 32, "num_key_value_heads": 32, "tie_word_embeddings": False,
          "max_position_embeddings": 16384}  # fmt: skip
_SMALL = _QWEN | {"vocab_size": 151936, "num_key_value_heads": 2, "tie_word_embeddings": True, "sliding_window": 32768}
_DEEPSEEK = _LLAMA | {"vocab_size": 32256, "rope_theta": 1e5, "rms_norm_eps": 1e-6,
                      "rope_scaling": {"type": "linear", "factor": 4.0}}  # fmt: skip
_CODELLAMA = _LLAMA | {"vocab_size": 32016, "rope_theta": 1e6, "rms_norm_eps": 1e-5, "rope_scaling": None}
_LLAMA3 = {"model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8, "rope_theta": 5e5, "rms_norm_eps": 1e-5,
           "max_position_embeddings": 131072, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False,
           "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                            "original_max_position_embeddings": 8192, "rope_type": "llama3"}}  # fmt: skip
_QWEN3 = {"model_type": "qwen3", "vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128, "rope_theta": 1e6,
          "rms_norm_eps": 1e-6, "max_position_embeddings": 40960, "hidden_act": "silu", "attention_bias": False,
          "rope_scaling": None, "use_sliding_window": False, "sliding_window": None}  # fmt: skip

CONFIGS = {
    "Qwen2.5-Coder-0.5B": _SMALL | {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
                                    "num_attention_heads": 14, "max_window_layers": 24},
    "Qwen2.5-Coder-1.5B": _SMALL | {"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
                                    "num_attention_heads": 12, "max_window_layers": 28},
    "Qwen2.5-Coder-3B": _SMALL | {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36,
                                  "num_attention_heads": 16, "max_window_layers": 36},
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
    "DeepSeek-Coder-1.3B": _DEEPSEEK | {"hidden_size": 2048, "intermediate_size": 5504, "num_hidden_layers": 24,
                                        "num_attention_heads": 16, "num_key_value_heads": 16},
    "DeepSeek-Coder-6.7B": _DEEPSEEK,
    "DeepSeek-Coder-33B": _DEEPSEEK | {"hidden_size": 7168, "intermediate_size": 19200, "num_hidden_layers": 62,
                                       "num_attention_heads": 56, "num_key_value_heads": 8},
    "CodeLlama-7B": _CODELLAMA,
    "CodeLlama-13B": _CODELLAMA | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
                                   "num_attention_heads": 40, "num_key_value_heads": 40},
    "CodeLlama-34B": _CODELLAMA | {"vocab_size": 32000, "hidden_size": 8192, "intermediate_size": 22016,
                                   "num_hidden_layers": 48, "num_attention_heads": 64, "num_key_value_heads": 8},
    "Llama-3.1-8B": _LLAMA3 | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
                               "num_attention_heads": 32, "tie_word_embeddings": False},
    "Qwen3-0.6B": _QWEN3 | {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
                            "num_attention_heads": 16, "max_window_layers": 28, "tie_word_embeddings": True},
    "Qwen3-8B": _QWEN3 | {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
                          "num_attention_heads": 32, "max_window_layers": 36, "tie_word_embeddings": False},
}  # fmt: skip
