"""What scripts that look at one checkpoint begin with, by `checkpoint_flags`."""

import time

import weight_flags
from absl import flags

from jaxent.arrays import lora
from jaxent.checkpoint import hf, peft
from jaxent.distributed import processes
from jaxent.model import sharding, transformer
from jaxent.runs import spec as specs
from jaxent.runs import validate

FLAGS = flags.FLAGS


def begin(tiny: dict, paper: dict | None = None) -> float:
    """Makes the preset's settings the defaults of their flags.

    A flag given on the command line keeps its value.

    Args:
        tiny: flag to value under --preset=tiny, besides the embedded checkpoint.
        paper: flag to value under --preset=paper.

    Returns:
        `time.perf_counter()` at the start.

    Raises:
        ValueError: without --model, or --output_dir where the script has it.
    """
    started = time.perf_counter()
    is_tiny = FLAGS.preset == "tiny"
    defaults = {"model": specs.TINY_MODEL} | tiny if is_tiny else paper or {}
    for flag, value in defaults.items():
        if not FLAGS[flag].present:
            setattr(FLAGS, flag, value)
    for name in ("model", "output_dir"):
        if name in FLAGS and not FLAGS[name].value:
            raise ValueError(f"--{name} is missing (or use --preset=tiny)")
    return started


def open_all() -> tuple[validate.Checkpoint, lora.Adapter | None]:
    """The checkpoint's folder, configuration and tokenizer, and the adapter, if any."""
    checkpoint = validate.open_checkpoint(FLAGS.model)
    if not FLAGS.adapter:
        return checkpoint, None
    return checkpoint, peft.load_adapter(FLAGS.adapter, checkpoint.config, FLAGS.model)


def load(checkpoint: validate.Checkpoint, adapter: lora.Adapter | None, mesh):
    """The model, the adapter and the arithmetic, on the mesh if there is one."""
    model = hf.load(
        str(checkpoint.folder),
        FLAGS.load_in_4bit,
        progress=processes.is_primary(),
        mesh=mesh,
    )
    if mesh is not None and adapter is not None:
        adapter = sharding.shard_adapter(adapter, mesh)
    compute = transformer.default_compute(weight_flags.dtype(), mesh)
    return model, adapter, compute


def choose_mesh(checkpoint: validate.Checkpoint):
    """The mesh, None without one; ValueError where --mesh does not split the model."""
    model = hf.abstract_model(checkpoint.config, FLAGS.load_in_4bit)
    return sharding.choose_mesh(model, FLAGS.mesh)
