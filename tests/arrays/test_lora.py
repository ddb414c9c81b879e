import jax
import numpy as np
import pytest

from jaxent.arrays import lora
from jaxent.model import blocks, config

SHAPES = dict.fromkeys(lora.MODULES, (128, 96))


def test_initial_adapter_is_pefts_distribution():
    adapter = lora.init_adapter(
        jax.random.key(0), lora.LoraConfig(rank=64, alpha=16), 8, SHAPES
    )
    assert list(adapter.params) == [lora.PATHS[m] for m in lora.MODULES]
    factors = adapter.params["mlp.up_proj"]
    a, b = factors.a, factors.b
    bound = 1 / np.sqrt(128)
    assert a.shape == (8, 64, 128) and b.shape == (8, 64, 96) and not b.any()
    assert abs(a).max() <= bound and np.std(a) == pytest.approx(
        bound / np.sqrt(3), rel=0.02
    )
    assert not np.array_equal(a, adapter.params["mlp.gate_proj"].a)


def test_subset_keeps_the_same_numbers():
    every = lora.init_adapter(jax.random.key(1), lora.LoraConfig(8, 24.0), 2, SHAPES)
    some = lora.init_adapter(
        jax.random.key(1), lora.LoraConfig(8, 24.0, modules=lora.ATTENTION), 2, SHAPES
    )
    assert set(some.params) == {lora.PATHS[m] for m in lora.ATTENTION}
    np.testing.assert_array_equal(
        some.params["self_attn.v_proj"].a, every.params["self_attn.v_proj"].a
    )


def test_full_size_adapter_counts():
    qwen7b = config.from_dict(
        {
            "model_type": "qwen2",
            "vocab_size": 152064,
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
        }
    )
    adapter = jax.eval_shape(
        lambda k: lora.init_adapter(
            k, lora.LoraConfig(), 28, blocks.linear_shapes(qwen7b)
        ),
        jax.random.key(0),
    )
    assert (
        lora.parameter_count(adapter) == 161_480_704
    )  # what PEFT prints for rank 64 on all linear modules


@pytest.mark.parametrize(
    "bad",
    [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"modules": ("q",)}, {"modules": ()}],
)
def test_bad_specs_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        lora.LoraConfig(**bad)
