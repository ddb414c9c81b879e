"""Whole models written and read, beside transformers."""

import json
import pathlib
import shutil

import families
import jax
import numpy as np
import pytest
import torch
import torch_reference

from jaxent.checkpoint import full_weights, hf
from jaxent.model import config as configs
from jaxent.model import trained


def moved_weights(model) -> trained.FullWeights:
    """The model's weights in float32, each moved a little."""
    weights = trained.float32_copy(trained.full_weights(model))
    rng = np.random.default_rng(0)

    def move(x):
        return np.asarray(x + 0.02 * rng.normal(size=x.shape), np.float32)

    return jax.tree.map(move, weights)


@pytest.mark.parametrize("name", ["qwen2_tied", "qwen2_untied", "qwen3"])
def test_transformers_loads_what_is_saved(tmp_path, name):
    base = pathlib.Path(families.write(name, tmp_path / "base"))
    (base / "generation_config.json").write_text('{"temperature": 0.5}')
    model = hf.load(str(base), quantize=False)
    weights = moved_weights(model)
    out = tmp_path / "out"
    for _ in range(2):  # the second replaces the first
        full_weights.save(weights, base, model.config, out)
    assert not (tmp_path / "out.partial").exists()
    assert (out / "generation_config.json").read_text() == '{"temperature": 0.5}'
    theirs = torch_reference.load_dense(str(out))
    tokens = np.arange(40)[None]
    tuned, adapter = trained.split(model, weights)
    assert adapter is None and tuned.config is model.config
    hidden = tuned(tokens, np.ones_like(tokens), tokens)
    found = tuned.logits(hidden)
    expected = torch_reference.logits(theirs, tokens.tolist())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert {p.dtype for p in theirs.parameters()} == {torch.float32}
    bare = model.logits(model(tokens, np.ones_like(tokens), tokens))
    assert np.abs(np.asarray(bare) - expected).max() > 0.05
    read = full_weights.load_trained(str(out), model.config)
    assert isinstance(read, trained.FullWeights)
    for path, value in weights.params.items():
        np.testing.assert_array_equal(read.params[path], value)


def test_a_copy_in_bfloat16_is_read_in_float32(qwen, tmp_path):
    theirs = torch_reference.load_dense(qwen).to(torch.bfloat16)
    theirs.save_pretrained(tmp_path)
    read = full_weights.load(tmp_path, configs.read_config(qwen))
    expected = theirs.model.embed_tokens.weight.detach().float().numpy()
    np.testing.assert_array_equal(read.params["embed_tokens.weight"], expected)
    assert {x.dtype.name for x in jax.tree.leaves(read)} == {"float32"}


def test_another_model_is_refused(qwen, tmp_path):
    config = configs.read_config(qwen)
    shutil.copytree(qwen, tmp_path, dirs_exist_ok=True)
    raw = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw | {"rms_norm_eps": 0.1}))
    with pytest.raises(ValueError, match=r"norm_eps 0.1, expected the base's 1e-06"):
        full_weights.load(tmp_path, config)
    quantized = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    quantized |= {"quant_method": "bitsandbytes"}
    raw["quantization_config"] = quantized
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(ValueError, match="the weights are quantised"):
        full_weights.load(tmp_path, config)
