"""Meshes of devices, and how arrays are split over them.

One table, `RULES`, maps the logical axes of arrays to the axes of the mesh:

seed     runs that differ in their seed; everything but the base model is split
data     rows of a batch; every group of devices holds all weights
fsdp     rows of a batch, and weights, each split along its embedding axis
tensor   heads, hidden units of the MLP and the vocabulary
"""

import math
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from jaxent.arrays import nf4

_MeshAxes = str | tuple[str, ...] | None

AXES = ("seed", "data", "fsdp", "tensor")
RULES: dict[str, _MeshAxes] = {
    "seed": "seed",
    "batch": ("data", "fsdp"),
    "replica": "data",
    "embed": "fsdp",
    "heads": "tensor",
    "kv_heads": "tensor",
    "mlp": "tensor",
    "vocab": "tensor",
    "layer": None,
}
"""Logical axis of an array -> mesh axis or axes it is split over (None: not split)."""


def parse_axis_sizes(text: str, devices: int | None = None) -> dict[str, int]:
    """Sizes of the mesh axes in a text such as "data:2,tensor:4".

    Args:
        text: axis:size pairs separated by commas. Axes that are not named have size 1.
        devices: number of devices. If given, one size may be -1: it becomes what the
            other sizes leave of the devices.

    Returns:
        The size of every axis of `AXES`.

    Raises:
        ValueError: an unknown or repeated axis, or a size that is not understood.

    Example:
        >>> parse_axis_sizes("data:2,tensor:4")
        {'seed': 1, 'data': 2, 'fsdp': 1, 'tensor': 4}
        >>> parse_axis_sizes("data:2,fsdp:-1", devices=8)
        {'seed': 1, 'data': 2, 'fsdp': 4, 'tensor': 1}
    """
    sizes = dict.fromkeys(AXES, 1)
    rest = None
    for part in text.split(","):
        name, _, number = part.partition(":")
        is_rest = number == "-1" and devices is not None and rest is None
        is_size = number.isdigit() and int(number) >= 1
        if name not in AXES or not (is_rest or is_size) or sizes[name] != 1:
            raise ValueError(
                f"mesh {text!r}: found {part!r}, expected axis:size with distinct axes "
                f"out of {', '.join(AXES)}, as data:2,tensor:4"
            )
        sizes[name] = int(number)
        rest = name if is_rest else rest
    if rest is not None and devices is not None:
        sizes[rest] = devices // -math.prod(sizes.values())
        if math.prod(sizes.values()) != devices:
            raise ValueError(
                f"mesh {text!r}: {rest}:-1 takes the rest of {devices} devices, "
                "expected other sizes whose product divides that number"
            )
    return sizes


def parse_mesh(text: str) -> Mesh:
    """The mesh of a text such as "data:2,tensor:4" over all devices.

    Args:
        text: axis:size pairs; one size may be -1, the rest of the devices.

    Returns:
        A mesh with the axes `AXES`.

    Raises:
        ValueError: the sizes are not understood or do not use every device.

    Example:
        >>> mesh = parse_mesh("fsdp:-1")
        >>> mesh.shape["fsdp"] == jax.device_count()
        True
    """
    devices = jax.devices()
    sizes = parse_axis_sizes(text, len(devices))
    if math.prod(sizes.values()) != len(devices):
        product = " x ".join(map(str, sizes.values()))
        raise ValueError(
            f"mesh {text!r} takes {product} devices, but there are {len(devices)}: "
            "expected as many"
        )
    return create_mesh(sizes, devices)


