"""Flags of evaluate.py, and those of them that decide a sample."""

import checkpoint_flags
import weight_flags
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_enum(
    "weights",
    "nf4",
    ["nf4", "dequantized", "merged"],
    "nf4: as trained; dequantized: the same values, decoded once; merged: the adapter "
    "added in",
)
flags.DEFINE_enum(
    "benchmark", "humaneval", ["humaneval", "mbpp"], "whose problems, + tests included"
)
flags.DEFINE_string(
    "problems",
    None,
    "HumanEvalPlus.jsonl, MbppPlus.jsonl or a file in their format (default: what "
    "evalplus downloads; with --preset=tiny eight embedded problems)",
)
flags.DEFINE_enum(
    "prompt_format",
    "raw",
    ["raw", "chat"],
    "raw: the prompt is completed; chat: EvalPlus's question and begun answer, in the "
    "tokenizer's chat template",
)
flags.DEFINE_bool(
    "likelihood", True, "measure nats a byte of the canonical solutions too"
)
flags.DEFINE_bool(
    "generate", True, "generate and score; --nogenerate measures the likelihood only"
)
flags.DEFINE_integer("limit", None, "first problems only; every output says so")
flags.DEFINE_integer("max_new_tokens", 768, "new tokens a problem")
flags.DEFINE_float("temperature", 0.0, "0: greedy")
flags.DEFINE_float("top_p", 1.0, "share of the probability that is sampled from")
flags.DEFINE_integer("n_samples", 1, "samples a problem, for pass@k")
flags.DEFINE_integer("seed", 0, "seed of sampling")
flags.DEFINE_float("min_time_limit", 10.0, "seconds a test may take at least")
flags.DEFINE_float(
    "gt_time_limit_factor", 20.0, "times the canonical solution's time a test may take"
)
flags.DEFINE_bool("score", True, "score the samples; --noscore only generates them")
flags.DEFINE_bool(
    "allow_unsandboxed",
    False,
    "run generated programs without the protections this system lacks",
)
flags.adopt_module_key_flags(checkpoint_flags)

SETTINGS = (
    "model",
    "revision",
    "adapter",
    "weights",
    "load_in_4bit",
    "dtype",
    "max_new_tokens",
    "temperature",
    "top_p",
    "n_samples",
    "benchmark",
    "prompt_format",
)
"""Flags that decide a sample, recorded with the results."""


def settings() -> dict:
    """The values of `SETTINGS`, dtype under its full name and None for auto."""
    values = {name: FLAGS[name].value for name in SETTINGS}
    return values | {"dtype": weight_flags.dtype()}
