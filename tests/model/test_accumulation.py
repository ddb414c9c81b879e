import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxent.arrays import lora
from jaxent.model import blocks, config, dropout, transformer


def accumulating(layers: int, rank: int):
    """A loss, and an adapter whose gradient is to be added to what there is."""
    raw = {
        "model_type": "qwen2",
        "vocab_size": 256,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    model = transformer.Transformer(config.from_dict(raw), nnx.Rngs(0))
    lora_config = lora.LoraConfig(rank, 24.0, 0.1)
    shapes = blocks.linear_shapes(model.config)
    adapter = lora.init_adapter(jax.random.key(0), lora_config, layers, shapes)
    tokens = np.random.default_rng(0).integers(0, 256, (1, 32)).astype(np.int32)
    positions = np.arange(32, dtype=np.int32)[None]
    keys = dropout.token_keys(jax.random.key(1), np.ones_like(tokens), positions)

    def loss(adapter, grad_accum):
        segments = np.ones_like(tokens)
        hidden = model(
            tokens, segments, positions, adapter, keys, grad_accum=grad_accum
        )
        return jnp.sum(hidden**3)

    return loss, jax.tree.map(lambda x: x + 0.02, adapter)


def iter_arrays(*adapters: lora.Adapter):
    """The same array of every adapter, array by array."""
    return zip(*map(jax.tree.leaves, adapters), strict=True)


def test_gradients_are_added_to_what_there_is():
    """Exactly the sum, of autodiff's gradient but for rounding.

    float64 is up to 8e-5 of an array's largest element away from both: where every
    element of B is alike, terms cancel.
    """
    loss, adapter = accumulating(3, 4)
    gradient = jax.jit(jax.value_and_grad(loss))
    there = jax.tree.map(
        lambda x: jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / x.size, adapter
    )
    value, plain = gradient(adapter, None)
    of_nothing, alone = gradient(adapter, jax.tree.map(jnp.zeros_like, adapter))
    of_sum, added = gradient(adapter, there)
    assert of_nothing == of_sum == value
    for one, before, total in iter_arrays(alone, there, added):
        np.testing.assert_array_equal(total, one + before)
    for one, expected in iter_arrays(alone, plain):
        np.testing.assert_allclose(one, expected, atol=2e-4 * abs(expected).max())


def test_added_gradients_take_no_memory_of_their_own():
    loss, adapter = accumulating(8, 256)
    both = sum(x.nbytes for x in jax.tree.leaves(adapter))
    memory = (
        jax.jit(jax.grad(loss), donate_argnums=1)
        .lower(adapter, adapter)
        .compile()
        .memory_analysis()
    )
    assert memory.alias_size_in_bytes == both and memory.temp_size_in_bytes < both / 2
