"""What bitsandbytes quantised is read without quantising it again."""

import copy
import json

import bitsandbytes
import bitsandbytes.functional as bnb
import checkpoints
import families
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch

from jaxent.arrays import nf4
from jaxent.checkpoint import bitsandbytes_nf4, hf, safetensors_folder

TOKENS = np.arange(40, dtype=np.int32)[None]
ARGS = (TOKENS, np.ones_like(TOKENS), TOKENS)
NAME = "model.layers.0.self_attn.q_proj.weight"


@jax.jit
def run(model, *args):
    return model.logits(model(*args))


def decoded(weight) -> torch.Tensor:
    """A Params4bit as bitsandbytes decodes it, a block a row.

    With AVX-512, its CPU kernel (0.50.2) reads wrong scales where rows are a multiple
    of 32 but not of a block's 64.
    """
    state = copy.copy(weight.quant_state)
    shape, state.shape = state.shape, torch.Size((state.shape.numel() // 64, 64))
    return bnb.dequantize_4bit(weight.data, state).reshape(shape)


def with_decoded_weights(model) -> torch.nn.Module:
    """bitsandbytes' model with plain linear layers of the decoded values."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bitsandbytes.nn.Linear4bit):
                plain = torch.nn.Linear(
                    child.in_features, child.out_features, bias=child.bias is not None
                )
                plain.weight.data = decoded(child.weight)
                if child.bias is not None:
                    plain.bias.data = child.bias.data.float()
                setattr(parent, name, plain)
    return model


@pytest.mark.parametrize("family", families.ALL, indirect=True)
@pytest.mark.parametrize("double", [True, False])
def test_reads_what_bitsandbytes_quantised_without_requantising(
    family, tmp_path, double
):
    theirs = checkpoints.bitsandbytes_copy(family, tmp_path, double)
    ours = hf.load(str(tmp_path))
    weight = theirs.model.layers[1].mlp.down_proj.weight
    expected = decoded(weight).numpy().T
    one = jax.tree.map(lambda x: x[1], ours.layers.mlp.down_proj.weight.get_value())
    np.testing.assert_array_equal(nf4.decode(one, jnp.float32), expected)
    logits = with_decoded_weights(theirs)(torch.tensor(TOKENS)).logits.detach().numpy()
    np.testing.assert_allclose(
        run(ours, *ARGS), logits, atol=5e-5 * np.abs(logits).max()
    )


@pytest.mark.parametrize("double", [True, False])
def test_scales_are_bitsandbytes_own(qwen, tmp_path, double):
    theirs = checkpoints.bitsandbytes_copy(qwen, tmp_path, double)
    folder = safetensors_folder.open_folder(tmp_path)
    assert bitsandbytes_nf4.is_stored(folder, NAME)
    assert not bitsandbytes_nf4.is_stored(folder, "model.norm.weight")
    state = theirs.model.layers[0].self_attn.q_proj.weight.quant_state
    absmax = state.absmax
    if double:
        absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    scales = bitsandbytes_nf4.read_scales(folder, NAME, (128, 128))
    np.testing.assert_array_equal(bitsandbytes_nf4.decode_scales(scales), absmax)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("quant_type", "fp4", "bitsandbytes quant_type 'fp4', expected 'nf4'"),
        ("blocksize", 128, "bitsandbytes blocksize 128, expected 64"),
        ("nested_blocksize", 64, "nested_blocksize 64, expected 256"),
    ],
)
def test_other_states_are_refused_by_name(qwen, tmp_path, key, value, message):
    checkpoints.bitsandbytes_copy(qwen, tmp_path, double=True)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    name = f"{NAME}.quant_state.bitsandbytes__nf4"
    state = json.loads(bytes(tensors[name].numpy())) | {key: value}
    tensors[name] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    folder = safetensors_folder.open_folder(tmp_path)
    with pytest.raises(ValueError, match=f"tensor '{NAME}': {message}"):
        bitsandbytes_nf4.read_packed(folder, NAME, (128, 128))
