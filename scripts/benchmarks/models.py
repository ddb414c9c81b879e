"""Random checkpoints of published shapes, which both sides load."""

import functools
import json
import pathlib

import ml_dtypes
import numpy as np
import safetensors.numpy
import tqdm

from benchmarks import cases
from jaxent.checkpoint import hf
from jaxent.model import config as configs

QWEN_HALF_B = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}
QWEN_1_5B = QWEN_HALF_B | {
    "vocab_size": 151936,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_attention_heads": 12,
}


def write_random(folder: pathlib.Path, raw: dict, shards: int = 1) -> pathlib.Path:
    """Writes a bfloat16 checkpoint of normal weights (SD 0.02), norms of ones.

    Args:
      folder: where to; it is made.
      raw: the content of config.json.
      shards: its files.
    """
    folder.mkdir(parents=True)
    config = configs.from_dict(raw)
    shapes = []
    for row in hf.tensor_table(config):
        shapes += [(name, row.shape) for name in hf.tensor_names(row, config)]
    rng = np.random.default_rng(0)
    weight_map = {}
    for shard in tqdm.trange(shards, desc="write", unit="shard", leave=False):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        tensors = {}
        for name, shape in shapes[shard::shards]:
            values = rng.standard_normal(shape, np.float32) * 0.02
            if "norm" in name:
                values = np.ones(shape, np.float32)
            tensors[name] = values.astype(ml_dtypes.bfloat16)
        safetensors.numpy.save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return folder


@functools.cache
def random_model(settings: cases.Settings) -> str:
    """The folder of the random model of Qwen2.5-0.5B's widths; written once."""
    raw = QWEN_HALF_B | {
        "num_hidden_layers": settings.layers,
        "vocab_size": settings.vocab,
    }
    return str(write_random(settings.scratch / "random", raw))


def random_name(settings: cases.Settings) -> str:
    """What the table calls it."""
    return f"{settings.layers} layers of Qwen2.5-0.5B"
