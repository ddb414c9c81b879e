import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxent.arrays import lora, nf4
from jaxent.model import blocks, config, convert, layers, transformer
from jaxent.model import cache as caches

RAW = {
    "model_type": "qwen2",
    "vocab_size": 40,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.fixture(scope="module")
def quantised() -> transformer.Transformer:
    model = transformer.Transformer(config.from_dict(RAW), nnx.Rngs(0))
    for path in lora.PATHS.values():
        param = convert.linear_param(model.layers, path)
        packed = [nf4.repack(nf4.encode(np.asarray(w).T)) for w in param.get_value()]
        param.set_value(jax.tree.map(lambda *x: jnp.stack(x), *packed))
    return model


def filled_adapter(model, modules) -> lora.Adapter:
    lora_config = lora.LoraConfig(4, 12.0, modules=modules)
    shapes = blocks.linear_shapes(model.config)
    adapter = lora.init_adapter(jax.random.key(0), lora_config, 2, shapes)
    return jax.tree.map(lambda x: x + 0.02, adapter)


def test_dense_weights_are_the_decoded_ones(quantised):
    dense = convert.to_dense(quantised, jnp.bfloat16)
    for path in lora.PATHS.values():
        weight = convert.linear_param(dense.layers, path).get_value()
        packed = convert.linear_param(quantised.layers, path).get_value()
        assert isinstance(packed, nf4.NF4) and weight.dtype == jnp.bfloat16
        np.testing.assert_array_equal(weight, nf4.decode(packed, jnp.bfloat16))


def test_a_merged_adapter_changes_its_own_modules_alone(quantised):
    adapter = filled_adapter(quantised, ("q_proj", "down_proj"))
    bare = convert.to_dense(quantised, jnp.float32)
    merged = convert.to_dense(quantised, jnp.float32, adapter)
    for path in lora.PATHS.values():
        change = np.asarray(
            convert.linear_param(merged.layers, path).get_value()
            - convert.linear_param(bare.layers, path).get_value()
        )
        expected = np.zeros_like(change)
        if path in adapter.params:
            factors = adapter.params[path]
            expected = (
                3.0 * np.asarray(factors.a).swapaxes(1, 2) @ np.asarray(factors.b)
            )
        np.testing.assert_allclose(change, expected, atol=1e-6)


def test_unstacked_layers_are_the_layers_transposed(quantised):
    unstacked = convert.unstack_layers(quantised, jnp.float32)
    assert len(unstacked) == 2
    for index, block in enumerate(unstacked):
        for path in lora.PATHS.values():
            weight = convert.linear_param(block, path).get_value()
            packed = convert.linear_param(quantised.layers, path).get_value()
            decoded = nf4.decode(packed, jnp.float32)[index]
            assert isinstance(weight, layers.TransposedWeight)
            np.testing.assert_array_equal(weight.rows, decoded.T)


def test_decoding_with_unstacked_layers_equals_the_scan(quantised):
    adapter = filled_adapter(quantised, ("k_proj", "up_proj"))
    unstacked = convert.unstack_layers(quantised, jnp.float32)
    hidden = {}
    for per_layer in (False, True):
        cache = caches.empty(quantised.config, 2, 4, jnp.float32, per_layer)
        step = jax.jit(
            lambda column, tokens, cache, per_layer=per_layer: quantised.decode_step(
                tokens,
                np.array([0, 1]),
                column,
                cache,
                adapter,
                unstacked=unstacked if per_layer else None,
            )
        )
        for column in range(3):
            tokens = np.array([column, 7 * column])
            hidden[per_layer], cache = step(column, tokens, cache)
    np.testing.assert_allclose(hidden[True], hidden[False], atol=1e-5)
