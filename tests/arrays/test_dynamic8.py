import bitsandbytes.functional as bnb
import numpy as np
import pytest
import torch

from jaxent.arrays import dynamic8


def test_map_is_bitsandbytes_own():
    np.testing.assert_array_equal(dynamic8.MAP, bnb.create_dynamic_map().numpy())


@pytest.mark.parametrize("size", [1, 255, 256, 257, 5000])
def test_cpu_grid_rule_equals_bitsandbytes(size):
    values = np.random.default_rng(size).gamma(2.0, size=size).astype(np.float32)
    offset = torch.tensor(values).mean()
    codes, state = bnb.quantize_blockwise(torch.tensor(values) - offset, blocksize=256)
    ours = dynamic8.encode(values, "cpu_grid", offset.numpy())
    np.testing.assert_array_equal(ours.codes, codes.numpy())
    np.testing.assert_array_equal(ours.scales, state.absmax.numpy())
    expected = bnb.dequantize_blockwise(codes, state) + offset
    np.testing.assert_array_equal(dynamic8.decode(ours), expected.numpy())


def test_nearest_rule_is_nearest():
    values = np.random.default_rng(0).gamma(2.0, size=512).astype(np.float32)
    ours = dynamic8.encode(values)
    scaled = (values - ours.offset).reshape(2, 256) / ours.scales[:, None]
    distance = np.abs(scaled[..., None] - dynamic8.MAP)
    chosen = np.take_along_axis(
        distance, ours.codes.reshape(2, 256, 1).astype(int), -1
    )[..., 0]
    assert np.all(chosen <= distance.min(-1) + 1e-7)


def test_constant_values_are_kept_exactly():
    assert np.all(
        dynamic8.decode(dynamic8.encode(np.full(300, 0.37, np.float32)))
        == np.float32(0.37)
    )


def test_unknown_rule_and_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="'nearest' or 'cpu_grid'"):
        dynamic8.encode(np.ones(4, np.float32), "round")
    with pytest.raises(ValueError, match="second-level scales"):
        dynamic8.Dynamic8(
            np.zeros(300, np.uint8), np.ones(1, np.float32), np.float32(0)
        )
