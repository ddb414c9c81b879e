"""Merged checkpoints against PEFT, bitsandbytes and transformers."""

import json
import shutil

import bitsandbytes
import families
import jax
import ml_dtypes
import numpy as np
import peft
import pytest
import safetensors.torch
import torch
import transformers

from jaxent.arrays import lora, nf4
from jaxent.checkpoint import hf, merge, safetensors_folder
from jaxent.checkpoint import peft as adapters
from jaxent.model import blocks, config

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def exact_adapter(lora_config, c, seed=0):
    """Factors of few bits, so that A' B is exact in float32 in whatever order."""
    rng = np.random.default_rng(seed)

    def draw(x):
        return (rng.integers(-8, 9, x.shape) / 64).astype(np.float32)

    key = jax.random.key(0)
    shapes = blocks.linear_shapes(c)
    return jax.tree.map(draw, lora.init_adapter(key, lora_config, c.layers, shapes))


def make(folder, adapter=None, lora_config=None, **how):
    c = config.read_config(folder)
    lora_config = lora_config or lora.LoraConfig(4, 3.0)
    adapter = adapter or exact_adapter(lora_config, c)
    opened = safetensors_folder.open_folder(safetensors_folder.locate(str(folder)))
    return merge.Merge(opened, c, adapter, **how)


def written(one, out, **how) -> dict[str, torch.Tensor]:
    merge.check_merge(one)
    out.mkdir()
    merge.write(one, out, **how)
    tensors = {}
    for file in out.glob("*.safetensors"):
        tensors |= safetensors.torch.load_file(file)
    return tensors


def pefts(folder, adapter, out, **how) -> dict[str, torch.Tensor]:
    """What PEFT merges and transformers saves."""
    adapters.save_adapter(adapter, out / "adapter", str(folder))
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, **how)
    merged = peft.PeftModel.from_pretrained(base, out / "adapter").merge_and_unload()
    merged.save_pretrained(out / "theirs")
    return safetensors.torch.load_file(out / "theirs" / "model.safetensors")


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype, name
        assert torch.equal(ours[name], tensor), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["qwen2_tied", "qwen2_untied", "mistral_v03"])
def test_every_tensor_is_pefts_bit_for_bit(family, dtype, tmp_path):
    """Heads tied and untied, biases, grouped queries, a scale that is no power of 2."""
    folder = families.write(family, tmp_path / "base", DTYPES[dtype])
    one = make(folder)
    theirs = pefts(folder, one.adapter, tmp_path, dtype=DTYPES[dtype])
    ours = written(one, tmp_path / "ours")
    assert_equal(ours, theirs)
    assert ("lm_head.weight" in ours) == (family != "qwen2_tied")
    base = safetensors.torch.load_file(f"{folder}/model.safetensors")
    changed = {name for name in ours if not torch.equal(ours[name], base[name])}
    assert len(changed) == 7 * 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_trained_factors_round_as_pefts(dtype, tmp_path):
    """Sums of another order differ in float32's last bits, rarely in bfloat16's."""
    folder = families.write("qwen2_untied", tmp_path / "base", DTYPES[dtype])
    rng = np.random.default_rng(0)
    adapter = jax.tree.map(
        lambda x: rng.normal(0, 0.05, x.shape).astype(np.float32),
        make(folder, lora_config=lora.LoraConfig(16, 32.0)).adapter,
    )
    theirs = pefts(folder, adapter, tmp_path, dtype=DTYPES[dtype])
    ours = written(make(folder, adapter), tmp_path / "ours")
    bound = {"float32": 4e-7, "bfloat16": 2**-7}[dtype]
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=bound, atol=1e-7)
        if dtype == "bfloat16":
            assert (ours[name] != tensor).float().mean() < 2e-3, name


