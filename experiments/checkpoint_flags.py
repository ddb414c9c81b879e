"""Flags of the scripts that look at one checkpoint; `checkpoints.py` acts on them."""

import device_flags
import revision_flags
import weight_flags
from absl import flags

flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_string(
    "adapter", None, "run folder, PEFT adapter or fine-tuned copy of the model"
)
flags.DEFINE_enum(
    "preset",
    "paper",
    ["paper", "tiny"],
    "paper: the published settings; tiny: the embedded checkpoint, small settings",
)
flags.adopt_module_key_flags(revision_flags)
flags.adopt_module_key_flags(weight_flags)
flags.adopt_module_key_flags(device_flags)
