"""Chips and topologies."""

import pytest

from jaxent.capacity import chips, compiler


def test_topologies():
    assert [
        (str(t), t.size, t.tpu)
        for t in map(
            chips.parse_topology, ("v5e:4x4", "v5p:2x2x4", "v5e:1x1", "h200:8")
        )
    ] == [
        ("v5e:4x4", 16, True),
        ("v5p:2x2x4", 16, True),
        ("v5e:1x1", 1, True),
        ("h200:8", 8, False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v4:2x2", "expected chip:shape"),
        ("v5e", "expected chip:shape"),
        ("v5e:0x4", "expected chip:shape"),
        ("v5e:4x4x1", "expected 2 for v5e"),
        ("v5p:4x4", "found 2 axes, expected 3"),
        ("h100:2x4", "expected 1 for h100"),
    ],
)
def test_topologies_refused(text, message):
    with pytest.raises(ValueError, match=message):
        chips.parse_topology(text)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("v5e-16", (4, 4)),
        ("v6e-8", (2, 4)),
        ("v5p-32", (2, 2, 4)),
        ("v5p-8", (2, 2, 1)),
    ],
)
def test_googles_names_are_shapes(name, shape):
    assert chips.parse_topology(name).shape == shape


@pytest.mark.parametrize("name", ["v5e-7", "v5p-7", "h100-8", "v5e-4x4"])
def test_names_that_are_no_slice_are_refused(name):
    with pytest.raises(ValueError, match="expected"):
        chips.parse_topology(name)


def test_only_described_gpus_are_compiled_for():
    for chip in chips.CHIPS.values():
        if chip.axes is None and chip.name not in chips.DESCRIBED:
            assert not compiler.is_available(chips.parse_topology(f"{chip.name}:1"))
