"""Adapters that PEFT reads: settings that change nothing, and kinds of LoRA."""

from jaxent.arrays import lora

# adapter_config.json as other tools and other versions of PEFT write it: each loads
# into PEFT with the logits of the plain one.
SOUND = {
    "nulls": {"fan_in_fan_out": None, "use_dora": None, "use_rslora": None},
    "no lora_dropout": {"lora_dropout": ...},
    "version 0.3's keys alone": dict.fromkeys(
        (
            "alpha_pattern",
            "rank_pattern",
            "use_rslora",
            "use_dora",
            "peft_version",
            "lora_bias",
            "eva_config",
            "corda_config",
            "loftq_config",
            "layer_replication",
            "megatron_core",
            "init_lora_weights",
        ),
        ...,
    ),
    "a rank pattern that says r": {"rank_pattern": {"q_proj": 4}},
    "all layers": {"layers_to_transform": [0, 1, 2]},
    "no head": {"exclude_modules": ["lm_head"]},
    "dotted names": {"target_modules": list(lora.PATHS.values())},
    "names of other families": {"target_modules": [*lora.MODULES, "W_pack", "wqkv"]},
    "unsloth's pattern": {
        "target_modules": r"(?:.*?(?:self_attn|mlp).*?(?:q_proj|k_proj|v_proj|o_proj"
        r"|gate_proj|up_proj|down_proj).*?)"
    },
    "axolotl's pattern": {"target_modules": r"model\.layers\..*_proj"},
    "unsloth's marks": {
        "auto_mapping": {"base_model_class": "X", "unsloth_fixed": True},
        "unsloth_fixed": True,
    },
    "a key of a later version that is off": {"use_later": False, "later_config": None},
    "settings of an initialisation": {
        "init_lora_weights": "eva",
        "eva_config": {"rho": 1.0, "tau": 0.99},
    },
    "gaussian": {"init_lora_weights": "gaussian"},
    "settings that init does not use": {"corda_config": {"corda_method": "kpm"}},
    "fan_in_fan_out of a linear module": {"fan_in_fan_out": True},
    "trained biases that are not there": {"bias": "lora_only"},
    "no task": {"task_type": None, "inference_mode": False, "revision": "main"},
    "run time": {"runtime_config": {"ephemeral_gpu_offload": False}},
}

VARIANTS = {
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True, "lora_dropout": 0.1},
    "lora_bias": {"lora_bias": True, "target_modules": ["q_proj", "v_proj"]},
    "patterns": {
        "use_rslora": True,
        "rank_pattern": {"q_proj": 6, r".*\.1\.mlp\..*": 2},
        "alpha_pattern": {"down_proj": 3, "0.self_attn.k_proj": 32},
    },
    "dora with patterns": {
        "use_dora": True,
        "rank_pattern": {"o_proj": 2},
        "alpha_pattern": {"layers.2.mlp.up_proj": 1},
    },
    "some layers": {
        "target_modules": ["o_proj", "up_proj"],
        "layers_to_transform": [0, 2],
    },
    "one layer": {"target_modules": r".*layers\.1\..*(q|gate)_proj"},
}
