"""Flags of where a script runs: every script takes them, and every process of a program calls `start` before anything else."""

from absl import flags
from jax.sharding import Mesh

from jaxent.arrays import axes, processes

FLAGS = flags.FLAGS
flags.DEFINE_string("mesh", None, "devices by axis (seed, data, fsdp, tensor), such as data:2,fsdp:4,tensor:2, or none "
                    "(default: fsdp over all accelerators; none on one device or a CPU)")  # fmt: skip
SEED_MODES = ("sequential", "vmap", "sharded")
flags.DEFINE_enum("seed_mode", "sequential", SEED_MODES,
                  "seeds of one cell one after the other, in one step, or in one step split over the mesh's seed axis")  # fmt: skip


def start() -> Mesh | None:
    """Joins the other processes, if there are any; the mesh."""
    processes.start()
    mesh = axes.choose(FLAGS.mesh)
    if FLAGS.seed_mode == "sharded" and axes.ways(mesh, "seed") == 1:
        raise ValueError(f"--seed_mode=sharded with --mesh={FLAGS.mesh}: expected a mesh with a seed axis, such as seed:2,fsdp:4")
    return mesh


def only_one(script: str) -> None:
    """ValueError where a script that runs on one device is given several."""
    if FLAGS.mesh not in (None, "none") or FLAGS.seed_mode != "sequential":
        raise ValueError(f"--mesh={FLAGS.mesh} --seed_mode={FLAGS.seed_mode}: {script} runs on one device, seed by seed; expected neither flag")


def seeds_together() -> bool:
    return FLAGS.seed_mode != "sequential"
