import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxent.model import attention, block_attention

ROWS = {
    "one example": [[300]],
    "three examples": [[130, 40, 130]],
    "two rows": [[300], [10, 290]],
    "padding": [[100, -200]],
    "shorter than a block": [[30]],
    "whole blocks": [[256, 128]],
}


def segments_of(rows):
    made = [
        np.concatenate(
            [np.full(abs(n), i + 1 if n > 0 else 0) for i, n in enumerate(row)]
        )
        for row in rows
    ]
    return jnp.array(made, jnp.int32)


def drawn(segments, heads, kv_heads, dim=16, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    shapes = [(*segments.shape, n, dim) for n in (heads, kv_heads, kv_heads, heads)]
    return [jnp.array(rng.normal(size=shape), dtype) for shape in shapes]


def gradients(function, q, k, v, cotangent):
    out, pull = jax.vjp(function, q, k, v)
    return out, *pull(cotangent)


@pytest.mark.parametrize("window", [None, 50, 200])
@pytest.mark.parametrize("heads", [(4, 4), (6, 2)])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_values_and_gradients_are_those_of_dense_attention(rows, heads, window):
    segments = segments_of(rows)
    q, k, v, cotangent = drawn(segments, *heads)
    real = (segments > 0)[..., None, None]
    cotangent = cotangent * real

    def ours(q, k, v):
        return block_attention.attend(q, k, v, segments, window) * real

    def dense(q, k, v):
        return attention.attend(q, k, v, segments, window, "xla") * real

    found = jax.jit(gradients, static_argnums=0)(ours, q, k, v, cotangent)
    expected = jax.jit(gradients, static_argnums=0)(dense, q, k, v, cotangent)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_a_packed_example_gets_exactly_what_it_gets_beside_others():
    alone = segments_of([[128, 128]])
    beside = alone + 7
    q, k, v, _ = drawn(alone, 4, 2)
    found = block_attention.attend(q, k, v, beside)
    other = q.at[:, :128].set(0), k.at[:, :128].set(3), v.at[:, :128].set(-5)
    changed = block_attention.attend(*other, beside)
    np.testing.assert_array_equal(found[:, 128:], changed[:, 128:])


def test_bfloat16_is_as_near_to_float64_as_dense_attention():
    segments = segments_of([[200, 100]])
    q, k, v, _ = drawn(segments, 4, 2, dtype=jnp.bfloat16)
    wide = [x.astype(jnp.float32) for x in (q, k, v)]
    exact = attention.attend(*wide, segments, None, "xla")
    errors = [
        float(jnp.abs(x.astype(jnp.float32) - exact).max())
        for x in (
            block_attention.attend(q, k, v, segments),
            attention.attend(q, k, v, segments, None, "xla"),
        )
    ]
    assert errors[0] <= 1.5 * errors[1] and errors[0] > 0


def test_vmapped_rows_equal_rows_alone():
    segments = jnp.stack([segments_of([[300]]), segments_of([[140, 160]])])
    q, k, v, cotangent = (jnp.stack([x, 2 * x]) for x in drawn(segments[0], 4, 2))

    def run(segments, *arrays):
        def attend(q, k, v):
            return block_attention.attend(q, k, v, segments)

        return gradients(attend, *arrays)

    together = jax.vmap(run)(segments, q, k, v, cotangent)
    for i in range(2):
        alone = run(segments[i], q[i], k[i], v[i], cotangent[i])
        for one, other in zip(together, alone):
            np.testing.assert_allclose(one[i], other, atol=1e-5)


def test_memory_is_linear_in_the_rows_length():
    def temporaries(length):
        segments = jnp.ones((1, length), jnp.int32)
        q, k, v, cotangent = drawn(segments, 8, 2)

        def run(q, k, v, cotangent):
            def attend(q, k, v):
                return block_attention.attend(q, k, v, segments)

            return gradients(attend, q, k, v, cotangent)

        compiled = jax.jit(run).lower(q, k, v, cotangent).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(4096) < 4.5 * temporaries(1024)
