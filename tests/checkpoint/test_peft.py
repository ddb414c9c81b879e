import json

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.checkpoint import peft as adapters
from jaxent.model import blocks, config, convert

CONFIGS = {
    "all": lora.LoraConfig(4, 12.0, 0.1),
    "attention": lora.LoraConfig(8, 4.0, 0.0, lora.ATTENTION),
    "two": lora.LoraConfig(2, 32.0, 0.0, ("k_proj", "down_proj")),
}


def filled(lora_config, c, seed=0):
    adapter = lora.init_adapter(
        jax.random.key(seed), lora_config, c.layers, blocks.linear_shapes(c)
    )
    return jax.tree.map(
        lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape), adapter
    )


def torch_logits(model, tokens):
    with torch.no_grad():
        return model.eval()(torch.tensor(tokens)).logits.numpy()


@pytest.mark.parametrize("name", CONFIGS)
def test_export_loads_into_peft_with_equal_logits(family, tmp_path, name):
    lora_config, model = CONFIGS[name], hf.load(family, quantize=False)
    adapter = filled(lora_config, model.config)
    adapters.save_adapter(adapter, tmp_path, family)
    base = transformers.AutoModelForCausalLM.from_pretrained(
        family, dtype=torch.float32
    )
    tokens = np.arange(30)[None]
    bare = torch_logits(base, tokens)
    expected = torch_logits(peft.PeftModel.from_pretrained(base, tmp_path), tokens)
    assert np.abs(expected - bare).max() > 1e-2 * np.abs(bare).max()
    args = (tokens, np.ones_like(tokens), tokens)
    found = np.asarray(model.logits(model(*args, adapter)))
    np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())


def test_import_of_an_adapter_peft_wrote(qwen, tmp_path):
    base = transformers.AutoModelForCausalLM.from_pretrained(qwen, dtype=torch.float32)
    settings = peft.LoraConfig(
        r=6,
        lora_alpha=15,
        lora_dropout=0.2,
        target_modules="all-linear",
        init_lora_weights=False,
    )
    theirs = peft.get_peft_model(base, settings)
    theirs.save_pretrained(tmp_path)
    model = hf.load(qwen, quantize=False)
    adapter = adapters.load_adapter(str(tmp_path), model.config)
    loaded = adapter.config
    assert (loaded.rank, loaded.alpha, loaded.dropout, loaded.modules) == (
        6,
        15.0,
        0.2,
        lora.MODULES,
    )
    tokens = np.arange(30)[None]
    expected = torch_logits(theirs, tokens)
    found = np.asarray(
        model.logits(model(tokens, np.ones_like(tokens), tokens, adapter))
    )
    np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())


def test_merge_equals_pefts(qwen, tmp_path):
    lora_config, model = CONFIGS["all"], hf.load(qwen, quantize=False)
    adapter = filled(lora_config, model.config)
    adapters.save_adapter(adapter, tmp_path, qwen)
    base = transformers.AutoModelForCausalLM.from_pretrained(qwen, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path).merge_and_unload()
    merged = convert.to_dense(model, jnp.float32, adapter)
    expected = theirs.model.layers[2].mlp.gate_proj.weight.detach().numpy().T
    np.testing.assert_allclose(
        merged.layers.mlp.gate_proj.weight.get_value()[2], expected, atol=2e-6
    )
    tokens = np.arange(30)[None]
    args = (tokens, np.ones_like(tokens), tokens)
    np.testing.assert_allclose(merged(*args), model(*args, adapter), atol=1e-4)
    quantised = convert.to_dense(hf.load(qwen), jnp.float32, adapter)
    assert quantised.layers.mlp.gate_proj.weight.get_value().shape == (3, 128, 256)


def test_round_trip_is_exact(qwen, tmp_path):
    c = config.read_config(qwen)
    adapter = filled(CONFIGS["two"], c)
    adapters.save_adapter(adapter, tmp_path, qwen)
    again = adapters.load_adapter(str(tmp_path), c)
    assert again.config == CONFIGS["two"]
    assert again.params.keys() == adapter.params.keys()
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), adapter, again))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("use_rslora", True, "use_rslora True, expected False"),
        ("bias", "all", "bias 'all', expected 'none'"),
        ("modules_to_save", ["lm_head"], "modules_to_save"),
        ("rank_pattern", {"q_proj": 3}, "rank_pattern"),
        (
            "target_modules",
            ["q_proj", "embed_tokens"],
            "LoRA modules q_proj,embed_tokens",
        ),
        ("target_modules", "q.*", "is a pattern"),
        ("r", 5, "has shape"),
        ("target_modules", ["k_proj"], "surplus tensor"),
        ("target_modules", ["k_proj", "down_proj", "q_proj"], "is missing"),
    ],
)
def test_what_is_not_plain_lora_is_refused_by_name(qwen, tmp_path, key, value, message):
    c = config.read_config(qwen)
    adapters.save_adapter(filled(CONFIGS["two"], c), tmp_path, qwen)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(ValueError, match=message):
        adapters.load_adapter(str(tmp_path), c)


def test_missing_adapter(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected adapter_model.safetensors"):
        adapters.load_adapter(str(tmp_path), None)
