"""Loading a checkpoint into NF4, beside transformers + bitsandbytes.

Each load runs in a process of its own, with double quantisation; importing does not
count. The files are read before, so that both find them in the page cache.
"""

import functools
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks import cases, load_child, models, pairs
from jaxent import json_files
from jaxent.checkpoint import safetensors_folder

CHILD = pathlib.Path(__file__).with_name("load_child.py")


def make_cases(settings: cases.Settings) -> Iterator[cases.Case]:
    """One row: random weights of Qwen2.5-1.5B's shapes."""
    layers, vocab, shards = (4, 32_000, 2) if settings.quick else (28, 151_936, 3)
    name = f"{layers} layers of Qwen2.5-1.5B, {shards} files"
    make = functools.partial(_make, settings, layers, vocab, shards)
    packages = ("bitsandbytes", "accelerate")
    yield cases.Case("load", name, "transformers", make, packages)


def _make(
    settings: cases.Settings, layers: int, vocab: int, shards: int, with_peer: bool
) -> pairs.Workload:
    raw = models.QWEN_1_5B | {"num_hidden_layers": layers, "vocab_size": vocab}
    folder = models.write_random(settings.scratch / "load", raw, shards)
    for file in {
        e.file for e in safetensors_folder.open_folder(folder).entries.values()
    }:
        file.read_bytes()
    theirs = {}
    if with_peer:
        title = "transformers + bitsandbytes"
        theirs[title] = functools.partial(run_child, "bitsandbytes", folder)
    return pairs.Workload(
        unit="",
        amount=1,
        ours=functools.partial(run_child, "jaxent", folder),
        theirs=theirs,
        remark="load: bfloat16 files to NF4 with double quantisation, a process each, "
        "imports not counted",
    )


def run_child(loader: str, folder: pathlib.Path) -> pairs.Spent:
    """One load in a process of its own, its memory sampled every 5 ms.

    Args:
      loader: "jaxent" or "bitsandbytes".
      folder: the checkpoint.

    Returns:
      What the load took; its peak is anonymous memory above what the process held
      before loading (0 where /proc does not say).

    Raises:
      ValueError: the process fails; with its last line.
    """
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, str(CHILD), loader, str(folder)]
    peak = 0
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, stdout=said, stderr=errors, env=environment)
        while child.poll() is None:
            peak = max(peak, load_child.anonymous_bytes(child.pid))
            time.sleep(0.005)
        if child.returncode:
            errors.seek(0)
            lines = errors.read().strip().splitlines() or ["no output"]
            raise ValueError(f"loading with {loader}: {lines[-1]}")
        said.seek(0)
        last = said.read().strip().splitlines()[-1]
    took = json_files.parse_json(last, loader)
    peak = max(0, peak - took["before"])
    return pairs.Spent(took["wall"], took["processor"], peak=peak)
