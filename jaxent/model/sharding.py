"""A model on a mesh: every parameter split by its logical axes."""

from collections.abc import Iterator

import jax
from flax import nnx
from jax.sharding import AbstractMesh, Mesh

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import blocks, transformer


def iter_params(model: transformer.Transformer) -> Iterator[tuple[str, nnx.Param]]:
    """Dotted path and parameter, each once."""
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Param):
            yield ".".join(map(str, path)), node


def choose_mesh(
    model: transformer.Transformer, text: str | None, rows: int | None = None
) -> Mesh | None:
    """The mesh that --mesh=text asks for, over all devices.

    Args:
        model: the model to split; its arrays may be abstract.
        text: sizes as `axes.parse_mesh` reads them; "none" for no mesh; None for the
            first mesh that splits the model, with as much fsdp as possible, or for no
            mesh (see `axes.is_unsharded`).
        rows: rows of a step that the mesh must split too, or None.

    Returns:
        The mesh, or None for no mesh.

    Raises:
        ValueError: the mesh does not split the model or the rows. The message names a
            mesh that does.

    Example:
        >>> from jaxent.model import known_configs
        >>> config = known_configs.require_config("Qwen/Qwen3-0.6B")
        >>> choose_mesh(transformer.abstract(config), "none") is None
        True
    """
    if axes.is_unsharded(text):
        return None
    if text is None:
        sizes = _suggest_sizes(model, jax.device_count(), rows)
        return axes.create_mesh(sizes, jax.devices())
    mesh = axes.parse_mesh(text)
    check_mesh(model, mesh, rows)
    return mesh


def check_mesh(
    model: transformer.Transformer, mesh: Mesh | AbstractMesh, rows: int | None = None
) -> None:
    """Checks that a mesh splits a model.

    Args:
        model: the model; its arrays may be abstract.
        mesh: the mesh.
        rows: rows of a step that the mesh must split too, or None.

    Raises:
        ValueError: names the first parameter or number of heads that the mesh cannot
            split, and a mesh that can.
    """
    reasons = []
    tensor = axes.axis_size(mesh, "kv_heads")
    if model.config.kv_heads % tensor:
        reasons.append(
            f"{model.config.kv_heads} key-value heads are not divisible by axis size "
            f"{tensor} (tensor)"
        )
    reasons.extend(_indivisible_params(model, mesh))
    batch = axes.axis_size(mesh, "batch")
    if rows is not None and rows % batch:
        reasons.append(
            f"{rows} rows of a step are not divisible by axis size {batch} "
            "(data x fsdp)"
        )
    if reasons:
        suggestion = _suggest_mesh(model, mesh.size, rows)
        raise ValueError(f"mesh {dict(mesh.shape)}: {reasons[0]}; {suggestion}")


def _indivisible_params(model, mesh: Mesh | AbstractMesh) -> Iterator[str]:
    """Why each parameter that the mesh cannot split cannot be split."""
    for name, param in iter_params(model):
        value = param.get_value()
        reason = axes.why_indivisible(name, value, mesh, param.logical)
        if reason is not None:
            yield reason


def _suggest_mesh(model, devices: int, rows: int | None) -> str:
    """The end of an error message: a mesh that would do, or that there is none."""
    try:
        sizes = _suggest_sizes(model, devices, rows)
    except ValueError as error:
        return str(error)
    shown = [f"{k}:{v}" for k, v in sizes.items() if v > 1 or k == "data"]
    return f"expected one that splits them, such as {','.join(shown)}"


def _suggest_sizes(model, devices: int, rows: int | None) -> dict[str, int]:
    """Sizes of a mesh that splits the model and the rows; ValueError if there is none.

    It has as little tensor and as much fsdp as possible.
    """
    for sizes in _candidate_sizes(model.config.kv_heads, devices, rows):
        mesh = AbstractMesh(tuple(sizes.values()), tuple(sizes))
        if not any(_indivisible_params(model, mesh)):
            return sizes
    what, more = "the model", ""
    if rows is not None:
        what = f"the model and {rows} rows of a step"
        more = "; seeds trained together (seed axis) can use more devices"
    raise ValueError(f"no mesh over {devices} devices splits {what}{more}")


def _candidate_sizes(
    kv_heads: int, devices: int, rows: int | None
) -> Iterator[dict[str, int]]:
    """Sizes that split heads and rows, by growing tensor and shrinking fsdp."""
    for tensor in _divisors(devices):
        batch = devices // tensor
        if kv_heads % tensor or (rows is not None and rows % batch):
            continue
        for fsdp in reversed(_divisors(batch)):
            yield {"seed": 1, "data": batch // fsdp, "fsdp": fsdp, "tensor": tensor}


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def shard_model(model: transformer.Transformer, mesh: Mesh) -> transformer.Transformer:
    """The model with every parameter on the mesh.

    Args:
        model: a model in memory; it is not changed.
        mesh: mesh that splits it.

    Returns:
        A model with the same values.

    Raises:
        ValueError: the mesh does not split the model.
    """
    check_mesh(model, mesh)
    result = jax.tree.map(lambda x: x, model)
    for _, param in iter_params(result):
        value = param.get_value()
        shardings = axes.param_shardings(value, mesh, param.logical)
        param.set_value(jax.device_put(value, shardings))
    return result


def adapter_shardings(
    adapter: lora.Adapter, mesh: Mesh | AbstractMesh, *lead: str | None
) -> lora.Adapter:
    """The shardings of an adapter.

    A is split like its weight's inputs; B, biases and magnitudes are split like its
    outputs. The rank is not split.

    Args:
        adapter: gives the adapted modules.
        mesh: mesh to split it over.
        *lead: logical axes before the layer axis.

    Returns:
        An adapter of NamedShardings.
    """

    def split(*logical: str | None):
        return axes.named_sharding(mesh, *lead, "layer", *logical)

    params = {}
    for module, path in lora.PATHS.items():
        if path in adapter.params:
            inputs, outputs = blocks.LINEAR_AXES[module]
            vectors = dict.fromkeys(adapter.params[path].vectors(), split(outputs))
            params[path] = lora.LoraParams(
                split(None, inputs), split(None, outputs), **vectors
            )
    return lora.Adapter(params, adapter.config)


def shard_adapter(adapter: lora.Adapter, mesh: Mesh) -> lora.Adapter:
    """The adapter's factors on the mesh; they are the same on every process."""
    shardings = adapter_shardings(adapter, mesh)
    return jax.tree.map(axes.device_put_global, adapter, shardings)
