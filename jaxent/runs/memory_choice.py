"""What a training run keeps in memory so that it need not compute it again."""

import dataclasses
import os
import pathlib

import jax

from jaxent.arrays import lora
from jaxent.data import batches
from jaxent.model import blocks, transformer
from jaxent.model import config as configs
from jaxent.runs import cost
from jaxent.runs import spec as specs

_SHARE = 0.5  # of a device's memory, that a run plans for
_SMALL = 16_000_000  # parameters; compiling a smaller model takes longer than padding
_CGROUP = pathlib.Path("/sys/fs/cgroup/memory.max")


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a training run keeps.

    Attributes:
      remat: "none" where a layer's activations are kept, else "full".
      decoded: whether the base is decoded once a run instead of at every use.
      lengths: lengths of rows; None: all rows have the run's own length.
    """

    remat: str
    decoded: bool
    lengths: tuple[int, ...] | None


def device_memory() -> int:
    """Bytes of one device: the accelerator's, or this machine's over its CPU devices.

    A limit of a control group counts. What is free at the moment does not, so that a
    resumed run decides as it did before.
    """
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return int((device.memory_stats() or {}).get("bytes_limit", 0))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if _CGROUP.exists() and _CGROUP.read_text().strip().isdecimal():
        total = min(total, int(_CGROUP.read_text()))
    return total // jax.local_device_count()


def kept_bytes(run: specs.RunSpec, config: configs.Config, tokens: int) -> int:
    """Bytes of the activations that a pass of so many tokens keeps without remat.

    A layer keeps a token's input, its residual after attention, queries, keys, values,
    what attention gives, gate and up projection, softmax's norm of each head, and the
    adapter's thin products.
    """
    shapes = blocks.linear_shapes(config)
    size = transformer.default_compute(run.dtype).dtype.itemsize
    outputs = sum(shapes[m][1] for m in lora.MODULES if m != "down_proj")
    thin = 0 if run.tuner == "full" else run.lora_r * len(run.lora_target_modules)
    layer = size * (config.embed + outputs + shapes["o_proj"][0] + thin)
    return tokens * config.layers * (layer + 4 * config.heads)


def decoded_bytes(run: specs.RunSpec, config: configs.Config) -> int:
    """Bytes of the model with every weight in the dtype of the arithmetic."""
    size = transformer.default_compute(run.dtype).dtype.itemsize
    return size * transformer.parameter_count(config)


def choose(
    run: specs.RunSpec,
    config: configs.Config,
    length: int,
    seeds: int = 1,
    devices: int = 1,
    memory: int | None = None,
) -> Choice:
    """What fits half of a device's memory: activations first, then the decoded base.

    Args:
      run: the run; its remat and decode_base decide where they are not "auto".
      config: the model's configuration.
      length: tokens an example at most.
      seeds: runs that share every step.
      devices: over which a mesh splits model and rows.
      memory: bytes of one device; None: as this machine says.

    Returns:
      The choice.

    Example:
      >>> from jaxent.model import known_configs
      >>> config = known_configs.require_config("Qwen/Qwen2.5-Coder-7B")
      >>> run = specs.RunSpec("Qwen/Qwen2.5-Coder-7B", dtype="bfloat16")
      >>> choose(run, config, 2048, memory=80 << 30).remat
      'none'
      >>> choose(run, config, 2048, memory=16 << 30).remat
      'full'
    """
    memory = device_memory() if memory is None else memory
    lengths = _row_lengths(run, config, length) if seeds * devices == 1 else None
    tokens = run.micro_batch_size * max((length, *(lengths or ()))) * seeds
    held = cost.run_cost(run, config).memory / devices
    kept = kept_bytes(run, config, tokens)
    remat = run.remat
    if remat == "auto":
        remat = "none" if held + kept <= _SHARE * memory else "full"
    is_cpu_alone = devices == 1 and jax.default_backend() == "cpu"
    has_base = run.tuner != "full"
    decoded = has_base and run.decode_base == "once"
    if has_base and run.decode_base == "auto" and is_cpu_alone:
        # No accelerator was timed; there the base stays NF4.
        total = held + kept * (remat == "none") + decoded_bytes(run, config)
        decoded = total <= _SHARE * memory
    return Choice(remat, decoded, lengths)


def _row_lengths(run, config, length: int) -> tuple[int, ...] | None:
    """Lengths of rows of a run alone on one device, or None for one length."""
    small = transformer.parameter_count(config) < _SMALL
    if small or not run.packing or run.micro_batch_size > 1:
        return None
    return batches.row_lengths(length)


def describe(choice: Choice, run: specs.RunSpec, config: configs.Config) -> str:
    """A line that says what a run keeps.

    Example:
      >>> from jaxent.model import known_configs
      >>> config = known_configs.require_config("Qwen/Qwen3-0.6B")
      >>> run = specs.RunSpec("Qwen/Qwen3-0.6B")
      >>> describe(Choice("full", False, None), run, config)
      'Training recomputes activations, decodes the base at every use.'
    """
    activations = "keeps" if choice.remat == "none" else "recomputes"
    parts = [f"{activations} activations"]
    if choice.decoded:
        parts.append(
            f"decodes the base once ({decoded_bytes(run, config) / 1e9:.1f} GB)"
        )
    else:
        parts.append("decodes the base at every use")
    if choice.lengths:
        lengths = ", ".join(map(str, choice.lengths))
        parts.append(f"cuts rows to {lengths} tokens (each compiled when first met)")
    return f"Training {', '.join(parts)}."
