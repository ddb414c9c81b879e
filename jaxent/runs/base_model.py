"""A base model in memory, and what the runs on it share."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from jax.sharding import Mesh

from jaxent.checkpoint import hf
from jaxent.data import probes
from jaxent.distributed import processes
from jaxent.measure import capture
from jaxent.model import convert, trained, transformer
from jaxent.runs import spec as specs
from jaxent.runs import validate

T = TypeVar("T")


class BaseModel:
    """A base model in memory, on a mesh if there is one.

    What runs on it share is made once: token ids and activations of probes,
    subspaces, CSR's reference.

    Args:
      validated: a run on the model; it decides quantisation and arithmetic.
      mesh: the devices; None for the default one.
    """

    def __init__(self, validated: validate.ValidatedRun, mesh: Mesh | None = None):
        self.tokenizer = validated.checkpoint.tokenizer
        self.compute = transformer.default_compute(validated.run.dtype, mesh)
        self.model = hf.load(
            str(validated.checkpoint.folder),
            validated.run.load_in_4bit,
            progress=processes.is_primary(),
            mesh=mesh,
        )
        self._memo: dict[tuple, Any] = {}

    @functools.cached_property
    def decoded(self) -> transformer.Transformer:
        """The model decoded to the dtype of the arithmetic, once."""
        return convert.decode_once(self.model, self.compute.dtype)

    def memoize(self, key: tuple, make: Callable[[], T]) -> T:
        """make(), or what it gave when the key was first asked for."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def activations(self, probe_set: probes.ProbeSet) -> np.ndarray:
        """The bare model's activations of the probes, [P, D]."""
        key = ("activations", probe_set.hash)
        return self.memoize(key, lambda: self.capture(probe_set, None))

    def capture(
        self, probe_set: probes.ProbeSet, adapter: trained.Trained | None
    ) -> np.ndarray:
        """The activations of the probes with an adapter or other weights, [P, D]."""
        key = ("ids", probe_set.hash)
        ids = self.memoize(key, lambda: self.tokenizer.encode(probe_set.texts))
        model, adapter = trained.split(self.model, adapter)
        return capture.capture(model, ids, adapter, compute=self.compute)


def base_key(run: specs.RunSpec) -> tuple:
    """What runs must have in common to share a `BaseModel` on one mesh."""
    return (
        run.model,
        run.revision,
        run.load_in_4bit,
        run.dtype,
        validate.rows_at_a_time(run),
    )
