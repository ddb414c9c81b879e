"""Flags of data of one's own."""

from absl import flags

NAMES = (
    "dataset",
    "dataset_revision",
    "domain",
    "mixture",
    "text_column",
    "prompt_column",
    "completion_column",
    "messages_column",
    "loss_on",
    "streaming",
)
flags.DEFINE_string(
    "dataset",
    None,
    "data of your own: a .jsonl, .json, .parquet, .csv, .tsv or .txt file, a folder of "
    "such files, or a Hub id with or without :config",
)
flags.DEFINE_string(
    "dataset_revision", None, "branch, tag or commit of a --dataset of the Hub"
)
flags.DEFINE_multi_string(
    "domain",
    [],
    "NAME=PATH of a domain of --mixture, repeatable; options of this domain alone "
    "follow as ,text_column=..., ,prompt_column=..., ,completion_column=..., "
    ",messages_column=..., ,loss_on=... and ,revision=...",
)
flags.DEFINE_string(
    "mixture",
    None,
    "DOMAIN:PERCENTAGE,... instead of --condition, such as code:70,law:30; a domain is "
    "one of --domain, 'own' for --dataset, or code, math, natural or creative",
)
flags.DEFINE_string("text_column", None, "column of texts (default: text)")
flags.DEFINE_string("prompt_column", None, "column of prompts (default: prompt)")
flags.DEFINE_string(
    "completion_column", None, "column of completions (default: completion)"
)
flags.DEFINE_string(
    "messages_column",
    None,
    "column of conversations for the chat template (default: messages)",
)
flags.DEFINE_enum(
    "loss_on",
    None,
    ["all", "completion"],
    "tokens that are learned (default: completions and assistant's turns where there "
    "are any, else all)",
)
flags.DEFINE_bool(
    "streaming", False, "read as training goes, for what does not fit the disk"
)
