"""What a benchmark is asked for, and one row of its table before it is measured."""

import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable

from benchmarks import pairs

PEERS = {
    "peft": ("torch", "transformers", "peft", "bitsandbytes", "accelerate"),
    "transformers": ("torch", "transformers"),
    "sklearn": ("sklearn",),
}
"""Peer to the packages that it needs."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What every benchmark may depend on.

    Attributes:
      scratch: a folder for checkpoints that are written for the benchmark.
      quick: whether everything is to be small.
      layers: of the random model of Qwen2.5-0.5B's widths.
      vocab: its vocabulary.
      lengths: tokens a row of training steps.
      model: a real checkpoint; None for none.
      data_root: the texts of mixtures, as finetune.py takes it.
      problems: a file of HumanEval+'s problems; None for the embedded ones.
      mixture_steps: optimizer steps of one timed run of a mixture.
    """

    scratch: pathlib.Path
    quick: bool = False
    layers: int = 4
    vocab: int = 32_000
    lengths: tuple[int, ...] = (512, 2048)
    model: str | None = None
    data_root: str = "embedded"
    problems: str | None = None
    mixture_steps: int = 1


@dataclasses.dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
      what: its benchmark, such as "step".
      name: what it is called in the table; unique within its benchmark.
      peer: a key of `PEERS`, or None where we are compared with ourselves.
      make: from whether the peer is wanted to the work; loads models.
      packages: what the peer needs beside its own packages.
    """

    what: str
    name: str
    peer: str | None
    make: Callable[[bool], pairs.Workload]
    packages: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What the row is stored under."""
        return f"{self.what}: {self.name}"


def missing_packages(peer: str, more: tuple[str, ...] = ()) -> list[str]:
    """The packages that a peer needs and that are not installed.

    Example:
      >>> missing_packages("sklearn", ("no_such_package",))
      ['no_such_package']
    """
    needed = (*PEERS[peer], *more)
    return [name for name in needed if importlib.util.find_spec(name) is None]