def create_mesh(sizes: dict[str, int], devices) -> Mesh:
    """The mesh with these sizes over these devices.

    An axis may take a part of a physical axis of a TPU slice, as data:8 does on a slice
    of 2x2x4.

    Args:
        sizes: size of each mesh axis, in order.
        devices: as many devices as the product of the sizes.

    Returns:
        A mesh whose axes are all `AxisType.Auto`.

    Example:
        >>> create_mesh({"data": 1, "tensor": 1}, jax.devices()[:1]).axis_names
        ('data', 'tensor')
    """
    grid = mesh_utils.create_device_mesh(
        tuple(sizes.values()), devices, allow_split_physical_axes=True
    )
    return Mesh(grid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def is_unsharded(text: str | None) -> bool:
    """Whether --mesh=text asks for no mesh.

    Args:
        text: "none" asks for no mesh. None, no flag, asks for none either if there is
            one process with one accelerator or with a CPU, whose devices share cores.

    Returns:
        True if arrays are to stay on one device.

    Raises:
        ValueError: "none" with several processes.
    """
    if text is None:
        one_device = jax.default_backend() == "cpu" or jax.device_count() == 1
        return jax.process_count() == 1 and one_device
    if text == "none" and jax.process_count() > 1:
        raise ValueError(
            f"--mesh=none with {jax.process_count()} processes: expected a mesh over "
            f"all their devices, such as fsdp:{jax.device_count()}"
        )
    return text == "none"


def _mesh_axes(rule: _MeshAxes) -> tuple[str, ...]:
    """An entry of `RULES` or of a PartitionSpec as a tuple."""
    if rule is None:
        return ()
    return (rule,) if isinstance(rule, str) else rule


def _mesh_size(mesh: Mesh | AbstractMesh, rule: _MeshAxes) -> int:
    """How many parts an entry of `RULES` or of a PartitionSpec makes."""
    return math.prod(mesh.shape[name] for name in _mesh_axes(rule))


def axis_size(mesh: Mesh | AbstractMesh | None, logical: str) -> int:
    """How many parts a logical axis is split into; 1 without a mesh."""
    if mesh is None:
        return 1
    return _mesh_size(mesh, RULES[logical])


def partition_spec(*logical: str | None) -> PartitionSpec:
    """The partition of an array with these logical axes (None: not split).

    Example:
        >>> tuple(partition_spec("batch", None, "heads"))
        (('data', 'fsdp'), None, 'tensor')
    """
    return PartitionSpec(*(None if name is None else RULES[name] for name in logical))


def named_sharding(mesh: Mesh | AbstractMesh, *logical: str | None) -> NamedSharding:
    """`partition_spec` on a mesh."""
    return NamedSharding(mesh, partition_spec(*logical))


def constrain(x: jax.Array, mesh: Mesh | None, *logical: str | None) -> jax.Array:
    """x constrained to the sharding of its logical axes; unchanged without a mesh."""
    if mesh is None:
        return x
    return jax.lax.with_sharding_constraint(x, named_sharding(mesh, *logical))


def gather_embed(value: Any, mesh: Mesh | None, *logical: str | None) -> Any:
    """A parameter as a matmul reads it, whole along "embed"; unchanged without a mesh.

    Of an NF4 weight its codes and scales are gathered, not the decoded values.
    """
    if mesh is None:
        return value
    gathered = tuple(None if name == "embed" else name for name in logical)
    shardings = param_shardings(value, mesh, gathered)
    return jax.lax.with_sharding_constraint(value, shardings)


def device_put_logical(x, mesh: Mesh | None, *logical: str | None):
    """A host array on the mesh, split by its logical axes; unchanged without a mesh.

    Args:
        x: array that is the same on every process.
        mesh: mesh of all processes' devices, or None.
        *logical: a logical axis of `RULES`, or None, for each axis of x.

    Returns:
        The array; each process copies its own parts only.
    """
    if mesh is None:
        return x
    return device_put_global(x, named_sharding(mesh, *logical))


def device_put_global(x, sharding: NamedSharding) -> jax.Array:
    """An array that every process has, sharded; each copies its own parts only."""
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def to_host(tree):
    """Arrays as numpy on every process.

    Arrays that are spread over several processes are gathered, one leaf at a time.
    """

    def fetch(x):
        if not isinstance(x, jax.Array):
            return np.asarray(x)
        is_local = x.is_fully_addressable or x.is_fully_replicated
        return np.asarray(x if is_local else _replicate(x))

    return jax.tree.map(fetch, tree)


def _replicate(x) -> jax.Array:
    """The array whole on every device of its mesh."""
    whole = NamedSharding(x.sharding.mesh, PartitionSpec())
    return jax.jit(lambda x: x, out_shardings=whole)(x)


def param_shardings(
    value: Any, mesh: Mesh | AbstractMesh, logical: tuple[str | None, ...]
) -> Any:
    """The shardings of a parameter.

    Args:
        value: an array, or an NF4 weight.
        mesh: mesh to split it over.
        logical: logical axes of the dense parameter.

    Returns:
        A NamedSharding, or an NF4 of two of them. An NF4 weight is split between blocks
        of 64 inputs. If the embedding axis is its inputs, whose blocks the mesh does
        not divide, its outputs are split instead. It is not split at all if its blocks
        straddle outputs.
    """
    if not isinstance(value, nf4.NF4):
        return named_sharding(mesh, *logical)
    *lead, inputs, outputs = logical
    k, n = _nf4_mesh_axes(value.shape, mesh, inputs, outputs)
    first = partition_spec(*lead)
    codes = NamedSharding(mesh, PartitionSpec(*first, k, None, n))
    scales = NamedSharding(mesh, PartitionSpec(*first, k, n))
    return nf4.NF4(codes, scales, value.shape)


def _nf4_mesh_axes(
    shape: tuple[int, int],
    mesh: Mesh | AbstractMesh,
    inputs: str | None,
    outputs: str | None,
) -> tuple[_MeshAxes, _MeshAxes]:
    """What the blocks and the outputs of an NF4 weight (K, N) are split over."""
    if nf4.blocks_straddle(shape[0]):
        return None, None
    k, n = partition_spec(inputs, outputs)
    k_parts, n_parts = _mesh_size(mesh, k), _mesh_size(mesh, n)
    blocks = shape[0] // nf4.BLOCK
    # A matmul reads the weight whole along "embed", whichever axis holds its parts.
    if inputs == "embed" and blocks % k_parts and shape[1] % (k_parts * n_parts) == 0:
        return None, (*_mesh_axes(n), *_mesh_axes(k))
    return k, n


def why_indivisible(
    name: str,
    value: Any,
    mesh: Mesh | AbstractMesh,
    logical: tuple[str | None, ...],
) -> str | None:
    """Why a parameter cannot be split as the rules say, or None if it can.

    Args:
        name: what the message calls the parameter.
        value: an array, an NF4 weight, or its ShapeDtypeStructs.
        mesh: mesh to split it over.
        logical: logical axes of the dense parameter.

    Returns:
        A message that names the size, the axis size and the mesh axes.
    """
    is_nf4 = isinstance(value, nf4.NF4)
    leaf = value.codes if is_nf4 else value
    shardings = param_shardings(value, mesh, logical)
    spec = (shardings.codes if is_nf4 else shardings).spec
    for axis, (size, names) in enumerate(zip(leaf.shape, spec)):
        parts = _mesh_size(mesh, names)
        if size % parts:
            is_blocks = is_nf4 and axis == leaf.ndim - 3
            unit = f"blocks of {nf4.BLOCK} weights" if is_blocks else "elements"
            return (
                f"{name}: {size} {unit} are not divisible by axis size {parts} "
                f"({names})"
            )
    return None
