"""Flags that the studies share; `studies.py` acts on them."""

import device_flags
import run_flags
import seed_flags
from absl import flags

flags.DEFINE_enum(
    "preset",
    "paper",
    ["paper", "tiny"],
    "paper: the published models and settings; tiny: the embedded ones",
)
flags.DEFINE_list(
    "models", None, "checkpoint folders or Hub ids instead of the preset's"
)
flags.DEFINE_alias("model", "models")
flags.DEFINE_list("seeds", None, "seeds instead of the study's")
flags.DEFINE_string(
    "output_dir",
    "runs",
    "folder of all runs; a study's own results go to a folder of its name in it",
)
flags.DEFINE_bool("dry_run", False, "print the runs with their cost and stop")
flags.DEFINE_float(
    "teraflops",
    None,
    "with --dry_run: sustained TFLOP/s for the estimate (default: measured here)",
)
flags.adopt_module_key_flags(run_flags)
flags.adopt_module_key_flags(seed_flags)
flags.adopt_module_key_flags(device_flags)
