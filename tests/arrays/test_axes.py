import jax
import jax.numpy as jnp
import pytest

from jaxent.arrays import axes, nf4


def test_parse_and_make():
    assert axes.parse("tensor:2,data:4") == {"seed": 1, "data": 4, "fsdp": 1, "tensor": 2}
    mesh = axes.make("data:2,fsdp:2,tensor:2")
    assert mesh.size == 8 and axes.ways(mesh, "batch") == 4 and axes.ways(mesh, "mlp") == 2 and axes.ways(None, "mlp") == 1


def test_without_a_flag_a_cpu_has_no_mesh():
    assert axes.unwanted(None) and axes.unwanted("none") and not axes.unwanted("data:8")


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
        axes.make(text)


def test_nf4_weights_split_between_whole_groups():
    mesh = axes.make("fsdp:4,tensor:2")
    weight = nf4.place(nf4.encode(jax.device_get(jax.random.normal(jax.random.key(0), (256, 512)))))
    placed = jax.device_put(weight, axes.of(weight, mesh, ("embed", "mlp")))
    assert placed.codes.addressable_shards[0].data.shape == (1, 64, 128)
    assert placed.scales.addressable_shards[0].data.shape == (1, 2, 128)
    assert jnp.array_equal(nf4.decode(placed, jnp.float32), nf4.decode(jax.device_put(weight), jnp.float32))
    assert axes.indivisible("w", weight, axes.make("fsdp:8"), ("embed", "mlp")) == "w: 4 groups of 128 weights do not split 8 ways (fsdp)"


def test_straddling_nf4_weights_are_kept_whole():
    mesh = axes.make("fsdp:4,tensor:2")
    weight = nf4.place(nf4.encode(jax.device_get(jax.random.normal(jax.random.key(0), (64, 96)))))
    placed = jax.device_put(weight, axes.of(weight, mesh, ("embed", "mlp")))
    assert placed.codes.sharding.is_fully_replicated
