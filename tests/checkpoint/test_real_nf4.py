"""SmolLM2 in NF4: bitsandbytes' bytes and values, split over eight devices.

Its 576 inputs are nine blocks of 64, which eight devices do not divide.
"""

import functools

import bitsandbytes.functional as bnb
import checkpoints
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxent.arrays import dynamic8, nf4
from jaxent.checkpoint import safetensors_folder
from jaxent.distributed import axes
from jaxent.model import blocks, config, transformer

pytestmark = pytest.mark.real


def test_bytes_and_values_equal_bitsandbytes(smollm2):
    folder = safetensors_folder.open_folder(smollm2)
    linear = [name for name in folder.entries if name.endswith("_proj.weight")]
    assert len(linear) == 7 * 30
    for name in linear[:: len(linear) // 15]:
        weight = folder.read(name)
        theirs = torch.from_numpy(weight.view(np.int16)).view(torch.bfloat16)
        codes, state = bnb.quantize_4bit(
            theirs, quant_type="nf4", compress_statistics=True
        )
        ours = nf4.encode(weight, double=False)
        np.testing.assert_array_equal(ours.codes, codes.numpy().reshape(-1))
        second = dynamic8.encode(ours.scales, "cpu_grid", state.offset.numpy())
        np.testing.assert_array_equal(second.codes, state.absmax.numpy())
        np.testing.assert_array_equal(second.scales, state.state2.absmax.numpy())
        repacked = nf4.repack(nf4.Packed(ours.codes, second, ours.shape))
        n, k = weight.shape
        assert repacked.codes.shape == (k // 64, 32, n)
        assert repacked.scales.shape == (k // 64, n)
        decoded = np.asarray(nf4.decode(repacked, jnp.bfloat16)).astype(np.float32)
        expected = bnb.dequantize_4bit(codes, state).float().numpy()
        np.testing.assert_array_equal(decoded.T, expected)


@functools.partial(jax.jit, static_argnames="compute")
def hidden_states(model, tokens, compute):
    positions = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
    return model(tokens, jnp.ones_like(tokens), positions, compute=compute)


def test_its_weights_split_over_eight_devices(smollm2):
    whole, split = checkpoints.assert_equal_parts(str(smollm2), True, "fsdp:8")
    layers = split.layers
    for module in blocks.linear_shapes(config.read_config(smollm2)):
        group = layers.mlp if hasattr(layers.mlp, module) else layers.self_attn
        codes = getattr(group, module).weight.get_value().codes
        assert len({str(shard.index) for shard in codes.addressable_shards}) == 8
        assert codes.addressable_shards[0].data.nbytes * 8 == codes.nbytes
    tokens = np.arange(8 * 16, dtype=np.int32).reshape(8, 16)
    on_mesh = transformer.ComputeConfig(mesh=axes.parse_mesh("fsdp:8"))
    expected = hidden_states(whole, tokens, transformer.ComputeConfig())
    np.testing.assert_allclose(
        hidden_states(split, tokens, on_mesh),
        expected,
        atol=1e-5 * np.abs(expected).max(),
    )
