"""What scripts do about devices and processes, by `device_flags` and `seed_flags`."""

from absl import flags

from jaxent.distributed import axes, processes

FLAGS = flags.FLAGS


def check() -> None:
    """Raises ValueError for a bad --mesh, or one that lacks the seed axis it needs."""
    if FLAGS.mesh in (None, "none"):
        seeds = 1
    else:
        seeds = axes.parse_axis_sizes(FLAGS.mesh)["seed"]
    if _seed_mode() == "sharded" and seeds == 1:
        raise ValueError(
            f"--seed_mode=sharded with --mesh={FLAGS.mesh}: expected a mesh with a "
            "seed axis, such as seed:2,fsdp:4"
        )


def start() -> None:
    """Joins the other processes, if there are any, before JAX is used for anything."""
    check()
    processes.initialize()


def only_one(script: str) -> None:
    """Raises ValueError where a script that runs on one device is given several."""
    if FLAGS.mesh not in (None, "none") or _seed_mode() != "sequential":
        raise ValueError(
            f"--mesh={FLAGS.mesh} --seed_mode={_seed_mode()}: {script} runs on one "
            "device, seed by seed; expected neither flag"
        )


def seeds_together() -> bool:
    """Whether the seeds of one cell share every step."""
    return _seed_mode() != "sequential"


def _seed_mode() -> str:
    return FLAGS.seed_mode if "seed_mode" in FLAGS else "sequential"
