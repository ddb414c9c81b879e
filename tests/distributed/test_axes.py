import re

import jax
import jax.numpy as jnp
import numpy as np
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


def test_minus_one_is_the_rest_of_the_devices():
    assert axes.parse_axis_sizes("fsdp:-1,tensor:2", 8)["fsdp"] == 4
    assert axes.parse_mesh("data:2,fsdp:-1").shape["fsdp"] == 4
    with pytest.raises(ValueError, match="rest of 8 devices"):
        axes.parse_mesh("data:3,fsdp:-1")
    with pytest.raises(ValueError, match="found 'fsdp:-1'"):
        axes.parse_mesh("data:-1,fsdp:-1")
    with pytest.raises(ValueError, match="found 'fsdp:-1'"):
        axes.parse_axis_sizes("fsdp:-1")


def test_arrays_are_split_by_their_logical_axes():
    mesh = axes.parse_mesh("data:2,fsdp:2,tensor:2")
    x = np.arange(8 * 6, dtype=np.float32).reshape(8, 6)
    split = axes.device_put_logical(x, mesh, "batch", "vocab")
    assert {s.data.shape for s in split.addressable_shards} == {(2, 3)}
    np.testing.assert_array_equal(axes.to_host({"x": split})["x"], x)
    assert axes.device_put_logical(x, None, "batch", None) is x


def test_a_constraint_splits_and_a_gather_makes_the_embedding_axis_whole():
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    x = jnp.ones((8, 4))

    @jax.jit
    def split_and_gather(x):
        split = axes.constrain(x, mesh, "embed", "mlp")
        return split, axes.gather_embed(split, mesh, "embed", "mlp")

    split, gathered = split_and_gather(x)
    assert split.addressable_shards[0].data.shape == (2, 2)
    assert gathered.addressable_shards[0].data.shape == (8, 2)
    assert axes.constrain(x, None, "embed", "mlp") is x
    assert axes.gather_embed(x, None, "embed", "mlp") is x


def test_without_a_flag_a_cpu_has_no_mesh():
    assert (
        axes.is_unsharded(None)
        and axes.is_unsharded("none")
        and not axes.is_unsharded("data:8")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows:2", "found 'rows:2', expected axis:size"),
        ("data:2,data:4", "distinct axes"),
        ("data:x", "found 'data:x'"),
        ("data:3", "1 x 3 x 1 x 1 devices, but there are 8: expected as many"),
    ],
)
def test_a_wrong_mesh_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        axes.parse_mesh(text)


def random_nf4(outputs: int, inputs: int) -> nf4.NF4:
    weight = np.random.default_rng(0).normal(size=(outputs, inputs))
    return nf4.repack(nf4.encode(weight.astype(np.float32)))


def test_nf4_weights_split_between_whole_blocks():
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    weight = random_nf4(256, 512)
    sharded = jax.device_put(
        weight, axes.param_shardings(weight, mesh, ("embed", "mlp"))
    )
    assert sharded.codes.addressable_shards[0].data.shape == (2, 32, 128)
    assert sharded.scales.addressable_shards[0].data.shape == (2, 128)
    assert jnp.array_equal(
        nf4.decode(sharded, jnp.float32),
        nf4.decode(jax.device_put(weight), jnp.float32),
    )


def test_where_fsdp_does_not_divide_the_blocks_it_splits_the_outputs():
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    weight = random_nf4(96, 192)
    sharded = jax.device_put(
        weight, axes.param_shardings(weight, mesh, ("embed", "mlp"))
    )
    assert sharded.codes.addressable_shards[0].data.shape == (3, 32, 12)
    assert sharded.scales.addressable_shards[0].data.shape == (3, 12)
    assert len({str(shard.index) for shard in sharded.codes.addressable_shards}) == 8

    @jax.jit
    def gather_and_decode(weight):
        gathered = axes.gather_embed(weight, mesh, "embed", "mlp")
        return nf4.decode(gathered, jnp.float32)

    decoded = gather_and_decode(sharded)
    assert decoded.addressable_shards[0].data.shape == (192, 48)
    np.testing.assert_array_equal(decoded, nf4.decode(weight, jnp.float32))
    text = gather_and_decode.lower(sharded).compile().as_text()
    gathers = re.findall(r"= (\w+)\[[\d,]+\]\S* all-gather\(", text)
    assert sorted(gathers) == ["f32", "u8"]  # the scales and the codes
    assert "all-to-all" not in text and "collective-permute" not in text


@pytest.mark.parametrize(
    ("outputs", "inputs", "logical", "reason"),
    [
        (96, 192, ("embed", "mlp"), None),
        (100, 192, ("embed", "mlp"), "3 blocks of 64 weights.*size 8 \\(fsdp\\)"),
        (96, 192, ("mlp", "embed"), None),
        (100, 192, ("mlp", "embed"), "100 elements.*size 8 \\(fsdp\\)"),
        (100, 172, ("embed", "mlp"), None),
    ],
)
def test_a_mesh_says_what_it_does_not_divide(outputs, inputs, logical, reason):
    weight = random_nf4(outputs, inputs)
    found = axes.why_indivisible("w", weight, axes.parse_mesh("fsdp:8"), logical)
    assert found is None if reason is None else re.match(f"w: {reason}", found)


def test_inputs_split_over_tensor_stay_whole_blocks():
    """The activations that meet them are split there too."""
    weight = random_nf4(96, 192)
    found = axes.why_indivisible(
        "w", weight, axes.parse_mesh("tensor:8"), ("mlp", "embed")
    )
    assert (
        found == "w: 3 blocks of 64 weights are not divisible by axis size 8 (tensor)"
    )


def test_straddling_nf4_weights_are_kept_whole():
    mesh = axes.parse_mesh("fsdp:4,tensor:2")
    weight = random_nf4(64, 96)
    sharded = jax.device_put(
        weight, axes.param_shardings(weight, mesh, ("embed", "mlp"))
    )
    assert sharded.codes.sharding.is_fully_replicated
