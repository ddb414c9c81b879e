"""Flags of where a script runs: every script takes them, and every process of a program calls `start` before anything else."""

from absl import flags

from jaxent.distributed import axes, processes

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "mesh",
    None,
    "devices by axis (seed, data, fsdp, tensor), such as data:2,fsdp:4,tensor:2, or none "
    "(default: over all accelerators, as much fsdp as splits the model; none on one device or a CPU)",
)
SEED_MODES = ("sequential", "vmap", "sharded")
flags.DEFINE_enum(
    "seed_mode",
    "sequential",
    SEED_MODES,
    "seeds of one cell one after the other, in one step, or in one step split over the mesh's seed axis",
)


def check() -> None:
    """ValueError for a --mesh that is none, or without a seed axis where seeds are to be split over it."""
    seeds = (
        1 if FLAGS.mesh in (None, "none") else axes.parse_axis_sizes(FLAGS.mesh)["seed"]
    )
    if FLAGS.seed_mode == "sharded" and seeds == 1:
        raise ValueError(
            f"--seed_mode=sharded with --mesh={FLAGS.mesh}: expected a mesh with a seed axis, such as seed:2,fsdp:4"
        )


def start() -> None:
    """Joins the other processes, if there are any; before anything else of JAX is used."""
    check()
    processes.initialize()


def only_one(script: str) -> None:
    """ValueError where a script that runs on one device is given several."""
    if FLAGS.mesh not in (None, "none") or FLAGS.seed_mode != "sequential":
        raise ValueError(
            f"--mesh={FLAGS.mesh} --seed_mode={FLAGS.seed_mode}: {script} runs on one device, seed by seed; expected neither flag"
        )


def seeds_together() -> bool:
    return FLAGS.seed_mode != "sequential"
