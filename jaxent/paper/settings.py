"""The paper's settings, each once: sections 2.2, 3.2, 3.5, 6.1 and 6.3.

Names are those of `jaxent.runs.spec.RunSpec` and of the flags.
"""

import types
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

ATTENTION_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj")
LINEAR_LAYERS = (*ATTENTION_LAYERS, "gate_proj", "up_proj", "down_proj")

STRONG: Settings = types.MappingProxyType(
    {
        "lora_dropout": 0.05,
        "learning_rate": 1e-4,
        "warmup_ratio": 0.03,
        "batch_size": 16,
        "max_length": 2048,
        "load_in_4bit": True,
        "curriculum_steps": 1000,
        "probes": "triad",
        "probe_sets": None,
        "data_root": None,
        "max_train_samples": 50_000,
        "lora_r": 64,
        "lora_alpha": 128.0,
        "lora_target_modules": LINEAR_LAYERS,
        "max_steps": 5000,
    }
)
"""The strong intervention (section 2.2). probe_sets None: all of the probe set."""

LIGHT_CHANGES: Settings = types.MappingProxyType(
    {
        "lora_r": 16,
        "lora_alpha": 32.0,
        "lora_target_modules": ATTENTION_LAYERS,
        "max_steps": 2000,
    }
)
"""What the light intervention changes about the strong one (section 6.3)."""

LIGHT: Settings = types.MappingProxyType({**STRONG, **LIGHT_CHANGES})
"""The light intervention (section 6.3)."""

INTERVENTIONS: Mapping[str, Settings] = types.MappingProxyType(
    {"strong": STRONG, "light": LIGHT}
)

CONTINUED_STEPS = 1500
"""Steps of B2 on top of B3 (section 3.5)."""

MEASURE_STEPS = 500
"""Steps between two measurements (section 3.2)."""

CSR_LAMBDA = 0.1
"""CSR's weight under B4 where no other is studied (section 6.1)."""

CSR: Settings = types.MappingProxyType(
    {
        "csr_every": 50,
        "csr_variance": 0.9,
        "csr_target": "code",
        "csr_centred": False,
        "csr_probes": "hexad",
    }
)
"""The penalty's settings (section 6.1)."""

BASE_MODEL: Settings = types.MappingProxyType(
    {name: STRONG[name] for name in ("load_in_4bit", "probes", "probe_sets")}
)
"""What of the settings acts on a base model that is only measured."""

CODING: Settings = types.MappingProxyType(
    {
        "max_new_tokens": 768,
        "temperature": 0.0,
        "n_samples": 1,
        "load_in_4bit": True,
        "benchmark": "humaneval",
        "prompt_format": "raw",
    }
)
"""How HumanEval(+) is generated: greedily, one sample a problem (section 3.2)."""

MEASUREMENT: Settings = types.MappingProxyType(
    {"alpha": 1.0, "pooling": "mean", "load_in_4bit": True}
)
"""Measurements of a checkpoint, crosstalk included; alpha: ridge's (section 3.2)."""

LAST_LAYER: Settings = types.MappingProxyType({"scale_free": False, "final_norm": True})
"""How the activations of the last layer are taken, beside `MEASUREMENT`."""

PROBES: Mapping[str, int] = types.MappingProxyType({"triad": 384, "hexad": 480})
"""Number of probes in the whole of each probe set of this project."""
