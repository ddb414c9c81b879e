"""What scripts that look at one checkpoint begin with, by `checkpoint_flags`."""

import time

import weight_flags
from absl import flags

from jaxent.checkpoint import full_weights, hf
from jaxent.distributed import processes
from jaxent.model import sharding, trained, transformer
from jaxent.runs import folder as run_folder
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
    if FLAGS.adapter:
        FLAGS.adapter = run_folder.find_trained(FLAGS.adapter)
    for name in ("model", "output_dir"):
        if name in FLAGS and not FLAGS[name].value:
            raise ValueError(f"--{name} is missing (or use --preset=tiny)")
    return started


def open_all() -> tuple[validate.Checkpoint, trained.Trained | None]:
    """The checkpoint's folder, configuration and tokenizer, and what --adapter names.

    That is None, an adapter, or all weights of a fine-tuned copy.

    Raises:
        ValueError: they do not fit each other, or the base of all weights would be
            quantised: what they moved could not be told from quantisation.
    """
    checkpoint = validate.open_checkpoint(FLAGS.model, FLAGS.revision)
    if not FLAGS.adapter:
        return checkpoint, None
    tuned = full_weights.load_trained(FLAGS.adapter, checkpoint.config, FLAGS.model)
    if isinstance(tuned, trained.FullWeights) and FLAGS.load_in_4bit:
        raise ValueError(
            f"--adapter {FLAGS.adapter} is a whole model beside a 4-bit base: expected "
            "--noload_in_4bit"
        )
    return checkpoint, tuned


def load(checkpoint: validate.Checkpoint, adapter: trained.Trained | None, mesh):
    """The base, what was trained, and the arithmetic, on the mesh if there is one."""
    model = hf.load(
        str(checkpoint.folder),
        FLAGS.load_in_4bit,
        progress=processes.is_primary(),
        mesh=mesh,
    )
    if mesh is not None and adapter is not None:
        adapter = trained.shard(adapter, mesh)
    compute = transformer.default_compute(weight_flags.dtype(), mesh)
    return model, adapter, compute


def choose_mesh(checkpoint: validate.Checkpoint):
    """The mesh, None without one; ValueError where --mesh does not split the model."""
    model = hf.abstract_model(checkpoint.config, FLAGS.load_in_4bit)
    return sharding.choose_mesh(model, FLAGS.mesh)