def test_the_sum_is_rounded_once(tmp_path):
    """Float32 weights written in bfloat16, and bfloat16 ones written in float32."""
    wide = families.write("qwen2_tied", tmp_path / "wide")
    narrow = families.write("qwen2_tied", tmp_path / "narrow", torch.bfloat16)
    one = make(wide, dtype=ml_dtypes.bfloat16)
    merged = pefts(wide, one.adapter, tmp_path / "w", dtype=torch.float32)
    rounded = {name: tensor.bfloat16() for name, tensor in merged.items()}
    assert_equal(written(one, tmp_path / "ours_bf16"), rounded)
    one = make(narrow, dtype=np.float32)
    theirs = pefts(narrow, one.adapter, tmp_path / "n", dtype=torch.float32)
    assert_equal(written(one, tmp_path / "ours_f32"), theirs)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dequantised_weights_are_those_of_pefts_4_bit_merge(dtype, tmp_path):
    """The sum that PEFT makes of a 4-bit layer, before it quantises again."""
    folder = families.write("qwen2_tied", tmp_path / "base", DTYPES[dtype])
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    )
    base = transformers.AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=settings, dtype=DTYPES[dtype]
    )
    base.save_pretrained(tmp_path / "nf4")
    with pytest.raises(ValueError, match="is NF4 .* expected base dequantised"):
        merge.check_merge(make(tmp_path / "nf4"))
    one = make(tmp_path / "nf4", base="dequantised")
    ours = written(one, tmp_path / "ours")
    adapters.save_adapter(one.adapter, tmp_path / "adapter", folder)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    adapted = 0
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight"):
            weight = module.get_base_layer().weight
            value = bitsandbytes.functional.dequantize_4bit(
                weight.data, weight.quant_state
            )
            delta = module.get_delta_weight("default")
            key = name.removeprefix("base_model.model.") + ".weight"
            assert torch.equal(ours[key], (value + delta).to(DTYPES[dtype])), key
            adapted += 1
    assert adapted == 7 * 3


def test_a_dense_checkpoint_dequantised_is_what_training_computes_with(qwen, tmp_path):
    one = make(qwen, base="dequantised")
    ours = written(one, tmp_path / "ours")
    trained_on = hf.load(qwen, quantize=True)
    layer = 1
    weight = jax.tree.map(
        lambda x: x[layer], trained_on.layers.mlp.gate_proj.weight.get_value()
    )
    factors = jax.tree.map(lambda x: x[layer], one.adapter.params["mlp.gate_proj"])
    expected = nf4.decode(weight, np.float32) + lora.delta_weight(
        factors, one.adapter.config
    )
    found = ours[f"model.layers.{layer}.mlp.gate_proj.weight"].numpy().T
    np.testing.assert_array_equal(found, expected)


def test_what_is_not_adapted_is_dequantised_too(tmp_path):
    """Under 4 bits the layers without an adapter were NF4 in training as well."""
    folder = families.write("qwen2_tied", tmp_path / "base")
    attention = lora.LoraConfig(4, 3.0, modules=lora.ATTENTION)
    one = make(folder, lora_config=attention, base="dequantised")
    ours = written(one, tmp_path / "ours")
    base = safetensors.torch.load_file(f"{folder}/model.safetensors")
    assert not torch.equal(
        *(t["model.layers.1.mlp.up_proj.weight"] for t in (ours, base))
    )
    for name in ("model.embed_tokens.weight", "model.layers.1.self_attn.q_proj.bias"):
        assert torch.equal(ours[name], base[name])


def test_shards_and_index_are_those_of_transformers(tmp_path):
    folder = families.write("qwen2_untied", tmp_path / "base")
    one = make(folder)
    whole = written(one, tmp_path / "whole")
    assert [f.name for f in (tmp_path / "whole").iterdir()] == ["model.safetensors"]
    ours = written(one, tmp_path / "ours", max_shard_size="400KB")
    assert_equal(ours, whole)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    model.save_pretrained(tmp_path / "theirs", max_shard_size="400KB")
    (tmp_path / "plain").write_text("")
    rights = (tmp_path / "plain").stat().st_mode  # others may read it, if they may read
    assert {file.stat().st_mode for file in (tmp_path / "ours").iterdir()} == {rights}
    found, expected = (
        json.loads((tmp_path / f / "model.safetensors.index.json").read_text())
        for f in ("ours", "theirs")
    )
    assert found["metadata"] == expected["metadata"]
    assert found["weight_map"].keys() == expected["weight_map"].keys()
    shards = sorted((tmp_path / "ours").glob("*.safetensors"))
    assert (
        len(shards) > 2
        and shards[0].name == f"model-00001-of-{len(shards):05}.safetensors"
    )
    assert all(file.stat().st_size < 410_000 for file in shards)
    assert merge.total_bytes(one) == expected["metadata"]["total_size"]


def test_each_tensor_keeps_its_own_dtype(tmp_path):
    """Norms in float32 beside bfloat16 weights stay so."""
    folder = families.write("qwen2_tied", tmp_path / "base", torch.bfloat16)
    file = tmp_path / "base" / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    mixed = {n: t.float() if "norm" in n else t for n, t in tensors.items()}
    safetensors.torch.save_file(mixed, file, metadata={"format": "pt"})
    ours = written(make(folder), tmp_path / "ours")
    assert {n: t.dtype for n, t in ours.items()} == {
        n: t.dtype for n, t in mixed.items()
    }


