"""What quantization_config says is kept, or refused by name."""

import json

import bitsandbytes_models
import checkpoints
import jax
import numpy as np
import pytest
import torch
from transformers.quantizers import quantizers_utils

from jaxent.arrays import nf4
from jaxent.checkpoint import hf, quantization

NF4 = {
    "_load_in_4bit": True,
    "_load_in_8bit": False,
    "bnb_4bit_compute_dtype": "bfloat16",
    "bnb_4bit_quant_storage": "uint8",
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "llm_int8_enable_fp32_cpu_offload": False,
    "llm_int8_has_fp16_weight": False,
    "llm_int8_skip_modules": None,
    "llm_int8_threshold": 6.0,
    "load_in_4bit": True,
    "load_in_8bit": False,
    "quant_method": "bitsandbytes",
}
TOKENS = np.arange(40, dtype=np.int32)[None]
ARGS = (TOKENS, np.ones_like(TOKENS), TOKENS)


def read(tmp_path, stated):
    raw = {"quantization_config": stated}
    (tmp_path / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    return quantization.read_quantization(tmp_path)


def test_what_bitsandbytes_writes_is_read(tmp_path):
    assert read(tmp_path, NF4) == quantization.Quantization(())
    assert read(tmp_path, None) is None and read(tmp_path, {}) is None
    short = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    assert read(tmp_path, short) == quantization.Quantization(())
    names = ["lm_head", "model.layers.1"]
    kept = read(tmp_path, NF4 | {"llm_int8_skip_modules": names})
    assert kept.skip_modules == tuple(names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quant_method": "gptq", "bits": 4}, "quant_method 'gptq', expected 'bits"),
        ({"quant_method": "awq"}, "quant_method 'awq'"),
        ({"quant_method": "fp8"}, "quant_method 'fp8'"),
        ({"quant_method": "compressed-tensors"}, "quant_method 'compressed-tensors'"),
        ({"quant_method": None, "load_in_4bit": False}, "quant_method None"),
        ({"load_in_8bit": True, "load_in_4bit": False}, "load_in_8bit True"),
        ({"bnb_4bit_quant_type": "fp4"}, "bnb_4bit_quant_type 'fp4', expected 'nf4'"),
        ({"bnb_4bit_blocksize": 128}, "unknown key 'bnb_4bit_blocksize' = 128"),
        (
            {"llm_int8_skip_modules": "lm_head"},
            "llm_int8_skip_modules .lm_head., expected a list",
        ),
        ({"llm_int8_skip_modules": ["mlp.("]}, "'mlp..' in .*regular expression"),
    ],
)
def test_other_methods_are_refused_by_name(tmp_path, change, message):
    with pytest.raises(ValueError, match=f"quantization_config has {message}"):
        read(tmp_path, NF4 | change)


PATTERNS = [
    ["lm_head"],
    ["model.layers.1"],
    ["model.layers.1.mlp", "model.layers.0.self_attn.q_proj"],
    ["up_proj", "mlp.gate"],
    [r"model.layers.\\d.mlp"],
    ["layers.1"],
    ["model.layers.1|model.layers.0.mlp"],
    [],
]


@pytest.mark.parametrize("patterns", PATTERNS)
def test_patterns_match_what_transformers_matches(patterns):
    rule = quantization.Quantization(tuple(patterns))
    for layer in (0, 1, 11):
        for part in ("self_attn.q_proj", "mlp.gate_proj", "mlp.up_proj"):
            name = f"model.layers.{layer}.{part}"
            converted = quantizers_utils.should_convert_module(name, patterns)
            assert rule.keeps(name) == (not converted), name


@pytest.fixture(scope="module")
def kept(qwen, tmp_path_factory):
    """A checkpoint of which bitsandbytes kept a layer's MLP, and its decoded model."""
    out = tmp_path_factory.mktemp("kept")
    skip = ["lm_head", "model.layers.1.mlp"]
    theirs = checkpoints.bitsandbytes_copy(qwen, out, True, llm_int8_skip_modules=skip)
    return out, bitsandbytes_models.with_decoded_weights(theirs)


def test_kept_modules_stay_dense(kept):
    folder, theirs = kept
    ours = hf.load(str(folder))
    assert not isinstance(ours.layers.mlp.up_proj.weight.get_value(), nf4.NF4)
    assert isinstance(ours.layers.self_attn.q_proj.weight.get_value(), nf4.NF4)
    expected = theirs(torch.tensor(TOKENS)).logits.detach().numpy()
    found = jax.jit(lambda model: model.logits(model(*ARGS)))(ours)
    np.testing.assert_allclose(found, expected, atol=5e-5 * np.abs(expected).max())


def test_dense_tensors_that_nothing_keeps_are_refused(kept, tmp_path):
    """A merged checkpoint in which quantization_config was left over."""
    folder, _ = kept
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    raw = json.loads((folder / "config.json").read_text())
    raw["quantization_config"]["llm_int8_skip_modules"] = ["lm_head"]
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(ValueError, match="'model.layers.1.mlp.*is F32, expected NF4"):
        hf.load(str(tmp_path))
