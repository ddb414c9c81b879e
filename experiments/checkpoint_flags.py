"""Flags of the scripts that look at one checkpoint; `checkpoints.py` acts on them."""

import device_flags
from absl import flags

DTYPES = ["auto", "float32", "fp32", "bfloat16", "bf16"]
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_string("adapter", None, "PEFT adapter folder")
flags.DEFINE_enum(
    "preset",
    "paper",
    ["paper", "tiny"],
    "paper: the published settings; tiny: the embedded checkpoint, small settings",
)
flags.DEFINE_bool(
    "load_in_4bit",
    True,
    "NF4 with double quantisation; otherwise the checkpoint's own weights",
)
flags.DEFINE_enum(
    "dtype",
    "auto",
    DTYPES,
    "arithmetic; auto is float32 on a CPU and bfloat16 elsewhere",
)
flags.adopt_module_key_flags(device_flags)


def dtype() -> str | None:
    """The dtype that --dtype names, under its full name; None for auto."""
    names = {"auto": None, "fp32": "float32", "bf16": "bfloat16"}
    return names.get(flags.FLAGS.dtype, flags.FLAGS.dtype)
