"""Checkpoints that several tests make, and models compared part by part."""

import jax
import numpy as np
import pytest
import transformers
from flax import nnx

from jaxent.checkpoint import hf
from jaxent.distributed import axes
from jaxent.model import config, sharding, transformer


def write_wide(folder) -> str:
    """Writes a checkpoint whose every axis splits in four between groups of 128."""
    raw = {
        "model_type": "qwen2",
        "vocab_size": 160,
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    }
    hf.save(transformer.Transformer(config.from_dict(raw), nnx.Rngs(0)), folder, raw)
    return str(folder)


def bitsandbytes_copy(folder: str, out, double: bool):
    """Writes the checkpoint as bitsandbytes quantises it; returns its model."""
    torch = pytest.importorskip("torch")
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=settings, dtype=torch.float32
    )
    model.save_pretrained(out)
    return model


def assert_equal_parts(folder: str, quantize: bool, mesh_text: str) -> None:
    """A checkpoint loaded onto a mesh equals the whole, split as the rules say."""
    mesh = axes.parse_mesh(mesh_text)
    whole, split = hf.load(folder, quantize), hf.load(folder, quantize, mesh=mesh)

    def is_split_so(x, expected):
        return x.sharding.is_equivalent_to(expected, x.ndim)

    params = zip(sharding.iter_params(whole), sharding.iter_params(split))
    for (name, expected), (_, param) in params:
        value = param.get_value()
        jax.tree.map(np.testing.assert_array_equal, value, expected.get_value())
        shardings = axes.param_shardings(value, mesh, param.logical)
        assert jax.tree.all(jax.tree.map(is_split_so, value, shardings)), name
