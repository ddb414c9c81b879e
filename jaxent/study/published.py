"""Shapes of the paper's models, so that a study can be planned where their checkpoints are not."""

import functools
import pathlib

import huggingface_hub

from jaxent.model import config as configs

_QWEN = {"model_type": "qwen2", "vocab_size": 152064, "num_attention_heads": 40, "num_key_value_heads": 8, "rope_theta": 1e6,
         "max_position_embeddings": 32768}  # fmt: skip
_LLAMA = {"model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
          "max_position_embeddings": 16384}  # fmt: skip
CONFIGS = {  # by Hub id: what their config.json says of shapes
    "Qwen/Qwen2.5-Coder-7B": _QWEN | {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
                                      "num_attention_heads": 28, "num_key_value_heads": 4},
    "Qwen/Qwen2.5-Coder-14B": _QWEN | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 48},
    "Qwen/Qwen2.5-Coder-32B": _QWEN | {"hidden_size": 5120, "intermediate_size": 27648, "num_hidden_layers": 64},
    "mistralai/Mistral-7B-v0.3": {"model_type": "mistral", "vocab_size": 32768, "hidden_size": 4096, "intermediate_size": 14336,
                                  "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
                                  "max_position_embeddings": 32768},
    "deepseek-ai/deepseek-coder-6.7b-base": _LLAMA | {"vocab_size": 32256},
    "codellama/CodeLlama-7b-hf": _LLAMA | {"vocab_size": 32016},
}  # fmt: skip


@functools.cache
def config(model: str) -> configs.Config | None:
    """A model's configuration without its weights: a folder's, one of `CONFIGS`, or the Hub's; None where there is none."""
    folder = pathlib.Path(model)
    if folder.is_dir():
        return configs.read(folder)
    if model in CONFIGS:
        return configs.from_dict(CONFIGS[model], model)
    try:
        return configs.read(pathlib.Path(huggingface_hub.hf_hub_download(model, "config.json")).parent)
    except Exception:  # no such model, no network: its cost stays unknown
        return None
