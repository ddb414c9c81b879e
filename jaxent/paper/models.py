"""The paper's models: the names in its tables, Hub repositories, numbers of layers."""

import pathlib
import re
import types
from collections.abc import Mapping

QWEN_7B = "Qwen2.5-Coder-7B"
QWEN_14B = "Qwen2.5-Coder-14B"
QWEN_32B = "Qwen2.5-Coder-32B"
MISTRAL = "Mistral-7B-v0.3"
DEEPSEEK = "DeepSeek-Coder-6.7B"
CODELLAMA = "CodeLlama-7B"

HUB: Mapping[str, str] = types.MappingProxyType(
    {
        QWEN_7B: "Qwen/Qwen2.5-Coder-7B",
        QWEN_14B: "Qwen/Qwen2.5-Coder-14B",
        QWEN_32B: "Qwen/Qwen2.5-Coder-32B",
        MISTRAL: "mistralai/Mistral-7B-v0.3",
        DEEPSEEK: "deepseek-ai/deepseek-coder-6.7b-base",
        CODELLAMA: "codellama/CodeLlama-7b-hf",
    }
)
"""Hub repository of each model (the paper names none)."""

LAYERS: Mapping[str, int] = types.MappingProxyType(
    {
        QWEN_7B: 28,
        QWEN_14B: 48,
        QWEN_32B: 64,
        MISTRAL: 32,
        DEEPSEEK: 32,
        CODELLAMA: 32,
    }
)
"""Number of transformer layers of each model: the paper measures the last."""

_HUB_CACHE = re.compile(r"models--[\w.-]+?--([\w.-]+)")


def identify_model(model: str) -> tuple[str, bool]:
    """Names a model as the paper does, if it is one of the paper's.

    Args:
      model: a Hub repository, a checkpoint folder, or a folder of the Hub's cache.

    Returns:
      The paper's name and True, or the last part of `model` and False.

    Example:
      >>> identify_model("/checkpoints/qwen2.5-coder-7b")
      ('Qwen2.5-Coder-7B', True)
      >>> identify_model("/checkpoints/tiny")
      ('tiny', False)
    """
    cached = _HUB_CACHE.search(model)
    if cached:
        last = cached.group(1)
    else:
        last = pathlib.PurePath(model.rstrip("/")).name or model
    for name, repository in HUB.items():
        if last.lower() == repository.split("/")[1].lower():
            return name, True
    return last, False


def short_name(model: str) -> str:
    """Shortens a model's name as the paper's text does.

    Args:
      model: a name of the tables, or any other name, which stays.

    Returns:
      The short name.

    Example:
      >>> short_name(QWEN_7B), short_name(MISTRAL), short_name("tiny")
      ('Qwen-7B', 'Mistral-7B', 'tiny')
    """
    return model.replace("Qwen2.5-Coder-", "Qwen-").replace("-v0.3", "")
