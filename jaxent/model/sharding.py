"""A model on a mesh: every parameter placed as its logical axes say."""

from collections.abc import Iterator

import jax
from flax import nnx
from jax.sharding import Mesh

from jaxent.arrays import lora
from jaxent.distributed import axes
from jaxent.model import config as configs
from jaxent.model import transformer


def iter_params(model: transformer.Transformer) -> Iterator[tuple[str, nnx.Param]]:
    """Dotted path and parameter, each once."""
    for path, node in nnx.iter_graph(model):
        if isinstance(node, nnx.Param):
            yield ".".join(map(str, path)), node


def choose_mesh(
    model: transformer.Transformer, text: str | None, rows: int | None = None
) -> Mesh | None:
    """The mesh that --mesh=text asks for, over all devices, if it splits the model and the rows of a step; None where none is asked for.

    None: the first that does, with as much fsdp as can be, or no mesh (see `axes.is_unsharded`). ValueError, with a mesh that would do,
    for one that does not.
    """
    if axes.is_unsharded(text):
        return None
    if text is None:
        return axes.create_mesh(
            _proposed(model, jax.device_count(), rows), jax.devices()
        )
    mesh = axes.parse_mesh(text)
    check_mesh(model, mesh, rows)
    return mesh


def check_mesh(
    model: transformer.Transformer, mesh: Mesh, rows: int | None = None
) -> None:
    """ValueError naming the first parameter or number of heads that the mesh cannot split, and a mesh that can.

    rows: rows of a step that the mesh must split too.
    """
    reasons = [
        r
        for name, p in iter_params(model)
        if (r := axes.why_indivisible(name, p.get_value(), mesh, p.logical))
    ]
    tensor = axes.axis_size(mesh, "kv_heads")
    if model.config.kv_heads % tensor:
        reasons.insert(
            0,
            f"{model.config.kv_heads} key-value heads do not split {tensor} ways (tensor)",
        )
    if rows is not None and rows % axes.axis_size(mesh, "batch"):
        reasons.append(
            f"{rows} rows of a step do not split {axes.axis_size(mesh, 'batch')} ways (data x fsdp)"
        )
    if reasons:
        raise ValueError(
            f"mesh {dict(mesh.shape)}: {reasons[0]}; {_proposal(model, mesh.size, rows)}"
        )


def _proposal(model, devices: int, rows: int | None) -> str:
    try:
        sizes = _proposed(model, devices, rows)
    except ValueError as error:
        return str(error)
    return "expected one that splits them, such as " + ",".join(
        f"{k}:{v}" for k, v in sizes.items() if v > 1 or k == "data"
    )


def _proposed(model, devices: int, rows: int | None) -> dict[str, int]:
    """Sizes by axis of a mesh over so many devices that fits, with as little tensor and as much fsdp as can be; ValueError without one."""
    c: configs.Config = model.config
    splits = lambda ways: rows is None or rows % ways == 0
    for tensor in (
        n
        for n in range(1, devices + 1)
        if devices % n == 0 and c.kv_heads % n == 0 and splits(devices // n)
    ):
        for fsdp in (
            n for n in range(devices // tensor, 0, -1) if (devices // tensor) % n == 0
        ):
            sizes = {
                "seed": 1,
                "data": devices // tensor // fsdp,
                "fsdp": fsdp,
                "tensor": tensor,
            }
            abstract = jax.sharding.AbstractMesh(tuple(sizes.values()), tuple(sizes))
            if not any(
                axes.why_indivisible(n, p.get_value(), abstract, p.logical)
                for n, p in iter_params(model)
            ):
                return sizes
    what = "the model" + ("" if rows is None else f" and {rows} rows of a step")
    more = (
        ""
        if rows is None
        else "; seeds trained together (seed axis) can use more devices"
    )
    raise ValueError(f"no mesh over {devices} devices splits {what}{more}")


def shard_model(model: transformer.Transformer, mesh: Mesh) -> transformer.Transformer:
    """The model with every parameter on the mesh; `check` first."""
    check_mesh(model, mesh)
    result = jax.tree.map(lambda x: x, model)
    for _, param in iter_params(result):
        value = param.get_value()
        param.set_value(
            jax.device_put(value, axes.param_shardings(value, mesh, param.logical))
        )
    return result


def adapter_shardings(
    adapter: lora.Adapter, mesh: Mesh, *lead: str | None
) -> lora.Adapter:
    """The shardings of an adapter: A split like its weight's inputs, B like its outputs, the rank whole. lead: axes before the layer's."""
    logical = {
        path: transformer.LINEAR_AXES[module] for module, path in lora.PATHS.items()
    }

    def split(last: str | None):
        return axes.named_sharding(mesh, *lead, "layer", None, last)

    params = {
        path: lora.LoraParams(split(logical[path][0]), split(logical[path][1]))
        for path in adapter.params
    }
    return lora.Adapter(params, adapter.config)


def shard_adapter(adapter, mesh: Mesh):
    """The adapter's factors on the mesh; it is the same on every process."""
    return jax.tree.map(
        axes.device_put_global, adapter, adapter_shardings(adapter, mesh)
    )
