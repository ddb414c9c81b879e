"""Which meshes fit a model, and how arrays are split on one.

That a mesh gives the results of one device is tested in tests/train/test_meshes.py
and tests/decode/test_mesh.py.
"""

import jax
import pytest

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.distributed import axes
from jaxent.model import blocks, config, known_configs, sharding

QWEN_7B = "Qwen/Qwen2.5-Coder-7B"
RAW = {
    "model_type": "qwen2",
    "vocab_size": 160,
    "hidden_size": 512,
    "intermediate_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}


def abstract(**changed):
    """A quantised model without arrays."""
    return hf.abstract_model(config.from_dict(RAW | changed))


def test_heads_that_a_mesh_does_not_split_are_refused():
    message = (
        r"4 key-value heads are not divisible by axis size 8 \(tensor\); "
        "expected one that splits them, such as data:1,fsdp:8"
    )
    with pytest.raises(ValueError, match=message):
        sharding.check_mesh(abstract(), axes.parse_mesh("tensor:8"))
    with pytest.raises(ValueError, match=message):
        sharding.choose_mesh(abstract(), "tensor:8")


def test_blocks_that_a_mesh_does_not_split_are_refused():
    fsdp = axes.parse_mesh("fsdp:8")
    sharding.check_mesh(abstract(), fsdp)  # 512 inputs are eight blocks
    sharding.check_mesh(abstract(hidden_size=256), fsdp)  # its outputs split instead
    message = r"4 blocks of 64 weights are not divisible by axis size 8 \(fsdp\)"
    with pytest.raises(ValueError, match=message):
        sharding.check_mesh(abstract(hidden_size=256, intermediate_size=516), fsdp)


def test_rows_that_a_mesh_does_not_split_are_refused():
    message = (
        r"3 rows of a step are not divisible by axis size 8 \(data x fsdp\); "
        "no mesh over 8 devices"
    )
    with pytest.raises(ValueError, match=message):
        sharding.check_mesh(abstract(), axes.parse_mesh("data:8"), rows=3)


def test_a_mesh_that_fits_is_what_was_asked_for():
    mesh = sharding.choose_mesh(abstract(), "data:2,fsdp:4", rows=8)
    assert mesh.shape["fsdp"] == 4
    assert sharding.choose_mesh(abstract(), "none") is None


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


def test_an_adapter_is_split_like_its_weights():
    mesh = axes.parse_mesh("data:2,fsdp:2,tensor:2")
    shapes = blocks.linear_shapes(config.from_dict(RAW))
    adapter = lora.init_adapter(jax.random.key(0), lora.LoraConfig(4), 3, shapes)
    factors = sharding.shard_adapter(adapter, mesh).params["mlp.down_proj"]
    assert factors.a.addressable_shards[0].data.shape == (3, 4, 512)
    assert factors.b.addressable_shards[0].data.shape == (3, 4, 256)
    stacked = sharding.adapter_shardings(adapter, mesh, "seed")
    spec = stacked.params["self_attn.k_proj"].b.spec
    assert spec == axes.partition_spec("seed", "layer", None, "kv_heads")
