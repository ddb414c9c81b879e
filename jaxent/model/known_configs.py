"""Configurations of the paper's six models and of other sizes of their families.

With them a study can be planned on a machine that does not have the checkpoints.
"""

import functools
import pathlib

import huggingface_hub

from jaxent.model import config as configs

_QWEN = {
    "model_type": "qwen2",
    "vocab_size": 152064,
    "num_key_value_heads": 8,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": False,
    "hidden_act": "silu",
    "use_sliding_window": False,
    "sliding_window": 131072,
}
_LLAMA = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "tie_word_embeddings": False,
    "max_position_embeddings": 16384,
}
_SMALL = _QWEN | {
    "vocab_size": 151936,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
    "sliding_window": 32768,
}
_DEEPSEEK = _LLAMA | {
    "vocab_size": 32256,
    "rope_theta": 1e5,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {"type": "linear", "factor": 4.0},
}
_CODELLAMA = _LLAMA | {
    "vocab_size": 32016,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
}
_LLAMA3 = {
    "model_type": "llama",
    "vocab_size": 128256,
    "num_key_value_heads": 8,
    "rope_theta": 5e5,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 131072,
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}
_QWEN3 = {
    "model_type": "qwen3",
    "vocab_size": 151936,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "rope_theta": 1e6,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 40960,
    "hidden_act": "silu",
    "attention_bias": False,
    "rope_scaling": None,
    "use_sliding_window": False,
    "sliding_window": None,
}

CONFIGS = {  # by Hub id: what their config.json says, the keys that matter
    "Qwen/Qwen2.5-Coder-0.5B": _SMALL
    | {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "max_window_layers": 24,
    },
    "Qwen/Qwen2.5-Coder-1.5B": _SMALL
    | {
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "max_window_layers": 28,
    },
    "Qwen/Qwen2.5-Coder-3B": _SMALL
    | {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "max_window_layers": 36,
    },
    "Qwen/Qwen2.5-Coder-7B": _QWEN
    | {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_window_layers": 28,
    },
    "Qwen/Qwen2.5-Coder-14B": _QWEN
    | {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 48,
        "num_attention_heads": 40,
        "max_window_layers": 48,
    },
    "Qwen/Qwen2.5-Coder-32B": _QWEN
    | {
        "hidden_size": 5120,
        "intermediate_size": 27648,
        "num_hidden_layers": 64,
        "num_attention_heads": 40,
        "max_window_layers": 64,
    },
    "mistralai/Mistral-7B-v0.3": {
        "model_type": "mistral",
        "vocab_size": 32768,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-5,
        "sliding_window": None,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
    },
    "deepseek-ai/deepseek-coder-1.3b-base": _DEEPSEEK
    | {
        "hidden_size": 2048,
        "intermediate_size": 5504,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
    },
    "deepseek-ai/deepseek-coder-6.7b-base": _DEEPSEEK,
    "deepseek-ai/deepseek-coder-33b-base": _DEEPSEEK
    | {
        "hidden_size": 7168,
        "intermediate_size": 19200,
        "num_hidden_layers": 62,
        "num_attention_heads": 56,
        "num_key_value_heads": 8,
    },
    "codellama/CodeLlama-7b-hf": _CODELLAMA,
    "codellama/CodeLlama-13b-hf": _CODELLAMA
    | {
        "hidden_size": 5120,
        "intermediate_size": 13824,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 40,
    },
    "codellama/CodeLlama-34b-hf": _CODELLAMA
    | {
        "vocab_size": 32000,
        "hidden_size": 8192,
        "intermediate_size": 22016,
        "num_hidden_layers": 48,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
    },
    "meta-llama/Llama-3.1-8B": _LLAMA3
    | {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "tie_word_embeddings": False,
    },
    "Qwen/Qwen3-0.6B": _QWEN3
    | {
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "max_window_layers": 28,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-8B": _QWEN3
    | {
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "max_window_layers": 36,
        "tie_word_embeddings": False,
    },
}


def require_config(model: str) -> configs.Config:
    """`find_config`, but an unknown model is an error.

    Args:
        model: a folder, a name in `CONFIGS` or a Hub id.

    Returns:
        The configuration.

    Raises:
        ValueError: there is no configuration.

    Example:
        >>> require_config("Qwen/Qwen2.5-Coder-7B").layers
        28
    """
    config = find_config(model)
    if config is None:
        raise ValueError(
            f"model {model!r}: no configuration found, expected a folder, a Hub id "
            f"that can be reached or one of {', '.join(CONFIGS)}"
        )
    return config


@functools.cache
def find_config(model: str) -> configs.Config | None:
    """A model's configuration without its weights.

    Args:
        model: a folder, a name in `CONFIGS` or a Hub id.

    Returns:
        The folder's configuration, else the one in `CONFIGS`, else the Hub's; None if
        there is none.

    Raises:
        ValueError: a folder's configuration is not supported.

    Example:
        >>> find_config("mistralai/Mistral-7B-v0.3").kv_heads
        8
    """
    folder = pathlib.Path(model)
    if folder.is_dir():
        return configs.read_config(folder)
    if model in CONFIGS:
        return configs.from_dict(CONFIGS[model], model)
    try:
        path = huggingface_hub.hf_hub_download(model, "config.json")
        return configs.read_config(pathlib.Path(path).parent)
    except Exception:  # no such model, no network: its cost stays unknown
        return None
