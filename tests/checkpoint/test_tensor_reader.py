"""Tensors read part by part onto a mesh equal those read whole."""

import checkpoints
import numpy as np
import pytest

from jaxent.arrays import nf4
from jaxent.checkpoint import safetensors_folder, tensor_reader


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> str:
    """A checkpoint whose every axis splits in four, between blocks of 64."""
    return checkpoints.write_wide(tmp_path_factory.mktemp("wide"))


@pytest.mark.parametrize(
    ("quantize", "text"),
    [(True, "fsdp:2,tensor:2,data:2"), (True, "tensor:4,data:2"), (False, "fsdp:8")],
)
def test_loaded_onto_a_mesh_every_part_equals_the_whole(wide, quantize, text):
    checkpoints.assert_equal_parts(wide, quantize, text)


@pytest.mark.parametrize("double", [True, False])
def test_what_bitsandbytes_quantised_is_read_onto_a_mesh(wide, tmp_path, double):
    checkpoints.bitsandbytes_copy(wide, tmp_path, double)
    checkpoints.assert_equal_parts(str(tmp_path), True, "fsdp:4,tensor:2")


def test_wider_codes_and_kept_modules_are_read_onto_a_mesh(wide, tmp_path):
    checkpoints.bitsandbytes_copy(
        wide,
        tmp_path,
        double=True,
        bnb_4bit_quant_storage=pytest.importorskip("torch").bfloat16,
        llm_int8_skip_modules=["lm_head", "model.layers.1.mlp"],
    )
    checkpoints.assert_equal_parts(str(tmp_path), True, "fsdp:4,tensor:2")


def test_linear_weights_are_transposed_and_the_rest_is_cast(wide):
    folder = safetensors_folder.open_folder(safetensors_folder.locate(wide))
    name = "model.layers.1.mlp.up_proj.weight"
    stored = folder.read(name)
    assert stored.shape == (1024, 512)
    dense = tensor_reader.TensorReader(folder, False, False, np.float16)
    value = dense.read(name, stored.shape, linear=True)
    np.testing.assert_array_equal(value, stored.T.astype(np.float16))
    quantised = tensor_reader.TensorReader(folder, True, False, np.float16)
    assert isinstance(quantised.read(name, stored.shape, linear=True), nf4.NF4)
    norm = quantised.read("model.norm.weight", (512,), linear=False)
    assert norm.dtype == np.float16
