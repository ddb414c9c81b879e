"""Flags of how a base model's weights are held and computed with."""

from absl import flags

NAMES = ("load_in_4bit", "dtype")
flags.DEFINE_bool(
    "load_in_4bit",
    True,
    "NF4 with double quantisation; otherwise the checkpoint's own weights",
)
flags.DEFINE_enum(
    "dtype",
    "auto",
    ["auto", "float32", "fp32", "bfloat16", "bf16"],
    "arithmetic; auto is float32 on a CPU and bfloat16 elsewhere",
)


def dtype() -> str | None:
    """The dtype that --dtype names, under its full name; None for auto."""
    names = {"auto": None, "fp32": "float32", "bf16": "bfloat16"}
    return names.get(flags.FLAGS.dtype, flags.FLAGS.dtype)
