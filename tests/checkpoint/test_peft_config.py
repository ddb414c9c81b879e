import dataclasses
import json

import peft
import pytest
import torch

from jaxent.arrays import lora
from jaxent.checkpoint import peft_config

MINIMAL = {"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]}
Q0 = "model.layers.0.self_attn.q_proj"
NAMES = [f"model.layers.{i}.{path}" for i in range(12) for path in lora.PATHS.values()]
NAMES += ["lm_head", "model.embed_tokens"]


def write(folder, settings):
    text = settings if isinstance(settings, str) else json.dumps(MINIMAL | settings)
    (folder / "adapter_config.json").write_text(text)
    return folder


def test_every_key_of_the_installed_peft_is_known():
    keys = {field.name for field in dataclasses.fields(peft.LoraConfig)}
    groups = peft_config._HARMLESS, peft_config._HONOURED, set(peft_config._REFUSED)
    assert keys <= set.union(*map(set, groups))
    assert sum(map(len, groups)) == len(set.union(*map(set, groups)))


def test_what_the_file_does_not_say_has_pefts_default(tmp_path):
    found = peft_config.read_adapter_config(write(tmp_path, "{}"))
    default = peft.LoraConfig()
    assert (found.rank, found.alpha, found.dropout) == (
        default.r,
        default.lora_alpha,
        default.lora_dropout,
    )
    assert (found.use_rslora, found.use_dora, found.lora_bias) == (False,) * 3
    for field in dataclasses.fields(peft.LoraConfig):
        nulls = json.dumps({field.name: None})
        assert peft_config.read_adapter_config(write(tmp_path, nulls)) == found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target_modules": ["self_attn.q_proj", "down_proj"]},
        {"target_modules": ["q_proj", "W_pack", "query_key_value"]},
        {"target_modules": [Q0, "v_proj"], "layers_to_transform": [3, 11]},
        {"target_modules": r".*\.(0|1|10)\.self_attn\.(q|k)_proj"},
        {"target_modules": r"(?:.*?(?:self_attn|mlp).*?(?:q_proj|up_proj).*?)"},
        {"target_modules": "q_proj"},  # a pattern of the whole name: nothing
        {"layers_to_transform": 1, "layers_pattern": "layers"},
        {"layers_to_transform": [2], "layers_pattern": ["h", "layers"]},
        {"layers_to_transform": [2], "layers_pattern": ["h"]},
        {"layers_to_transform": []},
        {"target_modules": ["q_proj", "lm_head"], "exclude_modules": ["lm_head"]},
        {"target_modules": [*lora.MODULES], "exclude_modules": r".*layers\.1.*proj"},
        {"exclude_modules": ["0.self_attn.q_proj"]},
        {"target_modules": ["embed_tokens", "proj"]},
    ],
)
def test_the_modules_are_those_that_peft_adapts(tmp_path, settings):
    found = peft_config.read_adapter_config(write(tmp_path, settings))
    theirs = peft.LoraConfig.from_pretrained(str(tmp_path))
    matches = peft.tuners.tuners_utils.check_target_module_exists
    expected = [name for name in NAMES if matches(theirs, name)]
    assert [name for name in NAMES if found.selects(name)] == expected


@pytest.mark.parametrize(
    "patterns",
    [
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 3.5}},
        {"rank_pattern": {"0.self_attn.q_proj": 6, "q_proj": 2}},
        {"rank_pattern": {r".*\.layers\.(1|2)\..*": 16, "^model.layers.11": 7}},
        {"alpha_pattern": {"proj": 1, r"(q|down)_proj": 64, "down_proj": 2}},
        {"rank_pattern": {"up_proj": 2}, "use_rslora": True},
    ],
)
def test_ranks_and_scalings_are_pefts(tmp_path, patterns):
    found = peft_config.read_adapter_config(
        write(tmp_path, patterns | {"target_modules": list(lora.MODULES)})
    )
    theirs = peft.LoraConfig.from_pretrained(str(tmp_path))
    key_of = peft.utils.other.get_pattern_key
    for name in NAMES[:-2]:
        ranks, alphas = theirs.rank_pattern, theirs.alpha_pattern
        rank = ranks.get(key_of(ranks, name), theirs.r)
        alpha = alphas.get(key_of(alphas, name), theirs.lora_alpha)
        assert found.rank_and_alpha(name) == (rank, alpha)
        layer = peft.tuners.lora.Linear(
            torch.nn.Linear(2, 2), "default", theirs, rank, alpha
        )
        assert found.scaling(name) == layer.scaling["default"]


