import ml_dtypes
import numpy as np
import pytest

from jaxent.arrays import nf4
from jaxent.checkpoint import finite


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_every_place_and_value(dtype, bad):
    largest = float(ml_dtypes.finfo(dtype).max)
    value = np.full((3, 7), largest, dtype)
    value[0, 0], value[0, 1] = -largest, 0
    assert finite.first_not_finite(value) is None
    assert finite.first_not_finite(value.T) is None
    for index in range(value.size):
        broken = value.copy()
        broken.flat[index] = bad
        assert finite.first_not_finite(broken) == index


def test_beyond_the_first_chunk(monkeypatch):
    monkeypatch.setattr(finite, "_CHUNK", 8)
    value = np.ones(30, np.float32)
    value[[21, 25]] = np.nan
    assert finite.first_not_finite(value) == 21
    assert finite.first_not_finite(np.ones(0, np.float32)) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_encoding_finds_it_at_every_place_of_a_block(bad):
    """A maximum alone passes over NaN at most places."""
    for index in range(nf4.BLOCK):
        weight = np.ones((2, 64), np.float32)
        weight[1, index] = bad
        with pytest.raises(ValueError, match="NaN or infinity in elements 64..127"):
            nf4.encode(weight)
