"""Bytes of collectives, read from compiled text."""

import pathlib

from jaxent.capacity import hlo_collectives

TEXT = pathlib.Path(__file__).with_name("step.hlo.txt").read_text()


def test_received_bytes_by_hand():
    found = hlo_collectives.received_bytes(TEXT, loops=3, devices=16)
    assert found == {
        "all-gather": 3 * 5 * 40 * 64 * 256 * 3 / 4 + 32 * 4 * 3 / 4,
        "all-reduce": 3 * 5 * 2 * (16 * 2 + 4 * 4) * 7 / 8,
        "reduce-scatter": 3 * 5 * 64 * 8 * 2 * 3 / 4 + 16 * 8 * 4 * 15 / 16,
        "all-to-all": 8 * 4 * 8 * 2 * 3 / 4,
        "collective-permute": 3 * 10 * 4,
    }
