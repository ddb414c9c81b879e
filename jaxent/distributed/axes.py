"""Meshes of devices, and how arrays are split over them: one table from the axes of arrays to the axes of the mesh.

seed     runs that differ in their seed; everything but the base model is split
data     rows of a batch; every group of devices holds all weights
fsdp     rows of a batch, and weights, each split along its embedding axis
tensor   heads, hidden units of the MLP and the vocabulary
"""

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxent.arrays import nf4

AXES = ("seed", "data", "fsdp", "tensor")
RULES = {
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
"""Logical axis of an array -> mesh axis or axes it is split over (None: whole on every device)."""


def parse_axis_sizes(text: str) -> dict[str, int]:
    """Sizes by mesh axis of "data:2,tensor:4"; axes not named have size 1."""
    sizes = dict.fromkeys(AXES, 1)
    for part in text.split(","):
        name, _, number = part.partition(":")
        if (
            name not in AXES
            or not number.isdigit()
            or int(number) < 1
            or sizes[name] != 1
        ):
            raise ValueError(
                f"mesh {text!r}: found {part!r}, expected axis:size with distinct axes out of {', '.join(AXES)}, as data:2,tensor:4"
            )
        sizes[name] = int(number)
    return sizes


def parse_mesh(text: str) -> Mesh:
    """The mesh of "data:2,tensor:4" over all devices; ValueError unless it uses every one."""
    sizes, devices = parse_axis_sizes(text), jax.devices()
    if int(np.prod(list(sizes.values()))) != len(devices):
        wanted = " x ".join(map(str, sizes.values()))
        raise ValueError(
            f"mesh {text!r} has {wanted} places, but there are {len(devices)} devices: expected as many"
        )
    return create_mesh(sizes, devices)


def create_mesh(sizes: dict[str, int], devices) -> Mesh:
    """The mesh with these sizes over devices. An axis of it may take part of an axis of a TPU slice (data:8 of v5p:2x2x4's)."""
    laid = mesh_utils.create_device_mesh(
        tuple(sizes.values()), devices, allow_split_physical_axes=True
    )
    return Mesh(laid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def is_unsharded(text: str | None) -> bool:
    """Whether --mesh=text asks for no mesh: "none", or None where neither several accelerators nor several processes are (a CPU's
    devices share its cores). ValueError for "none" with several processes.
    """
    if text is None:
        return jax.process_count() == 1 and (
            jax.default_backend() == "cpu" or jax.device_count() == 1
        )
    if text == "none" and jax.process_count() > 1:
        raise ValueError(
            f"--mesh=none with {jax.process_count()} processes: expected a mesh over all their devices, such as fsdp:{jax.device_count()}"
        )
    return text == "none"


def axis_size(mesh: Mesh | None, logical: str) -> int:
    """How many parts a logical axis is split into."""
    names = RULES[logical] or ()
    return (
        1
        if mesh is None
        else int(
            np.prod(
                [mesh.shape[n] for n in ((names,) if isinstance(names, str) else names)]
            )
        )
    )


def partition_spec(*logical: str | None) -> PartitionSpec:
    """The partition of an array with these logical axes (None: not split)."""
    return PartitionSpec(*(None if name is None else RULES[name] for name in logical))


def named_sharding(mesh: Mesh, *logical: str | None) -> NamedSharding:
    """`spec` on a mesh."""
    return NamedSharding(mesh, partition_spec(*logical))


def constrain(x, mesh: Mesh | None, *logical: str | None):
    """x, told to lie as `named` says; as it is without a mesh."""
    return (
        x
        if mesh is None
        else jax.lax.with_sharding_constraint(x, named_sharding(mesh, *logical))
    )


def gather_embed(value, mesh: Mesh | None, *logical: str | None):
    """A parameter as a product reads it, whole along "embed": of an NF4 weight its codes and scales travel, not what they stand for."""
    if mesh is None:
        return value
    return jax.lax.with_sharding_constraint(
        value,
        param_shardings(
            value, mesh, tuple(None if name == "embed" else name for name in logical)
        ),
    )


def device_put_logical(x: np.ndarray, mesh: Mesh | None, *logical: str | None):
    """A host array, the same on every process, on the mesh; each process copies its own parts only. As it is without a mesh."""
    return x if mesh is None else device_put_global(x, named_sharding(mesh, *logical))


def device_put_global(x, sharding: NamedSharding) -> jax.Array:
    """An array that every process has, laid as `sharding` says; each process copies its own parts only."""
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def to_host(tree):
    """Arrays as numpy on every process, gathered a leaf at a time where they are spread over several."""
    whole = lambda x: (
        not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated
    )
    return jax.tree.map(lambda x: np.asarray(x if whole(x) else _replicate(x)), tree)


def _replicate(x):
    return jax.jit(
        lambda x: x, out_shardings=NamedSharding(x.sharding.mesh, PartitionSpec())
    )(x)


def param_shardings(value, mesh: Mesh, logical: tuple[str | None, ...]):
    """The shardings of a parameter: of its array, or of an NF4 weight's codes and scales (whole blocks, or not split at all)."""
    if not isinstance(value, nf4.NF4):
        return named_sharding(mesh, *logical)
    *lead, k, n = logical
    if value.shape[0] % nf4.GROUP:  # blocks straddle outputs: one column
        k = n = None
    whole = named_sharding(mesh, *lead, k, None, n)
    return nf4.NF4(whole, whole, value.shape)


def why_indivisible(
    name: str, value, mesh: Mesh, logical: tuple[str | None, ...]
) -> str | None:
    """Why a parameter cannot be split as the rules say, or None: NF4 weights split between groups of 128, not elements."""
    leaf = value.codes if isinstance(value, nf4.NF4) else value
    shardings = param_shardings(value, mesh, logical)
    partition = (shardings.codes if isinstance(value, nf4.NF4) else shardings).spec
    for axis, (size, names) in enumerate(zip(leaf.shape, partition)):
        parts = int(
            np.prod(
                [
                    mesh.shape[n]
                    for n in ((names,) if isinstance(names, str) else names or ())
                ]
            )
        )
        if size % parts:
            unit = (
                "groups of 128 weights"
                if isinstance(value, nf4.NF4) and axis == leaf.ndim - 3
                else "elements"
            )
            return f"{name}: {size} {unit} do not split {parts} ways ({names})"
    return None
