"""Jobs and the meshes they fit."""

import dataclasses

import planned
import pytest

from jaxent.capacity import (
    jobs,
)
from jaxent.runs import spec as specs


@pytest.mark.parametrize(
    ("mesh", "settings", "message"),
    [
        ("fsdp:8", {}, "8 places, but v5e:4x4 has 16"),
        ("tensor:16", {}, "8 key-value heads are not divisible by axis size 16"),
        ("seed:2,fsdp:8", {"seeds": 3}, "3 seeds are not divisible by axis size 2"),
        ("data:16,row:1", {}, "expected axis:size"),
        (
            "data:16",
            {"run": specs.RunSpec(planned.BIG, micro_batch_size=4)},
            "64 packed rows at a time",
        ),
    ],
)
def test_meshes_refused(mesh, settings, message):
    with pytest.raises(ValueError, match=message):
        jobs.check_job(
            dataclasses.replace(planned.job(planned.BIG, "v5e:4x4", mesh), **settings)
        )
