"""Loads a checkpoint on four processes and prints what this one read and holds."""

import sys

import numpy as np

from jaxent.distributed import axes, processes

processes.initialize()

from jaxent.checkpoint import hf, safetensors_folder
from jaxent.data import batches
from jaxent.train import step

read, linear, total = safetensors_folder.Folder.read, [0], [0]


def traced(self, name, part=()):
    """Reads a tensor and counts its bytes."""
    tensor = read(self, name, part)
    total[0] += tensor.nbytes
    if name.startswith("model.layers") and "proj.weight" in name:
        linear[0] += tensor.nbytes
    return tensor


safetensors_folder.Folder.read = traced
mesh = axes.parse_mesh("fsdp:2,tensor:2")
model = hf.load(sys.argv[1], mesh=mesh)
modules = ("gate_proj", "up_proj", "down_proj")
weights = [getattr(model.layers.mlp, name).weight.get_value() for name in modules]
arrays = [x for w in weights for x in (w.codes, w.scales)]
held = sum(s.data.nbytes for x in arrays for s in x.addressable_shards)
print("READ", linear[0], total[0], held)

mine = step.addressable_rows(16, 4, mesh)
print("ROWS", "".join("01"[row] for row in mine.astype(int)))

examples = [np.arange(2 + row, 40) for row in range(16)]
whole, part = (
    step.shard_batch(batches.pad(examples, 40, 16, rows)[0], 4, mesh)
    for rows in (None, mine)
)
shards = [
    (a.data, b.data)
    for x, y in zip(whole, part)
    for a, b in zip(x.addressable_shards, y.addressable_shards)
]
print("SAME", all(bool((a == b).all()) for a, b in shards))
