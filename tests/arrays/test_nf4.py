import bitsandbytes.functional as bnb
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

from jaxent.arrays import dynamic8, nf4

DTYPES = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
}
decode = jax.jit(nf4.decode, static_argnums=1)


def weights():
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    zeros = normal(64, 384)
    zeros[3], zeros[10, :64] = 0, 0
    ties = torch.zeros(4, 64)
    ties[:, 0], ties[:, 1:16] = 1, torch.from_numpy(nf4._MIDPOINTS.copy())
    return {
        "aligned": normal(256, 384),
        "odd_number_of_blocks": normal(24, 576),
        "unaligned": normal(64, 172),
        "short_block": normal(5, 13) * 100,
        "odd": normal(3, 37),
        "zero_blocks": zeros,
        "all_zero": torch.zeros(128, 128),
        "ties": ties,
        "repeated_values": torch.randint(-3, 4, (128, 256), generator=generator).float()
        * 0.1,
        "outliers": normal(300, 110) * torch.logspace(-4, 4, 110),
    }


def as_numpy(x: torch.Tensor) -> np.ndarray:
    if x.dtype == torch.bfloat16:
        return x.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return x.numpy()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", weights())
def test_bits_equal_bitsandbytes(name, dtype):
    weight = weights()[name].to(dtype)
    codes, state = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
    ours = nf4.encode(as_numpy(weight), double=False)
    np.testing.assert_array_equal(ours.codes, codes.numpy().reshape(-1))
    single = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=False)[1]
    np.testing.assert_array_equal(ours.scales, single.absmax.numpy())
    second = dynamic8.encode(ours.scales, "cpu_grid", state.offset.numpy())
    np.testing.assert_array_equal(second.codes, state.absmax.numpy())
    np.testing.assert_array_equal(second.scales, state.state2.absmax.numpy())
    repacked = nf4.repack(nf4.Packed(ours.codes, second, ours.shape))
    expected = bnb.dequantize_4bit(codes, state)
    decoded = np.asarray(decode(repacked, jnp.dtype(DTYPES[dtype]))).T
    np.testing.assert_array_equal(decoded.astype(np.float32), expected.float().numpy())


def test_offset_is_the_mean_within_an_ulp():
    weight = weights()["aligned"]
    offset = bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)[
        1
    ].offset.item()
    ours = nf4.encode(weight.numpy()).scales.offset
    assert abs(ours - np.float32(offset)) <= np.spacing(np.float32(offset))


def test_encoding_in_chunks_changes_nothing(monkeypatch):
    weight = weights()["unaligned"].numpy()
    whole = nf4.encode(weight)
    monkeypatch.setattr(nf4, "_CHUNK", 1 << 10)
    chunked = nf4.encode(weight)
    np.testing.assert_array_equal(whole.codes, chunked.codes)
    np.testing.assert_array_equal(whole.absmax(), chunked.absmax())


def test_a_block_has_its_first_half_in_the_low_nibbles_and_one_scale():
    n, k = 3, 192
    packed = nf4.encode(
        np.random.default_rng(0).normal(size=(n, k)).astype(np.float32), double=False
    )
    nibbles = np.stack([packed.codes >> 4, packed.codes & 0xF], 1).reshape(n, k)
    weight = nf4.repack(packed)
    for output, element in np.ndindex(n, k):
        block, within = divmod(element, 64)
        byte = weight.codes[block, within % 32, output]
        assert (byte >> 4 if within >= 32 else byte & 0xF) == nibbles[output, element]
        assert weight.scales[block, output] == packed.scales[output * 3 + block]


def test_bytes_per_weight():
    packed = nf4.encode(np.ones((256, 512), np.float32))
    assert packed.nbytes / (256 * 512) == pytest.approx(
        0.5 + 1 / 64 + 4 / 16384, abs=1e-4
    )
    assert nf4.repack(packed).nbytes / (256 * 512) == 0.5 + 4 / 64


@pytest.mark.parametrize("shape", [(24, 192), (7, 172)])
def test_layer_axis_slices_and_abstract_agree(shape):
    layers = [
        nf4.repack(
            nf4.encode(np.random.default_rng(i).normal(size=shape).astype(np.float32))
        )
        for i in range(3)
    ]
    stacked = jax.tree.map(lambda *x: np.stack(x), *layers)
    dense = decode(stacked, jnp.float32)
    assert dense.shape == (3, shape[1], shape[0])
    np.testing.assert_array_equal(dense[1], decode(layers[1], jnp.float32))
    expected = nf4.abstract((shape[1], shape[0]), 3)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), expected) == jax.tree.map(
        lambda x: (x.shape, x.dtype), stacked
    )


def test_bad_weights_are_refused():
    bad = np.ones((4, 64), np.float32)
    bad[2, 3] = np.nan
    with pytest.raises(ValueError, match="elements 128..191"):
        nf4.encode(bad)
    with pytest.raises(ValueError, match="two axes"):
        nf4.encode(np.ones(64, np.float32))
    with pytest.raises(ValueError, match="expected \\(128,\\)"):
        nf4.Packed(np.zeros(127, np.uint8), np.zeros(4, np.float32), (4, 64))
