"""The flag of which state of a model is read, for every script that takes --model."""

from absl import flags

flags.DEFINE_string("revision", None, "branch, tag or commit of a model of the Hub")
