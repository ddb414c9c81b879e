import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxent.data import batches
from jaxent.model import dropout

KEY = jax.random.key(0)


def keys_of(rows: int, tokens: int, key=KEY):
    segments = np.repeat(np.arange(1, rows + 1)[:, None], tokens, axis=1)
    positions = np.broadcast_to(np.arange(tokens), (rows, tokens))
    return dropout.token_keys(key, segments, positions)


def mask(keys, features: int = 500, rate: float = 0.05):
    x = jnp.ones((*keys.shape, features))
    return np.asarray(dropout.dropout(x, rate, keys)) == 0


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_the_rate_is_the_stated_one_and_the_mean_is_kept(rate):
    y = np.asarray(dropout.dropout(jnp.ones((4, 400, 500)), rate, keys_of(4, 400)))
    error = 4 * (rate * (1 - rate) / y.size) ** 0.5  # four standard errors
    assert (y == 0).mean() == pytest.approx(rate, abs=error)
    assert y.mean() == pytest.approx(1.0, abs=error / (1 - rate))
    assert np.unique(y).size == 2


def test_rate_zero_is_the_identity():
    x = jnp.arange(6.0).reshape(1, 2, 3)
    np.testing.assert_array_equal(dropout.dropout(x, 0.0, keys_of(1, 2)), x)


def test_every_token_and_every_feature_is_dropped_equally_often():
    dropped = mask(keys_of(8, 500), features=400, rate=0.2)
    for axes, draws in (((0, 1), 4000), (2, 400)):
        spread = dropped.mean(axes).std()
        assert spread == pytest.approx((0.2 * 0.8 / draws) ** 0.5, rel=0.15)


def test_masks_of_neighbours_are_independent():
    """Chance agreement of two masks is 1 - 2 rate (1 - rate); four standard errors."""
    rate = 0.3
    expected = 1 - 2 * rate * (1 - rate)
    keys = keys_of(2, 300)
    base = mask(keys, rate=rate)
    others = {
        "layer": mask(dropout.fold_in(keys, 0), rate=rate),
        "next layer": mask(dropout.fold_in(keys, 1), rate=rate),
        "next step": mask(keys_of(2, 300, jax.random.fold_in(KEY, 1)), rate=rate),
        "next seed": mask(keys_of(2, 300, jax.random.key(1)), rate=rate),
        "next token": np.roll(base, 1, axis=1),
        "next feature": np.roll(base, 1, axis=2),
        "next example": base[::-1],
    }
    error = 4 * (expected * (1 - expected) / base.size) ** 0.5
    for name, other in others.items():
        agreement = (base == other).mean()
        assert agreement == pytest.approx(expected, abs=1.5 * error), name


def test_modules_and_layers_never_share_a_key():
    keys = keys_of(4, 200)
    folded = [
        np.asarray(dropout.fold_in(dropout.fold_in(keys, layer), module))
        for layer in range(30)
        for module in range(7)
    ]
    assert len(np.unique(folded)) > 0.99 * np.size(folded)


def test_an_examples_mask_does_not_depend_on_its_packing():
    rng = np.random.default_rng(0)
    examples = [rng.integers(5, 90, n) for n in (40, 90, 17, 33)]
    packed, _ = batches.pack(examples, 128, 4)
    padded, _ = batches.pad(examples, 128, 4)
    masks = {}
    for name, batch in (("packed", packed), ("padded", padded)):
        keys = dropout.token_keys(KEY, batch.segments, batch.positions)
        dropped = mask(dropout.fold_in(keys, 3), features=16, rate=0.4)
        masks[name] = [dropped[batch.segments == i + 1] for i in range(4)]
    for one, other in zip(masks["packed"], masks["padded"]):
        np.testing.assert_array_equal(one, other)
    assert len({m[:17].tobytes() for m in masks["padded"]}) == 4


def test_hash32_is_wellss_lowbias32():
    def reference(x):
        x = ((x ^ x >> 16) * 0x7FEB352D) & 0xFFFFFFFF
        x = ((x ^ x >> 15) * 0x846CA68B) & 0xFFFFFFFF
        return x ^ x >> 16

    numbers = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    found = dropout.hash32(jnp.array(numbers, jnp.uint32))
    assert found.tolist() == [reference(n) for n in numbers]
