"""What bitsandbytes quantised is read without quantising it again."""

import json

import bitsandbytes.functional as bnb
import bitsandbytes_models
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


@pytest.mark.parametrize("family", families.ALL, indirect=True)
@pytest.mark.parametrize("double", [True, False])
def test_reads_what_bitsandbytes_quantised_without_requantising(
    family, tmp_path, double
):
    theirs = checkpoints.bitsandbytes_copy(family, tmp_path, double)
    ours = hf.load(str(tmp_path))
    weight = theirs.model.layers[1].mlp.down_proj.weight
    expected = bitsandbytes_models.decoded(weight).numpy().T
    one = jax.tree.map(lambda x: x[1], ours.layers.mlp.down_proj.weight.get_value())
    np.testing.assert_array_equal(nf4.decode(one, jnp.float32), expected)
    plain = bitsandbytes_models.with_decoded_weights(theirs)
    logits = plain(torch.tensor(TOKENS)).logits.detach().numpy()
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


@pytest.mark.parametrize("storage", [torch.bfloat16, torch.float32])
def test_codes_in_a_wider_dtype_are_the_same_bytes(qwen, tmp_path, storage):
    """As FSDP needs it: bnb_4bit_quant_storage."""
    folders = []
    for name, dtype in (("bytes", torch.uint8), ("wide", storage)):
        out = tmp_path / name
        checkpoints.bitsandbytes_copy(qwen, out, True, bnb_4bit_quant_storage=dtype)
        folders.append(safetensors_folder.open_folder(out))
    shape = (128, 128)
    narrow, wide = (
        bitsandbytes_nf4.read_codes(folder, NAME, shape) for folder in folders
    )
    assert folders[1].entries[NAME].dtype != "U8"
    np.testing.assert_array_equal(wide, narrow)
    for span in ((0, 5), (3, 4), (130, 1027)):
        part = bitsandbytes_nf4.read_codes(folders[1], NAME, shape, span)
        np.testing.assert_array_equal(part, narrow[slice(*span)])
    with pytest.raises(ValueError, match="expected 4096 bytes of NF4 codes"):
        bitsandbytes_nf4.read_codes(folders[0], NAME, (64, 128))


def test_scales_that_are_no_numbers_are_named(qwen, tmp_path):
    checkpoints.bitsandbytes_copy(qwen, tmp_path, double=False)
    file = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    scales = tensors[f"{NAME}.absmax"]

    def write(name, value):
        changed = tensors | {name: value}
        safetensors.torch.save_file(changed, file, metadata={"format": "pt"})

    write(f"{NAME}.absmax", scales.where(torch.arange(256) != 7, torch.nan))
    with pytest.raises(ValueError, match=f"'{NAME}': NaN or infinity in block scale 7"):
        hf.load(str(tmp_path))
    write(f"{NAME}.absmax", scales[:-1].clone())
    with pytest.raises(
        ValueError, match=r"scales of shape \(255,\), expected \(256,\)"
    ):
        hf.load(str(tmp_path))
    write(NAME, tensors[NAME][:-1].clone())
    with pytest.raises(ValueError, match=f"'{NAME}' has shape .*expected 8192 bytes"):
        hf.load(str(tmp_path))
