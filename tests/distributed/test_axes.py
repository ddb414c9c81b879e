import jax
import jax.numpy as jnp
import pytest

from jaxent.arrays import nf4
from jaxent.distributed import axes


def test_parse_and_make():
    assert axes.parse_axis_sizes("tensor:2,data:4") == {
        "seed": 1,
        "data": 4,
        "fsdp": 1,
        "tensor": 2,
    }
    mesh = axes.parse_mesh("data:2,fsdp:2,tensor:2")
    assert (
        mesh.size == 8
        and axes.axis_size(mesh, "batch") == 4
        and axes.axis_size(mesh, "mlp") == 2
        and axes.axis_size(None, "mlp") == 1
    )


def test_without_a_flag_a_cpu_has_no_mesh():
    assert (
        axes.is_unsharded(None)
        and axes.is_unsharded("none")
        and not axes.is_unsharded("data:8")
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("rows:2", "found 'rows:2', expected axis:size"),
        ("data:2,data:4", "distinct axes"),
        ("data:x", "found 'data:x'"),
        ("data:3", "1 x 3 x 1 x 1 places, but there are 8 devices"),
    ],
)
def test_a_wrong_mesh_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        axes.parse_mesh(text)


def test_nf4_weights_split_between_whole_groups():
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    weight = nf4.repack(
        nf4.encode(jax.device_get(jax.random.normal(jax.random.key(0), (256, 512))))
    )
    placed = jax.device_put(
        weight, axes.param_shardings(weight, mesh, ("embed", "mlp"))
    )
    assert placed.codes.addressable_shards[0].data.shape == (1, 64, 128)
    assert placed.scales.addressable_shards[0].data.shape == (1, 2, 128)
    assert jnp.array_equal(
        nf4.decode(placed, jnp.float32), nf4.decode(jax.device_put(weight), jnp.float32)
    )
    assert (
        axes.why_indivisible("w", weight, axes.parse_mesh("fsdp:8"), ("embed", "mlp"))
        == "w: 4 groups of 128 weights do not split 8 ways (fsdp)"
    )


def test_straddling_nf4_weights_are_kept_whole():
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    weight = nf4.repack(
        nf4.encode(jax.device_get(jax.random.normal(jax.random.key(0), (64, 96))))
    )
    placed = jax.device_put(
        weight, axes.param_shardings(weight, mesh, ("embed", "mlp"))
    )
    assert placed.codes.sharding.is_fully_replicated
