import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxent.train import objective


def arrays(tokens=(3, 21), d=16, vocab=50):
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (*tokens, d))
    head = jax.random.normal(keys[1], (vocab, d))
    targets = jax.random.randint(keys[2], tokens, 0, vocab)
    weights = (jax.random.uniform(keys[3], tokens) > 0.3).astype(jnp.float32)
    return hidden, head, targets, weights


def plain(hidden, head, targets, weights):
    logits = hidden @ head.T
    return (
        optax.softmax_cross_entropy_with_integer_labels(logits, targets) * weights
    ).sum()


def test_chunked_loss_and_gradient_equal_the_plain_ones(monkeypatch):
    monkeypatch.setattr(objective, "_LOGITS_BYTES", 50 * 4 * 8)
    args = arrays()
    assert objective.chunk_size(63, 50) == 8
    np.testing.assert_allclose(objective.nll_sum(*args), plain(*args), rtol=1e-6)
    found, expected = (
        jax.grad(lambda h, f=f: 0.7 * f(h, *args[1:]))(args[0])
        for f in (objective.nll_sum, plain)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_trained_heads_gradient_is_the_plain_one_and_a_frozen_ones_is_zero(
    monkeypatch,
):
    monkeypatch.setattr(objective, "_LOGITS_BYTES", 50 * 4 * 8)
    hidden, head, *rest = arrays()

    def gradients(loss, **how):
        return jax.grad(lambda h, w: loss(h, w, *rest, **how), (0, 1))(hidden, head)

    expected = gradients(plain)
    found = gradients(objective.nll_sum, frozen_head=False)
    for one, reference in zip(found, expected):
        np.testing.assert_allclose(one, reference, atol=2e-5)
    assert not gradients(objective.nll_sum)[1].any()


def test_full_vocabulary_logits_never_exist():
    shapes = [
        jax.ShapeDtypeStruct(s, t)
        for s, t in (
            ((1, 2048, 64), jnp.bfloat16),
            ((152064, 64), jnp.bfloat16),
            ((1, 2048), jnp.int32),
            ((1, 2048), jnp.float32),
        )
    ]
    trained = functools.partial(objective.nll_sum, frozen_head=False)
    gradients = jax.value_and_grad(objective.nll_sum), jax.grad(trained, (0, 1))
    for gradient in gradients:
        compiled = jax.jit(gradient).lower(*shapes).compile()
        assert f"f32[2048,{152064}]" not in compiled.as_text()
        assert compiled.memory_analysis().temp_size_in_bytes < 2048 * 152064 * 4
