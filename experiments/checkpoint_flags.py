"""Flags of the scripts that look at one checkpoint, with or without an adapter, and what they begin with."""

import time

import device_flags
from absl import flags, logging

from jaxent.checkpoint import hf, peft
from jaxent.distributed import processes
from jaxent.model import sharding, transformer
from jaxent.runs import spec as specs
from jaxent.runs import validate

FLAGS = flags.FLAGS
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
    None,
    ["float32", "bfloat16"],
    "arithmetic (default: float32 on CPU, else bfloat16)",
)
flags.adopt_module_key_flags(device_flags)


def begin(tiny: dict, paper: dict = {}) -> float:
    """Makes the preset's flags (flag: value) the defaults, the embedded checkpoint under tiny; returns `time.perf_counter()`.

    A flag given on the command line stays as given. ValueError without --model, or --output_dir where the script has it.
    """
    started = time.perf_counter()
    logging.set_verbosity(logging.WARNING)
    for flag, value in (
        {"model": specs.TINY_MODEL} | tiny if FLAGS.preset == "tiny" else paper
    ).items():
        if not FLAGS[flag].present:
            setattr(FLAGS, flag, value)
    for name in ("model", "output_dir"):
        if name in FLAGS and not FLAGS[name].value:
            raise ValueError(f"--{name} is missing (or use --preset=tiny)")
    return started


def opened():
    """(the `validate.Checkpoint`, the adapter, None without --adapter)."""
    found = validate.open_checkpoint(FLAGS.model)
    adapter = peft.load_adapter(FLAGS.adapter, found.config) if FLAGS.adapter else None
    return found, adapter


def loaded(found: validate.Checkpoint, adapter, mesh):
    """(the model, the adapter, the arithmetic), on the mesh if there is one."""
    model = hf.load(
        str(found.folder),
        FLAGS.load_in_4bit,
        progress=processes.is_primary(),
        mesh=mesh,
    )
    adapter = (
        sharding.shard_adapter(adapter, mesh)
        if mesh is not None and adapter is not None
        else adapter
    )
    return model, adapter, transformer.default_compute(FLAGS.dtype, mesh)


def mesh(found: validate.Checkpoint):
    """The mesh, None without one; ValueError where --mesh does not split the model."""
    return sharding.choose_mesh(
        hf.abstract_model(found.config, FLAGS.load_in_4bit), FLAGS.mesh
    )
