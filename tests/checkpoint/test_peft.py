import dataclasses
import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import peft
import peft_cases
import pytest
import safetensors.numpy
import torch
import torch_reference
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


TOKENS = np.arange(30)[None]


def torch_logits(model, tokens=TOKENS):
    with torch.no_grad():
        return model.eval()(torch.tensor(tokens)).logits.numpy()


@jax.jit
def adapted_logits(model, adapter):
    return model.logits(model(TOKENS, np.ones_like(TOKENS), TOKENS, adapter))


def torch_base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    )


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, atol=3e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def dense_qwen(qwen):
    return hf.load(qwen, quantize=False)


def write_theirs(qwen, folder, **settings):
    """An adapter that PEFT writes, its every tensor random; returns PEFT's model."""
    torch.manual_seed(0)
    chosen = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} | settings
    config = peft.LoraConfig(task_type="CAUSAL_LM", **chosen)
    model = peft.get_peft_model(torch_base(qwen), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def plain(qwen, tmp_path_factory):
    """A plain adapter of PEFT's and its logits."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, torch_logits(write_theirs(qwen, folder))


def change_settings(source, folder, change):
    """A copy of an adapter whose settings are changed; ... leaves a key out."""
    settings = json.loads((source / "adapter_config.json").read_text()) | change
    kept = {key: value for key, value in settings.items() if value is not ...}
    (folder / "adapter_config.json").write_text(json.dumps(kept))
    tensors = (source / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(tensors)
    return folder


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


@pytest.mark.parametrize("name", peft_cases.SOUND)
def test_settings_that_change_nothing_pass(qwen, dense_qwen, plain, tmp_path, name):
    source, expected = plain
    change_settings(source, tmp_path, peft_cases.SOUND[name])
    theirs = torch_logits(peft.PeftModel.from_pretrained(torch_base(qwen), tmp_path))
    np.testing.assert_array_equal(theirs, expected)
    adapter = adapters.load_adapter(str(tmp_path), dense_qwen.config)
    assert_close(adapted_logits(dense_qwen, adapter), expected)


@pytest.mark.parametrize("name", peft_cases.VARIANTS)
def test_kinds_of_lora_equal_pefts(qwen, dense_qwen, tmp_path, name):
    theirs = write_theirs(qwen, tmp_path / "theirs", **peft_cases.VARIANTS[name])
    expected = torch_logits(theirs)
    adapter = adapters.load_adapter(str(tmp_path / "theirs"), dense_qwen.config)
    assert_close(adapted_logits(dense_qwen, adapter), expected)
    merged = convert.to_dense(dense_qwen, jnp.float32, adapter)
    assert_close(adapted_logits(merged, None), expected)
    adapters.save_adapter(adapter, tmp_path / "ours", qwen)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys")
        again = peft.PeftModel.from_pretrained(torch_base(qwen), tmp_path / "ours")
    assert_close(torch_logits(again), expected)


def test_dora_on_nf4_equals_pefts(qwen, tmp_path):
    base = torch_reference.load_quantized(qwen, str(tmp_path / "base"))
    model = hf.load(str(tmp_path / "base"))
    norms = convert.weight_norms(model, ("q_proj", "down_proj"))
    config = lora.LoraConfig(
        4, 12.0, 0.0, ("q_proj", "down_proj"), use_rslora=True, use_dora=True
    )
    shapes = blocks.linear_shapes(model.config)
    adapter = lora.init_adapter(jax.random.key(0), config, 3, shapes, norms)
    settings = peft.LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], use_dora=True
    )
    fresh = peft.get_peft_model(base, settings)
    for layer in range(3):
        module = fresh.base_model.model.model.layers[layer].mlp.down_proj
        expected = module.lora_magnitude_vector["default"].weight.detach()
        np.testing.assert_allclose(norms["down_proj"][layer], expected, rtol=1e-6)
    adapter = jax.tree.map(
        lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape), adapter
    )
    adapters.save_adapter(adapter, tmp_path / "ours", qwen)
    theirs = peft.PeftModel.from_pretrained(fresh.unload(), tmp_path / "ours")
    theirs.train()  # bitsandbytes' evaluation kernel rewrites weights
    with torch.no_grad():
        expected = theirs(torch.tensor(TOKENS)).logits.numpy()
    assert_close(adapted_logits(model, adapter), expected)
    assert_close(adapted_logits(model, convert.with_gains(model, adapter)), expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_exported_settings_are_those_that_differ_from_pefts(tmp_path, name):
    config = dataclasses.replace(CONFIGS[name], use_rslora=name == "all")
    factors = lora.LoraParams(
        np.ones((2, config.rank, 3)), np.ones((2, config.rank, 5))
    )
    params = {lora.PATHS[module]: factors for module in config.modules}
    adapters.save_adapter(lora.Adapter(params, config), tmp_path, "base")
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    default = peft.LoraConfig()
    for key in settings.keys() - {"peft_type", "r", "lora_alpha", "target_modules"}:
        assert settings[key] != getattr(default, key), key
    theirs = peft.LoraConfig.from_pretrained(str(tmp_path))
    assert theirs.target_modules == set(config.modules)
    assert (theirs.r, theirs.lora_alpha, theirs.lora_dropout, theirs.use_rslora) == (
        config.rank,
        config.alpha,
        config.dropout,
        config.use_rslora,
    )
    assert type(settings["lora_alpha"]) is int


def change_tensors(source, folder, change):
    """A copy of an adapter whose tensors are changed: {name: tensor, or None}."""
    tensors = safetensors.numpy.load_file(source / "adapter_model.safetensors")
    tensors = {k: v for k, v in (tensors | change).items() if v is not None}
    safetensors.numpy.save_file(tensors, folder / "adapter_model.safetensors")
    settings = (source / "adapter_config.json").read_text()
    (folder / "adapter_config.json").write_text(settings)
    return str(folder)


LAYER = "base_model.model.model.layers.0."
Q_A = LAYER + "self_attn.q_proj.lora_A.weight"
ONES = np.ones((4, 128), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({Q_A: None}, "q_proj.lora_A.weight' is missing"),
        ({Q_A: None, Q_A.replace("A.w", "A.default.w"): ONES}, "adapter's name, which"),
        ({Q_A.replace("layers.0", "layers.7"): ONES}, "no module that adapter_config"),
        (
            {Q_A.replace("model.model.", "model."): ONES},
            "no module that adapter_config",
        ),
        ({Q_A.replace("model.layers", "_orig_mod.layers"): ONES}, "was saved wrapped"),
        ({"base_model.model.lm_head.weight": ONES}, "embedding or head"),
        (
            {"base_model.model.model.embed_tokens.lora_embedding_A": ONES},
            "embedding or",
        ),
        ({LAYER + "self_attn.q_proj.base_layer.bias": ONES[0]}, "trained bias"),
        ({LAYER + "self_attn.q_proj.lora_magnitude_vector": ONES[0]}, "no module that"),
        ({LAYER + "self_attn.q_proj.lora_B.bias": ONES[0]}, "no module that|trained"),
        ({Q_A: np.zeros(0, np.float32)}, r"shape \(0,\).* as DeepSpeed ZeRO-3 saves"),
        ({Q_A: ONES[:, :64]}, r"has shape \(4, 64\), expected \(4, 128\)"),
        ({Q_A: np.full_like(ONES, np.nan)}, "holds NaN or infinity"),
        ({Q_A: ONES * np.float32(np.inf)}, "holds NaN or infinity"),
        ({Q_A: ONES.astype(np.int8)}, "is I8, expected one of F64"),
    ],
)
def test_tensors_that_are_not_the_adapters_are_told(
    dense_qwen, plain, tmp_path, change, message
):
    folder = change_tensors(plain[0], tmp_path, change)
    with pytest.raises(ValueError, match=message) as error:
        adapters.load_adapter(folder, dense_qwen.config)
    assert folder in str(error.value)


def test_half_precision_and_old_names_of_magnitudes_are_read(
    qwen, dense_qwen, tmp_path
):
    settings = {"use_dora": True, "target_modules": ["k_proj"]}
    write_theirs(qwen, tmp_path, **settings)
    expected = adapters.load_adapter(str(tmp_path), dense_qwen.config)
    file = tmp_path / "adapter_model.safetensors"
    tensors = {
        name + ".weight" * name.endswith("vector"): value.astype(np.float16)
        for name, value in safetensors.numpy.load_file(file).items()
    }
    safetensors.numpy.save_file(tensors, file)
    found = adapters.load_adapter(str(tmp_path), dense_qwen.config)
    for ours, whole in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_array_equal(ours, whole.astype(np.float16))


def test_an_adapter_of_another_base_warns(dense_qwen, plain):
    folder, config = str(plain[0]), dense_qwen.config
    with pytest.warns(UserWarning, match="base_model_name_or_path .* 'other/model'"):
        adapters.load_adapter(folder, config, "other/model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapters.load_adapter(folder, config)
        base = json.loads((plain[0] / "adapter_config.json").read_text())
        adapters.load_adapter(folder, config, base["base_model_name_or_path"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank_pattern": {"q_proj": 3}}, "rank_pattern or alpha_pattern"),
        ({"layers_to_transform": [0]}, "layers_to_transform"),
    ],
)
def test_training_does_not_begin_from_uneven_adapters(
    qwen, dense_qwen, tmp_path, change, message
):
    settings = {"target_modules": ["q_proj", "v_proj"]} | change
    write_theirs(qwen, tmp_path, **settings)
    with pytest.raises(ValueError, match=f"cannot begin from .* with {message}"):
        adapters.load_adapter_config(str(tmp_path), dense_qwen.config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_modules": ["q_proj"]}, "surplus tensor"),
        ({"target_modules": None}, "surplus tensor"),  # PEFT's default: q_proj, v_proj
        ({"target_modules": [*lora.MODULES, "lm_head"]}, "adapt lm_head"),
        ({"target_modules": ["c_attn"]}, "name no module of the model"),
        ({"layers_to_transform": [0, 1]}, "surplus tensor"),
        ({"r": 5}, r"has shape \(4, 128\), expected \(5, 128\)"),
        ({"use_dora": True}, "lora_magnitude_vector' is missing"),
        ({"lora_bias": True}, "lora_B.bias' is missing"),
        ({"lora_alpha": -1}, "adapter_config.json: LoRA rank 4, alpha -1"),
    ],
)
def test_settings_that_the_tensors_do_not_fit_are_told(
    dense_qwen, plain, tmp_path, change, message
):
    change_settings(plain[0], tmp_path, change)
    with pytest.raises(ValueError, match=message):
        adapters.load_adapter(str(tmp_path), dense_qwen.config)


def test_missing_adapter(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected adapter_model.safetensors"):
        adapters.load_adapter(str(tmp_path), None)
