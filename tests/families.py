"""Tiny random checkpoints of every family, written to disk by transformers.

A test that asks for one is skipped where there is no PyTorch.
"""

import pathlib

import pytest
import transformers

_COMMON = {
    "num_hidden_layers": 3,
    "vocab_size": 160,
    "max_position_embeddings": 256,
    "pad_token_id": None,
}
_CONFIGS = {
    "qwen2_tied": lambda: transformers.Qwen2Config(
        hidden_size=128,
        intermediate_size=256,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_theta=1e6,
        **_COMMON,
    ),
    "qwen2_untied": lambda: transformers.Qwen2Config(
        hidden_size=128,
        intermediate_size=384,
        num_attention_heads=8,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        rms_norm_eps=1e-6,
        **_COMMON,
    ),
    "codellama": lambda: transformers.LlamaConfig(
        hidden_size=96,
        intermediate_size=172,
        num_attention_heads=4,
        num_key_value_heads=4,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        **_COMMON,
    ),
    "deepseek": lambda: transformers.LlamaConfig(
        hidden_size=64,
        intermediate_size=160,
        num_attention_heads=4,
        num_key_value_heads=4,
        rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 1e5},
        **_COMMON,
    ),
    "mistral_v03": lambda: transformers.MistralConfig(
        hidden_size=128,
        intermediate_size=256,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=48,
        sliding_window=None,
        rope_theta=1e6,
        **_COMMON,
    ),
    "mistral_v01": lambda: transformers.MistralConfig(
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        rope_theta=1e4,
        attn_implementation="eager",
        **_COMMON,
    ),
    # Llama 3's rope in small: of eight pairs the first is kept, the second blended and
    # the others slowed.
    "llama3": lambda: transformers.LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 1e4,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
        **_COMMON,
    ),
    "qwen3": lambda: transformers.Qwen3Config(
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        tie_word_embeddings=False,
        rope_theta=1e6,
        **_COMMON,
    ),
}
ALL = tuple(_CONFIGS)
# Those whose arithmetic differs: every test of a family runs on them. The other two, a
# head untied and a plain Llama, differ in shapes; tests of logits and of files run on
# ALL.
NAMES = tuple(name for name in ALL if name not in ("qwen2_untied", "codellama"))
# The rest of NAMES differ in rotation and head width, which tests of logits cover:
# further tests of theirs are slow.
FAST = ("qwen2_tied", "mistral_v01", "qwen3")


def marked(fast: tuple[str, ...] = FAST) -> list:
    """NAMES as parameters, those not in `fast` marked slow."""
    return [
        pytest.param(name, marks=() if name in fast else pytest.mark.slow)
        for name in NAMES
    ]


def model(name: str, seed: int = 0):
    """The transformers model, float32, in evaluation mode.

    Every parameter is random, biases and norms too.
    """
    torch = pytest.importorskip("torch")
    torch.manual_seed(seed)
    built = (
        transformers.AutoModelForCausalLM.from_config(_CONFIGS[name]()).float().eval()
    )
    with torch.no_grad():
        for key, parameter in built.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.08 + ("norm" in key))
    return built


def write(name: str, folder: pathlib.Path, dtype=None, **options) -> str:
    """Writes `model(name)` to folder, in float32 or dtype, and returns the folder."""
    written = model(name)
    if dtype is not None:
        written = written.to(dtype)
    written.save_pretrained(folder, **options)
    return str(folder)