def test_a_head_stored_beside_its_embedding_is_written_once(tmp_path):
    folder = families.write("qwen2_tied", tmp_path / "base")
    file = tmp_path / "base" / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    assert "lm_head.weight" not in written(make(folder), tmp_path / "ours")


VARIANTS = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "lora bias": {"lora_bias": True, "target_modules": ["q_proj", "v_proj"]},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"up_proj": 5}},
    "some layers": {"layers_to_transform": [0, 2], "target_modules": ["q_proj"]},
    "a trained head": {"modules_to_save": ["lm_head"]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_peft_trained_is_merged_as_pefts_or_refused_by_name(variant, tmp_path):
    """No scale, magnitude, bias or module of another kind of adapter is lost."""
    folder = families.write("qwen2_untied", tmp_path / "base")
    base = transformers.AutoModelForCausalLM.from_pretrained(folder)
    options = {"target_modules": "all-linear", "r": 4, "lora_alpha": 6}
    settings = peft.LoraConfig(
        **options | VARIANTS[variant], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    theirs = peft.get_peft_model(base, settings).to(torch.bfloat16)
    theirs.save_pretrained(tmp_path / "adapter")
    try:
        adapter = adapters.load_adapter(
            str(tmp_path / "adapter"), config.read_config(folder)
        )
    except ValueError as error:
        refused = str(error)
    else:
        refused = None
    if refused:
        assert variant != "plain", refused
        return
    base = transformers.AutoModelForCausalLM.from_pretrained(folder)
    again = peft.PeftModel.from_pretrained(base, tmp_path / "adapter")
    expected = again.merge_and_unload().state_dict()
    ours = written(make(folder, adapter), tmp_path / "ours")
    for name, tensor in expected.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-6, atol=1e-7)


def test_what_float16_cannot_hold_is_refused(qwen, tmp_path):
    c = config.read_config(qwen)
    adapter = jax.tree.map(
        lambda x: np.full_like(x, 300), exact_adapter(lora.LoraConfig(4, 4.0), c)
    )
    with pytest.raises(
        ValueError, match=r"'model.layers.0.self_attn.q_proj.weight' has"
    ):
        written(make(qwen, adapter, dtype=np.float16), tmp_path / "ours")
    nan = jax.tree.map(lambda x: np.full_like(x, np.nan), adapter)
    with pytest.raises(ValueError, match="NaN or infinite in float32"):
        written(make(qwen, nan), tmp_path / "nan")


def test_nothing_of_the_adapter_is_left_out(qwen):
    one = make(qwen)
    strange = lora.Adapter(
        one.adapter.params | {"mlp.router": one.adapter.params["mlp.up_proj"]},
        one.adapter.config,
    )
    with pytest.raises(ValueError, match="changes 'mlp.router': expected modules"):
        merge.check_merge(make(qwen, strange))
    with pytest.raises(ValueError, match="base 'nf4': expected one of original"):
        merge.check_merge(make(qwen, base="nf4"))


@pytest.mark.parametrize("size", ["5", "GB", "-5GB", "0GB", "5GiB", "5 G B", "1e3MB"])
def test_a_wrong_shard_size_is_named(size):
    with pytest.raises(ValueError, match="expected a size such as 500MB or 5GB"):
        merge.check_shard_size(size)


@pytest.mark.parametrize("base", merge.BASES)
def test_the_merged_model_computes_what_the_adapted_one_does(qwen, base, tmp_path):
    """Merged into NF4's values it is the model that 4-bit training saw."""
    one = make(qwen, base=base, lora_config=lora.LoraConfig(4, 0.5))
    written(one, tmp_path / "ours", max_shard_size="300KB")
    shutil.copy(f"{qwen}/config.json", tmp_path / "ours")
    tokens = np.arange(30)[None]
    args = (tokens, np.ones_like(tokens), tokens)
    merged = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    with torch.no_grad():
        found = merged(torch.tensor(tokens)).logits.numpy()
    errors = {}
    for seen in merge.BASES:
        model = hf.load(qwen, quantize=seen == "dequantised")
        logits = model.logits(model(*args, jax.device_put(one.adapter)))
        errors[seen] = np.abs(found - logits).max() / np.abs(logits).max()
    other = {"original": "dequantised", "dequantised": "original"}[base]
    assert errors[base] < 3e-5 and errors[other] > 1e-2, errors
