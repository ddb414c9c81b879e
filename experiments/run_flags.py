"""Flags of a run's settings, which finetune.py and the studies share: each overrides what presets and studies choose."""

import dataclasses

from absl import flags

from jaxent.runs import spec as specs

FLAGS = flags.FLAGS
_OF = {f.name: f.default for f in dataclasses.fields(specs.RunSpec)}
flags.DEFINE_string(
    "data_root", None, "folder of local files, or 'embedded'; the Hub otherwise"
)
flags.DEFINE_integer(
    "max_train_samples", _OF["max_train_samples"], "examples read from each source"
)
flags.DEFINE_integer("lora_r", _OF["lora_r"], "LoRA rank")
flags.DEFINE_float("lora_alpha", _OF["lora_alpha"], "LoRA alpha")
flags.DEFINE_float("lora_dropout", _OF["lora_dropout"], "LoRA dropout")
flags.DEFINE_list(
    "lora_target_modules", list(_OF["lora_target_modules"]), "adapted linear modules"
)
flags.DEFINE_integer("max_steps", _OF["max_steps"], "optimizer steps")
flags.DEFINE_float("learning_rate", _OF["learning_rate"], "peak learning rate")
flags.DEFINE_float("warmup_ratio", _OF["warmup_ratio"], "share of steps that warm up")
flags.DEFINE_integer(
    "batch_size",
    _OF["batch_size"],
    "examples an optimizer step (batch 1 x accumulation 16)",
)
flags.DEFINE_integer(
    "micro_batch_size",
    _OF["micro_batch_size"],
    "packed rows run at a time; must divide --batch_size",
)
flags.DEFINE_integer("max_length", _OF["max_length"], "tokens an example and a row")
flags.DEFINE_bool(
    "packing", _OF["packing"], "pack examples into rows; --nopacking: one a row"
)
flags.DEFINE_integer(
    "curriculum_steps", _OF["curriculum_steps"], "B5's steps of math before code"
)
flags.DEFINE_bool(
    "load_in_4bit",
    _OF["load_in_4bit"],
    "NF4 with double quantisation; otherwise the checkpoint's own weights",
)
flags.DEFINE_enum(
    "dtype",
    None,
    ["float32", "bfloat16"],
    "arithmetic (default: float32 on CPU, else bfloat16)",
)
flags.DEFINE_string("probes", _OF["probes"], "probe set: triad, hexad or a JSONL file")
flags.DEFINE_integer("probe_sets", None, "first replicate sets of the probes only")
flags.DEFINE_integer(
    "csr_every",
    _OF["csr_every"],
    "steps between CSR steps: lambda acts on one step in so many",
)
flags.DEFINE_float(
    "csr_variance",
    _OF["csr_variance"],
    "share of the target domain's variance that is free to change",
)
flags.DEFINE_string(
    "csr_target", _OF["csr_target"], "domain of the probes that is free to change"
)
flags.DEFINE_bool(
    "csr_centred",
    _OF["csr_centred"],
    "take the mean out before the target's subspace is fitted (the paper does not)",
)
flags.DEFINE_string(
    "csr_probes",
    _OF["csr_probes"],
    "probe set of the penalty: triad, hexad or a JSONL file",
)
flags.DEFINE_integer(
    "measure_steps", _OF["measure_steps"], "steps between measurements"
)
flags.DEFINE_integer("save_steps", _OF["save_steps"], "steps between checkpoints")


def given(*more: str) -> dict:
    """The settings given on the command line, by name; more: further flags that are fields of `Run`."""
    names = [f.name for f in FLAGS.flags_by_module_dict()[__name__]]
    return {name: FLAGS[name].value for name in (*names, *more) if FLAGS[name].present}
