import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxent.distributed import axes
from jaxent.model import cache as caches
from jaxent.model import config

TINY = config.from_dict(
    {
        "model_type": "llama",
        "vocab_size": 16,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
)
L, B, K, S, H = 3, 4, 2, 6, 4


def draw(*shape) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def stacked(stored) -> np.ndarray:
    """Keys or values of either form as one array [L, B, K, S, H]."""
    return np.stack(stored) if isinstance(stored, tuple) else np.asarray(stored)


@pytest.fixture(params=[False, True], ids=["stacked", "per_layer"])
def empty(request) -> caches.Cache:
    return caches.empty(TINY, B, S, jnp.float32, request.param)


def test_row_bytes_are_those_of_an_empty_cache(empty):
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(empty))
    assert size == B * caches.row_bytes(TINY, S, jnp.float32)
    assert stacked(empty.k).shape == (L, B, K, S, H) and not stacked(empty.v).any()
    assert empty.columns == S


def test_write_changes_two_columns_of_one_layer(empty):
    k, v = draw(2, B, 2, K, H)
    written = empty.write(1, 3, k, v)
    expected = np.zeros((L, B, K, S, H), np.float32)
    expected[1, :, :, 3:5] = k.swapaxes(1, 2)
    np.testing.assert_array_equal(stacked(written.k), expected)
    keys, values = written.read(1)
    np.testing.assert_array_equal(keys, expected[1])
    np.testing.assert_array_equal(values[:, :, 3:5], v.swapaxes(1, 2))
    assert not written.read(0)[0].any()


def test_write_on_a_mesh_is_write_on_one_device():
    k, v = draw(2, B, 1, K, H)
    mesh = axes.parse_mesh("data:2,fsdp:2,tensor:2")
    empty = caches.empty(TINY, B, S, jnp.float32)
    expected = empty.write(2, 5, k, v)
    names = ("layer", "batch", "kv_heads", None, None)
    split = jax.device_put(empty, axes.named_sharding(mesh, *names))
    written = jax.jit(lambda c: c.write(2, 5, k, v, mesh))(split)
    np.testing.assert_array_equal(written.k, expected.k)
    np.testing.assert_array_equal(written.v, expected.v)


def test_fill_puts_packed_tokens_in_their_rows_and_drops_the_rest(empty):
    rows = np.array([[0, 0, 2, B]])  # the last token has no row
    columns = np.array([[4, 5, 1, 0]])
    k, v = draw(2, L, 1, 4, K, H)
    filled = empty.fill(rows, columns, k, v)
    expected = np.zeros((L, B, K, S, H), np.float32)
    for token in range(3):
        row, column = rows[0, token], columns[0, token]
        expected[:, row, :, column] = v[:, 0, token]
    np.testing.assert_array_equal(stacked(filled.v), expected)
    assert np.count_nonzero(stacked(filled.k)) == 3 * L * K * H


def test_take_and_grow(empty):
    k, v = draw(2, L, B, S, K, H)
    rows, columns = np.indices((B, S))
    full = empty.fill(rows, columns, k, v)
    taken = full.take(np.array([2, 0]))
    np.testing.assert_array_equal(stacked(taken.k), stacked(full.k)[:, [2, 0]])
    grown = full.grow(S + 3)
    assert grown.columns == S + 3
    np.testing.assert_array_equal(stacked(grown.v)[..., :S, :], stacked(full.v))
    assert not stacked(grown.v)[..., S:, :].any()


def test_stored_values_have_the_dtype_of_the_cache():
    empty = caches.empty(TINY, B, S, jnp.bfloat16)
    written = empty.write(0, 0, *draw(2, B, 1, K, H))
    assert written.k.dtype == jnp.bfloat16
