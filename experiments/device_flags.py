"""Flags of where a script runs; `devices.py` acts on them."""

from absl import flags

flags.DEFINE_string(
    "mesh",
    None,
    "devices by axis (seed, data, fsdp, tensor), such as data:2,fsdp:4,tensor:2; -1 "
    "for what is left; or none. Without it: over all accelerators, as much fsdp as "
    "splits the model, and none on one device or a CPU",
)
