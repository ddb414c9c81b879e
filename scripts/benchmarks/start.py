"""From finetune.py's command to its first step, beside a script of the other stack.

Compiled programs are in JAX's cache, which our first run fills.
"""

import functools
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from benchmarks import cases, pairs
from jaxent.checkpoint import real_model
from jaxent.data import embedded
from jaxent.runs import folder as run_folder

ROOT = pathlib.Path(__file__).resolve().parents[2]
_LENGTH = 512
_TEXTS = pathlib.Path(embedded.__file__).parent / "embedded" / "code.jsonl"
_LIMIT = 900.0  # seconds after which a start has failed


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """One row; none without a real model."""
    if settings.model:
        title = pathlib.Path(settings.model).name
        name = f"{title}, an example of at most {_LENGTH} tokens"
        yield cases.Case("start", name, "peft", functools.partial(_make, settings))


def _make(settings: cases.Settings, with_peer: bool) -> pairs.Workload:
    assert settings.model
    child = pathlib.Path(__file__).with_name("start_child.py")
    folder = real_model.resolve(settings.model)
    words = [str(child), folder, str(_TEXTS), str(_LENGTH)]
    theirs = {}
    if with_peer:
        theirs["PEFT, no checkpointing"] = functools.partial(
            run_until, words, _has_printed
        )
    return pairs.Workload(
        unit="",
        amount=1,
        ours=_Finetune(settings),
        theirs=theirs,
        remark="start: one example a step; finetune.py also checks everything, has "
        "its texts tokenized (or finds them in the cache), and measures one probe set "
        "before the step; the other script encodes one text",
    )


class _Finetune:
    """Starts finetune.py in a new folder each time."""

    def __init__(self, settings: cases.Settings):
        self.settings, self.number = settings, itertools.count()

    def __call__(self) -> pairs.Spent:
        out = run_folder.RunFolder(
            self.settings.scratch / "start" / str(next(self.number))
        )
        words = [
            str(ROOT / "experiments" / "finetune.py"),
            f"--model={self.settings.model}",
            "--condition=B1",
            "--data_root=embedded",
            "--max_steps=1",
            "--batch_size=1",
            f"--max_length={_LENGTH}",
            "--probe_sets=1",
            f"--output_dir={out.path}",
        ]
        cache = str(self.settings.scratch / "jax_cache")
        return run_until(
            words,
            lambda _: _has_trained(out),
            {"JAX_COMPILATION_CACHE_DIR": cache},
        )


def _has_trained(out: run_folder.RunFolder) -> bool:
    return out.metrics.is_file() and '"train"' in out.metrics.read_text()


def _has_printed(printed: pathlib.Path) -> bool:
    return "step" in printed.read_text()


def run_until(
    words: list[str],
    is_there: Callable[[pathlib.Path], bool],
    environment: dict[str, str] | None = None,
) -> pairs.Spent:
    """Runs a script until it has made its first step, and stops it.

    Args:
      words: the script and its arguments.
      is_there: from the file of what it has printed to whether the step is made.
      environment: more variables of it.

    Raises:
      ValueError: it ends before, or takes too long; with its last line.
    """
    variables = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as scratch:
        printed = pathlib.Path(scratch) / "printed"
        processor, started = pairs.processor_seconds(), time.perf_counter()
        with printed.open("w") as file:
            child = subprocess.Popen(
                [sys.executable, *words],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=variables | (environment or {}),
            )
        try:
            while not is_there(printed):
                late = time.perf_counter() - started > _LIMIT
                if child.poll() is not None and not is_there(printed) or late:
                    lines = printed.read_text().strip().splitlines() or ["no output"]
                    raise ValueError(f"{words[0]} made no step: {lines[-1]}")
                time.sleep(0.01)
            wall = time.perf_counter() - started
        finally:
            child.kill()
            child.wait()
    return pairs.Spent(wall, pairs.processor_seconds() - processor)
