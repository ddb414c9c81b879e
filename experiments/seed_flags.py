"""The flag of how several seeds are trained."""

from absl import flags

SEED_MODES = ("sequential", "vmap", "sharded")
flags.DEFINE_enum(
    "seed_mode",
    "sequential",
    SEED_MODES,
    "seeds of one cell one after the other, in one step, or in one step split over "
    "the mesh's seed axis",
)
