"""Flags of a run's settings, which finetune.py and the studies share.

Each overrides what presets and studies choose; their defaults are those of
`jaxent.runs.spec.RunSpec`.
"""

import revision_flags
import weight_flags
from absl import flags

from jaxent.paper import settings

FLAGS = flags.FLAGS
_PAPER = {**settings.STRONG, **settings.CSR}

flags.DEFINE_string(
    "data_root", None, "folder of local files, or 'embedded'; the Hub otherwise"
)
flags.DEFINE_integer(
    "max_train_samples",
    None,
    f"rows read from each source (default: {_PAPER['max_train_samples']}, but all of "
    "data of your own)",
)
flags.DEFINE_integer("lora_r", _PAPER["lora_r"], "LoRA rank")
flags.DEFINE_float("lora_alpha", _PAPER["lora_alpha"], "LoRA alpha")
flags.DEFINE_float("lora_dropout", _PAPER["lora_dropout"], "LoRA dropout")
flags.DEFINE_list(
    "lora_target_modules",
    list(_PAPER["lora_target_modules"]),
    "adapted linear modules, or all-linear",
)
flags.DEFINE_enum(
    "tuner",
    "lora",
    ["lora", "rslora", "dora", "full"],
    "lora: scaling alpha / r; rslora: alpha / sqrt(r); dora: magnitudes trained too; "
    "full: all weights, in float32",
)
flags.DEFINE_integer("max_steps", _PAPER["max_steps"], "optimizer steps")
flags.DEFINE_float("learning_rate", _PAPER["learning_rate"], "peak learning rate")
flags.DEFINE_float(
    "warmup_ratio", _PAPER["warmup_ratio"], "share of steps that warm up"
)
flags.DEFINE_integer(
    "batch_size",
    _PAPER["batch_size"],
    "examples an optimizer step (the paper's batch 1 x accumulation 16)",
)
flags.DEFINE_integer(
    "micro_batch_size", 1, "packed rows run at a time; must divide --batch_size"
)
flags.DEFINE_integer("max_length", _PAPER["max_length"], "tokens an example and a row")
flags.DEFINE_bool("packing", True, "pack examples into rows; --nopacking: one a row")
flags.DEFINE_enum(
    "remat",
    "auto",
    ["auto", "full", "none"],
    "what the gradient computes again: full: each layer; none: only what is cheap;"
    " auto: none where the activations fit half of the memory",
)
flags.DEFINE_enum(
    "decode_base",
    "auto",
    ["auto", "once", "every_use"],
    "when NF4 becomes dense weights for training; auto: once on a CPU where they fit",
)
flags.DEFINE_integer(
    "curriculum_steps", _PAPER["curriculum_steps"], "B5's steps of math before code"
)
flags.DEFINE_string(
    "probes",
    _PAPER["probes"],
    "probe set: triad, hexad, triad_v2, hexad_v2 or a JSONL file",
)
flags.DEFINE_integer("probe_sets", None, "first replicate sets of the probes only")
flags.DEFINE_integer(
    "csr_every",
    _PAPER["csr_every"],
    "steps between CSR steps: lambda acts on one step in so many",
)
flags.DEFINE_float(
    "csr_variance",
    _PAPER["csr_variance"],
    "share of the target domain's variance that is free to change",
)
flags.DEFINE_string(
    "csr_target", _PAPER["csr_target"], "domain of the probes that is free to change"
)
flags.DEFINE_bool(
    "csr_centred",
    _PAPER["csr_centred"],
    "subtract the mean before the target's subspace is fitted (the paper does not)",
)
flags.DEFINE_string(
    "csr_probes",
    _PAPER["csr_probes"],
    "probe set of the penalty: triad, hexad, triad_v2, hexad_v2 or a JSONL file",
)
flags.DEFINE_integer("measure_steps", 500, "steps between measurements")
flags.DEFINE_integer("save_steps", 100, "steps between checkpoints")
flags.DEFINE_integer(
    "eval_steps",
    None,
    "steps between losses on held-out examples (default: nothing is held out)",
)
flags.DEFINE_float(
    "eval_share", 0.05, "with --eval_steps: share of each source that is held out"
)
flags.DEFINE_integer(
    "max_eval_samples", 200, "held-out examples a domain that are scored"
)
flags.adopt_module_key_flags(revision_flags)
flags.adopt_module_key_flags(weight_flags)


def given(*more: str) -> dict:
    """The settings given on the command line, by name.

    Args:
        *more: further flags that are fields of `RunSpec`.

    Returns:
        Flag name to value, those not given left out.

    Raises:
        ValueError: a flag of adapters is given where all weights are trained.
    """
    names = [flag.name for flag in FLAGS.flags_by_module_dict()[__name__]]
    names += ["revision", *weight_flags.NAMES, *more]
    present = [name for name in names if FLAGS[name].present]
    values = {name: FLAGS[name].value for name in present}
    if "dtype" in values:
        values["dtype"] = weight_flags.dtype()
    of_lora = [name for name in present if name.startswith("lora_")]
    if values.get("tuner") == "full" and of_lora:
        raise ValueError(
            f"--{of_lora[0]} with --tuner=full: expected it with an adapter only"
        )
    if values.get("lora_target_modules") == ["all-linear"]:
        values["lora_target_modules"] = list(_PAPER["lora_target_modules"])
    return values
