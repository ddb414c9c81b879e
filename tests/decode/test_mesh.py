"""The decode loop on eight devices: the same tokens under every mesh."""

import jax
import pytest
from decode import helpers
from flax import nnx

from jaxent.checkpoint import hf
from jaxent.decode import loop
from jaxent.distributed import axes
from jaxent.model import config, sharding, transformer

RAW = {
    "model_type": "qwen2",
    "vocab_size": 160,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> str:
    """A checkpoint whose every axis holds four blocks of 64 weights or more."""
    folder = tmp_path_factory.mktemp("wide")
    hf.save(transformer.Transformer(config.from_dict(RAW), nnx.Rngs(0)), folder, RAW)
    return str(folder)


@pytest.mark.parametrize(
    ("quantize", "text"),
    [(False, "data:2,fsdp:2,tensor:2"), (True, "data:4,tensor:2"), (True, "fsdp:8")],
)
def test_every_mesh_decodes_the_same_tokens(wide, quantize, text):
    model, mesh = hf.load(wide, quantize), axes.parse_mesh(text)
    adapter = helpers.random_adapter(model.config)
    prompts, request = helpers.ragged(5, 9, 30, 12, 7), loop.Request(24, chunk=8)
    expected = loop.complete(loop.Runner(model, adapter), prompts, request)
    sharded = sharding.shard_model(model, mesh)
    for _, param in sharding.iter_params(sharded):
        for leaf in jax.tree.leaves(param.get_value()):
            assert len(leaf.sharding.device_set) == 8
    runner = loop.Runner(
        sharded,
        sharding.shard_adapter(adapter, mesh),
        transformer.ComputeConfig(mesh=mesh),
    )
    assert loop.complete(runner, prompts, request) == expected
