"""Whether all weights of a model can be trained in the memory that is free."""

from jax.sharding import Mesh

from jaxent.decode import plan
from jaxent.distributed import axes, processes
from jaxent.model import config as configs
from jaxent.model import transformer

PARAMETER_BYTES = 22
"""Bytes a parameter of a training step, activations not counted.

In float32 the weights, two moments, the sum of gradients and a micro-batch's gradient;
and the base, which measurements compare with, in bfloat16.
"""


def check_memory(config: configs.Config, mesh: Mesh | None) -> None:
    """Checks that a step that trains all weights has a chance to fit.

    Args:
      config: the model's.
      mesh: the devices; None for one.

    Raises:
      ValueError: base and training state alone are more than what is free.
    """
    parts = axes.axis_size(mesh, "embed") * axes.axis_size(mesh, "mlp")
    needed = PARAMETER_BYTES * transformer.parameter_count(config) / parts
    free = processes.all_min(plan.free_bytes())
    if needed > free:
        raise ValueError(
            f"--tuner=full needs {needed / 2**30:.1f} GiB on each of {parts} devices "
            f"({PARAMETER_BYTES} bytes a parameter, activations not counted), but "
            f"{free / 2**30:.1f} are free: expected a smaller model, more devices, or "
            "an adapter (--tuner=lora)"
        )