@pytest.mark.parametrize(
    "init",
    [
        True,
        False,
        "gaussian",
        "eva",
        "orthogonal",
        "mica",
        "pissa",
        "pissa_niter_4",
        "olora",
        "OLoRA",
    ],
)
def test_initialisations_that_change_the_base_are_refused(tmp_path, init):
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    model = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(64, 64)})
    model["q_proj"].weight.data = weight.clone()
    config = peft.LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=init)
    peft.inject_adapter_in_model(config, model)
    changed = not torch.equal(model["q_proj"].base_layer.weight, weight)
    write(tmp_path, {"init_lora_weights": init})
    if not changed:
        peft_config.read_adapter_config(tmp_path)
        return
    with pytest.raises(ValueError, match=f"init_lora_weights '{init}' changes the"):
        peft_config.read_adapter_config(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        # The first two need a pass over data before, so that PEFT cannot repeat them
        # at load; the third needs CUDA.
        ({"init_lora_weights": "corda"}, "init_lora_weights 'corda' changes the base"),
        ({"init_lora_weights": "lora_ga"}, "init_lora_weights 'lora_ga' changes the"),
        ({"init_lora_weights": "loftq"}, "init_lora_weights 'loftq' changes the base"),
        ({"init_lora_weights": "xavier"}, "expected true, false or one of gaussian"),
        ({"peft_type": "ADALORA"}, "peft_type 'ADALORA', expected 'LORA'"),
        ({"use_qalora": True}, "use_qalora True pools the inputs"),
        (
            {"modules_to_save": ["lm_head"]},
            "replaces whole modules .* merge_and_unload",
        ),
        ({"trainable_token_indices": [3]}, "embedding, .* merge_and_unload saves, as"),
        ({"layer_replication": [[0, 2], [1, 3]]}, "layer_replication .* repeats"),
        ({"alora_invocation_tokens": [5]}, "alora_invocation_tokens"),
        ({"target_parameters": ["mlp.experts.down_proj"]}, "target_parameters"),
        ({"kasa_config": {"beta": 1e-4}}, "kasa_config .* truncates the base"),
        ({"use_bdlora": {"nblocks": 2}}, "use_bdlora"),
        ({"arrow_config": {"top_k": 3}}, "arrow_config"),
        ({"new_method": {"k": 1}}, "new_method .* none of the keys of PEFT's"),
        ({"bias": "some"}, "bias 'some', expected 'none', 'all' or 'lora_only'"),
        ({"r": 0}, "r 0, expected a positive number"),
        ({"r": "8"}, "r '8', expected a whole number"),
        ({"r": True}, "r True, expected a whole number"),
        ({"lora_alpha": "16"}, "lora_alpha '16', expected a number"),
        ('{"lora_alpha": Infinity}', "lora_alpha: inf, expected a finite number"),
        ({"use_dora": "false"}, "use_dora 'false', expected true or false"),
        ({"rank_pattern": {"q_proj": 2.5}}, r"rank_pattern\['q_proj'\] 2.5"),
        ({"rank_pattern": [4]}, "rank_pattern .* expected an object"),
        ({"target_modules": "q_proj("}, "expected a regular expression"),
        ({"target_modules": [1]}, "expected a name, a pattern or a list"),
        ({"layers_to_transform": ["1"]}, "layers_to_transform .* numbers of layers"),
        ({"use_dora": True, "lora_bias": True}, "which PEFT refuses"),
        ("[]", "holds a list, expected an object"),
    ],
)
def test_what_is_more_than_two_factors_is_refused_by_name(tmp_path, settings, message):
    with pytest.raises(ValueError, match=message) as error:
        peft_config.read_adapter_config(write(tmp_path, settings))
    assert str(tmp_path / "adapter_config.json") in str(error.value)


def test_there_must_be_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a PEFT adapter folder"):
        peft_config.read_adapter_config(tmp_path)


@pytest.mark.parametrize(
    ("base", "model", "agree"),
    [
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B", True),
        ("Qwen/Qwen2.5-0.5B", "/models/qwen2.5-0.5b/", True),
        (
            "meta-llama/Llama-3.2-1B",
            "/c/hub/models--meta-llama--Llama-3.2-1B/snapshots/4e20de36",
            True,
        ),
        (None, "Qwen/Qwen2.5-0.5B", True),
        ("", "Qwen/Qwen2.5-0.5B", True),
        ("Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B-Instruct", False),
        ("unsloth/llama-3-8b-bnb-4bit", "meta-llama/Meta-Llama-3-8B", False),
    ],
)
def test_another_base_is_told(tmp_path, base, model, agree):
    settings = {"base_model_name_or_path": base}
    config = peft_config.read_adapter_config(write(tmp_path, settings))
    message = peft_config.describe_other_base(config, model)
    assert (message is None) == agree
    if message is not None:
        assert repr(base) in message and repr(model) in message
