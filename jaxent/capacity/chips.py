"""Accelerators as their makers publish them, and the slices and nodes they come in."""

import dataclasses
import math
import re


@dataclasses.dataclass(frozen=True)
class Chip:
    """One kind of accelerator.

    peak: dense bfloat16 FLOPs a second.
    memory: bytes that a program may use.
    bandwidth: of that memory, bytes a second.
    link: bytes a second that a chip receives over all its links to others.
    axes: of a slice, None for a node of GPUs.
    """

    name: str
    peak: float
    memory: float
    bandwidth: float
    link: float
    axes: int | None


CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", 197e12, 15.75 * 2**30, 819e9, 200e9, 2),
        Chip("v5p", 459e12, 95.74 * 2**30, 2765e9, 600e9, 3),
        Chip("v6e", 918e12, 31.25 * 2**30, 1600e9, 400e9, 2),
        Chip("h100", 989e12, 80e9, 3350e9, 450e9, None),
        Chip("h200", 989e12, 141e9, 4800e9, 450e9, None),
        Chip("a100", 312e12, 80e9, 2039e9, 300e9, None),
        Chip("l4", 121e12, 24e9, 300e9, 32e9, None),
        Chip("rtx4090", 165e12, 24e9, 1008e9, 32e9, None),
    )
}
"""Chips by name.

TPUs: docs.cloud.google.com/tpu/docs/v5e, v5p and v6e (16, 95 and 32 GB; 1600, 4800 and
3200 Gbit/s between chips), memory as libtpu 0.0.42.1 states it where it refuses a
program. GPUs: NVIDIA's data sheets (H100, H200 and A100 80 GB: SXM, NVLink both ways
halved; L4 and RTX 4090: PCIe 4.0 x16; bfloat16 without sparsity, half of what is
printed with it).
"""


_SLICES = {
    2: ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16)),
    3: (
        (2, 2, 1),
        (2, 2, 2),
        (2, 2, 4),
        (2, 4, 4),
        (4, 4, 4),
        (4, 4, 8),
        (4, 8, 8),
        (8, 8, 8),
    ),
}
"""Google's usual slice of each number of chips, by number of axes."""

DESCRIBED = ("h100", "h200")
"""GPUs that `gpu_target` describes, for which programs can be compiled."""


def gpu_target(chip: Chip) -> str:
    """A Hopper GPU described for XLA, so that it compiles for it where there is none.

    Returns:
        A GpuTargetConfigProto in text form.
    """
    device = {
        "core_count": 132,
        "fpus_per_core": 128,
        "threads_per_warp": 32,
        "threads_per_block_limit": 1024,
        "threads_per_core_limit": 2048,
        "shared_memory_per_block": 48 * 2**10,
        "shared_memory_per_block_optin": 227 * 2**10,
        "shared_memory_per_core": 228 * 2**10,
        "registers_per_core_limit": 2**16,
        "registers_per_block_limit": 2**16,
        "block_dim_limit_x": 2**31 - 1,
        "block_dim_limit_y": 2**16 - 1,
        "block_dim_limit_z": 2**16 - 1,
        "l2_cache_size": 50 * 2**20,
        "clock_rate_ghz": 1.98,
        "memory_bandwidth": int(chip.bandwidth),
        "device_memory_size": int(chip.memory),
        "cuda_compute_capability": "{ major: 9 }",
    }
    fields = " ".join(
        f"{name} {value}" if "{" in str(value) else f"{name}: {value}"
        for name, value in device.items()
    )
    described = f'device_description_str: "NVIDIA {chip.name.upper()}"'
    version = "dnn_version_info { major: 9 minor: 10 }"
    return f'gpu_device_info {{ {fields} }} platform_name: "CUDA" {version} {described}'


@dataclasses.dataclass(frozen=True)
class Topology:
    """A slice of TPUs (v5e:4x4, v5p:2x2x4) or a node of GPUs (h100:8)."""

    chip: Chip
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def size(self) -> int:
        """Number of chips."""
        return math.prod(self.shape)

    @property
    def tpu(self) -> bool:
        """Whether the chips are TPUs."""
        return self.chip.axes is not None


def parse_topology(text: str) -> Topology:
    """The topology of a chip and a shape, or of Google's name of a slice.

    Args:
        text: "v5e:4x4", "v5p:2x2x4", "h200:8"; "v5e-16", "v6e-8" (a number of chips);
            "v5p-32" (a number of cores, two a chip).

    Raises:
        ValueError: where it is none.

    Example:
        >>> parse_topology("v5e:4x4") == parse_topology("v5e-16")
        True
        >>> str(parse_topology("v5p-32"))
        'v5p:2x2x4'
    """
    match = re.fullmatch(r"(\w+)([:-])([1-9]\d*(?:x[1-9]\d*)*)", text)
    chip = CHIPS.get(match[1]) if match else None
    if match is None or chip is None:
        raise ValueError(
            f"topology {text!r}: expected chip:shape with a chip out of "
            f"{', '.join(CHIPS)}, as v5e:4x4, v5p:2x2x4 or h100:8, or v5e-16"
        )
    if match[2] == "-":
        return Topology(chip, _named_slice(chip, match[3], text))
    shape = tuple(map(int, match[3].split("x")))
    if len(shape) != (chip.axes or 1):
        raise ValueError(
            f"topology {text!r}: found {len(shape)} axes, expected {chip.axes or 1} "
            f"for {chip.name}"
        )
    return Topology(chip, shape)


def _named_slice(chip: Chip, number: str, text: str) -> tuple[int, ...]:
    """The shape of Google's slice of a number of chips (v5p: of cores, two a chip)."""
    if chip.axes is None:
        raise ValueError(f"topology {text!r}: expected {chip.name}:{number}")
    cores_a_chip = 2 if chip.name == "v5p" else 1
    slices = {cores_a_chip * math.prod(s): s for s in _SLICES[chip.axes]}
    if not number.isdigit() or int(number) not in slices:
        known = ", ".join(f"{chip.name}-{n}" for n in slices)
        raise ValueError(f"topology {text!r}: expected one of {known}, or chip:shape")
    return slices[int(number)]
