"""Arrays assembled on a mesh from parts: equal to the whole, each part read once."""

import collections

import jax
import numpy as np
import pytest

from jaxent.arrays import dynamic8, nf4
from jaxent.checkpoint import sharded_reads
from jaxent.distributed import axes

N = 24


@pytest.fixture(scope="module")
def mesh():
    return axes.parse_mesh("fsdp:4,tensor:2")


@pytest.fixture(scope="module", params=[512, 192], ids=["blocks", "outputs"])
def weight(request):
    """[out, in] as a checkpoint stores it; fsdp:4 divides 8 blocks, but not 3."""
    size = (N, request.param)
    return np.random.default_rng(0).normal(size=size).astype(np.float32)


def shardings(mesh, shape):
    return axes.param_shardings(nf4.abstract(shape), mesh, ("embed", "mlp"))


def assert_same(split, whole):
    jax.tree.map(np.testing.assert_array_equal, split, whole)
    assert len({str(shard.index) for shard in split.codes.addressable_shards}) == 8


def test_a_dense_array_is_read_once_a_distinct_part(mesh):
    whole = np.arange(64).reshape(8, 8)
    reads = collections.Counter()

    def read(spans):
        reads[spans] += 1
        return whole[tuple(slice(*span) for span in spans)]

    sharding = axes.named_sharding(mesh, "embed", None)
    split = sharded_reads.read_dense(read, (8, 8), sharding)
    np.testing.assert_array_equal(split, whole)
    assert reads == {((i, i + 2), (0, 8)): 1 for i in (0, 2, 4, 6)}


@pytest.mark.parametrize("double", [True, False])
def test_encoding_parts_equals_encoding_the_whole(mesh, weight, double):
    reads = collections.Counter()

    def read(outputs, inputs):
        reads[outputs, inputs] += 1
        return weight[slice(*outputs), slice(*inputs)]

    shape = weight.shape[::-1]
    split = sharded_reads.read_encoded(read, shape, double, shardings(mesh, shape))
    assert_same(split, nf4.repack(nf4.encode(weight, double=double)))
    assert set(reads.values()) == {1}
    assert len(reads) == 8


def test_stored_codes_are_read_by_rows(mesh, weight):
    packed = nf4.encode(weight, double=True)

    def read(span):
        return packed.codes[slice(*span)]

    scales = dynamic8.decode(packed.scales)
    shape = weight.shape[::-1]
    split = sharded_reads.read_stored(read, scales, shape, shardings(mesh, shape))
    assert_same(split, nf4.repack(packed))
