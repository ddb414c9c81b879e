"""The decode loop on eight devices: the same tokens under every mesh."""

import jax
import pytest
from decode import helpers
from flax import nnx

from jaxent.checkpoint import hf
from jaxent.decode import loop
from jaxent.distributed import axes
from jaxent.model import config, known_configs, sharding, transformer

QWEN_7B = "Qwen/Qwen2.5-Coder-7B"
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


def test_a_mesh_that_does_not_fit_is_refused_with_one_that_does(qwen):
    model = hf.abstract_model(hf.load(qwen).config)
    with pytest.raises(
        ValueError,
        match=r"2 key-value heads are not divisible by axis size 8 \(tensor\); "
        "expected one that splits them, such as data",
    ):
        sharding.check_mesh(model, axes.parse_mesh("tensor:8"))
    sharding.check_mesh(model, axes.parse_mesh("fsdp:8"))  # its outputs split
    odd = config.from_dict(RAW | {"intermediate_size": 516})
    with pytest.raises(
        ValueError,
        match=r"4 blocks of 64 weights are not divisible by axis size 8 \(fsdp\)",
    ):
        sharding.check_mesh(hf.abstract_model(odd), axes.parse_mesh("fsdp:8"))


def test_the_default_mesh_splits_the_model_and_the_rows(monkeypatch):
    """Qwen-7B's 3584 inputs are 56 blocks of 64, and the 32B's 5120 are 80."""

    def choose(name, rows=None):
        model = hf.abstract_model(known_configs.find_config(name))
        return sharding.choose_mesh(model, None, rows)

    def sizes(name, rows=None):
        return dict(choose(name, rows).shape)

    assert choose(QWEN_7B) is None  # the devices of a CPU share its cores
    monkeypatch.setattr(axes, "is_unsharded", lambda text: False)
    assert sizes(QWEN_7B, 16) == {"seed": 1, "data": 1, "fsdp": 8, "tensor": 1}
    assert sizes(QWEN_7B.replace("7B", "32B")) == {
        "seed": 1,
        "data": 1,
        "fsdp": 8,
        "tensor": 1,
    }
    assert sizes(QWEN_7B, 4) == {"seed": 1, "data": 1, "fsdp": 4, "tensor": 2}
    with pytest.raises(
        ValueError,
        match="no mesh over 8 devices splits the model and 1 rows of a step; "
        "seeds trained together",
    ):
        sizes(QWEN_7B, 1)
