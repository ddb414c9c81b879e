import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.model import blocks, config, known_configs, transformer

RAW = {
    "model_type": "qwen2",
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
POSITIONS = np.arange(5)[None]


def one_layer(stack, index: int):
    return jax.tree.map(lambda x: x[index], stack)


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-Coder-7B", "Qwen/Qwen3-8B"])
def test_logical_axes_name_every_dimension(name):
    model = transformer.abstract(config.from_dict(known_configs.CONFIGS[name]))
    for row in hf.tensor_table(model.config):
        param = model
        for part in row.path.split("."):
            param = getattr(param, part)
        assert len(param.logical) == len(param.get_value().shape), row.path


@pytest.mark.parametrize("family", ["qwen2", "mistral"])
def test_weights_have_the_linear_shapes_and_qwen2_alone_has_biases(family):
    c = config.from_dict(RAW | {"model_type": family, "sliding_window": 8})
    block = blocks.Block(c, jnp.float32, nnx.Rngs(0))
    biased = set()
    for module, path in lora.PATHS.items():
        group, _ = path.split(".")
        linear = getattr(getattr(block, group), module)
        shape = blocks.linear_shapes(c)[module]
        assert linear.weight.get_value().shape == (2, *shape)
        if linear.bias is not None:
            assert linear.bias.get_value().shape == (2, shape[1])
            biased.add(module)
    assert biased == ({"q_proj", "k_proj", "v_proj"} if family == "qwen2" else set())


def test_linear_adds_its_own_modules_low_rank_product():
    c = config.from_dict(RAW)
    linear = one_layer(blocks.Linear(c, "k_proj", jnp.float32, nnx.Rngs(0)), 1)
    lora_config = lora.LoraConfig(3, 6.0, modules=("k_proj",))
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 32)), rng.normal(size=(3, 16))
    params = {lora.PATHS["k_proj"]: lora.LoraParams(jnp.array(a), jnp.array(b))}
    adapter = lora.Adapter(params, lora_config)
    x = rng.normal(size=(1, 5, 32)).astype(np.float32)
    weight = np.asarray(linear.weight.get_value(), np.float64)
    expected = x @ weight + 2 * (x @ a.T) @ b
    y = linear(jnp.array(x), blocks.LayerContext(POSITIONS, adapter, None))
    np.testing.assert_allclose(y, expected, atol=1e-4)
    other = blocks.Linear(c, "v_proj", jnp.float32, nnx.Rngs(0))
    bare = one_layer(other, 0)(
        jnp.array(x), blocks.LayerContext(POSITIONS, adapter, None)
    )
    weight = np.asarray(other.weight.get_value()[0], np.float64)
    np.testing.assert_allclose(bare, x @ weight, atol=1e-5)


def test_mlp_is_silu_gate_times_up_then_down():
    c = config.from_dict(RAW)
    mlp = one_layer(blocks.MLP(c, jnp.float32, nnx.Rngs(0)), 0)
    x = np.random.default_rng(0).normal(size=(1, 5, 32)) * 10
    gate, up, down = (
        np.asarray(getattr(mlp, name).weight.get_value(), np.float64)
        for name in ("gate_proj", "up_proj", "down_proj")
    )
    gated = x @ gate
    expected = (gated / (1 + np.exp(-gated)) * (x @ up)) @ down
    context = blocks.LayerContext(POSITIONS, None, None)
    y = mlp(jnp.array(x, jnp.float32), context)
    np.testing.assert_allclose(y, expected, atol=1e-4 * np.abs(expected).max())
