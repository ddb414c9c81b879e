"""Time and peak host memory of loading a checkpoint into NF4.

    pip install -e '.[test]'
    python scripts/benchmark_loading.py
    python scripts/benchmark_loading.py --model=<folder>

Jaxent beside transformers + bitsandbytes, on random weights of Qwen2.5-1.5B's shapes
(3 GB) or a checkpoint of yours.

Each loader runs in a process of its own, on the CPU, with double quantisation,
`--repeats` times in turn; the files are read once before, so that all find them in the
page cache. Peaks are sampled every 5 ms by the parent: "anonymous" is memory the
process itself holds, "resident" adds mapped pages of the checkpoint, which the system
may drop. Both are above what the process held before loading (interpreter and
libraries). Linux only (/proc).
"""

import contextlib
import json
import operator
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "model", None, "checkpoint folder; a random one is written if not given"
)
flags.DEFINE_integer("layers", 28, "layers of the random checkpoint")
flags.DEFINE_integer("shards", 3, "files of the random checkpoint")
flags.DEFINE_integer("repeats", 3, "loads of each kind")
command.parse(__name__, __doc__)

import ml_dtypes
import numpy as np
import safetensors.numpy
import tqdm

from jaxent.checkpoint import hf, safetensors_folder
from jaxent.model import config as configs
from jaxent.runs import console

_QWEN_1_5B = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "vocab_size": 151936,
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1e6,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}

_LOADERS = {
    "jaxent": "load_with_jaxent.py",
    "transformers + bitsandbytes": "load_with_bitsandbytes.py",
}
_WIDTHS = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1}  # bytes an element
_MIB = 2**20


def write_random(folder: pathlib.Path, layers: int, shards: int) -> None:
    """A sharded bfloat16 checkpoint of normal weights (SD 0.02) in `folder`."""
    raw = _QWEN_1_5B | {"num_hidden_layers": layers}
    config = configs.from_dict(raw)
    shapes = []
    for row in hf.tensor_table(config):
        shapes += [(name, row.shape) for name in hf.tensor_names(row, config)]
    rng = np.random.default_rng(0)
    weight_map = {}
    for shard in tqdm.trange(shards, desc="write", unit="shard", leave=False):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        tensors = {}
        for name, shape in shapes[shard::shards]:
            values = rng.standard_normal(shape, np.float32) * 0.02
            tensors[name] = values.astype(ml_dtypes.bfloat16)
        safetensors.numpy.save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )


def memory(pid: int) -> tuple[int, int]:
    """Anonymous and resident bytes of a process now."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    anonymous, resident = (
        int(fields.get(name, "0 kB").split()[0]) * 1024 for name in ("RssAnon", "VmRSS")
    )
    return anonymous, resident


def run(loader: str, folder: pathlib.Path) -> dict:
    """One load in a fresh process.

    Args:
      loader: a key of the loaders.
      folder: the checkpoint.

    Returns:
      Seconds, bytes of the finished model, peaks in bytes above the start.

    Raises:
      RuntimeError: if the process ends without an answer; with its last line.
    """
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }
    script = pathlib.Path(__file__).parent / _LOADERS[loader]
    words = [sys.executable, str(script), str(folder)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            words, stdin=pipe, stdout=pipe, stderr=errors, env=environment, text=True
        ) as child,
    ):
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{loader}: {_last_line(errors)}")
        before = memory(child.pid)
        child.stdin.write("\n")
        child.stdin.flush()
        answer, peak = _watch(child, before)
        if not answer:
            raise RuntimeError(f"{loader}: {_last_line(errors)}")
    seconds, size = answer.split()
    return {
        "seconds": float(seconds),
        "size": int(size),
        "anonymous": peak[0] - before[0],
        "resident": peak[1] - before[1],
    }


def _watch(child: subprocess.Popen, start: tuple[int, int]) -> tuple[str, tuple]:
    """The line that a process prints, and its peak memory until then."""
    os.set_blocking(child.stdout.fileno(), False)
    peak, answer = start, ""
    while not answer.endswith("\n") and child.poll() is None:
        peak = tuple(map(max, peak, memory(child.pid)))
        with contextlib.suppress(TypeError):
            answer += child.stdout.read() or ""
        time.sleep(0.005)
    return answer, peak


def _last_line(file) -> str:
    file.seek(0)
    return (file.read().strip().splitlines() or ["no output"])[-1]


def read_files(files) -> None:
    """Reads files to the end, so that they are in the page cache."""
    for name in files:
        with open(name, "rb") as file:
            while file.read(1 << 26):
                pass


def table_row(name: str, loads: list[dict], largest: int) -> list[str]:
    """The table's row of one loader; largest: bytes of the largest tensor."""
    times = [load["seconds"] for load in loads]
    size = min(loads, key=operator.itemgetter("seconds"))["size"]
    anonymous = max(load["anonymous"] for load in loads)
    resident = max(load["resident"] for load in loads)
    return [
        name,
        f"{min(times):.1f}",
        f"{max(times):.1f}",
        f"{size / _MIB:.0f}",
        f"{anonymous / _MIB:.0f}",
        f"{resident / _MIB:.0f}",
        f"{(anonymous - size) / largest:.2f}",
    ]


def main():
    """Loads with each loader in turn and prints the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(FLAGS.model or scratch)
        if not FLAGS.model:
            write_random(folder, FLAGS.layers, FLAGS.shards)
        entries = safetensors_folder.open_folder(folder).entries.values()
        sizes = [int(np.prod(e.shape)) * _WIDTHS[e.dtype] for e in entries]
        read_files({e.file for e in entries})
        print(
            f"{folder}: {sum(sizes) / 2**30:.2f} GiB in {len(sizes)} tensors, "
            f"the largest {max(sizes) / _MIB:.0f} MiB"
        )
        loads = {name: [] for name in _LOADERS}
        for _ in tqdm.trange(FLAGS.repeats, desc="load", unit="round", leave=False):
            for name in loads:
                loads[name].append(run(name, folder))
    header = [
        "loader",
        "s, best",
        "s, worst",
        "model MiB",
        "peak anonymous MiB",
        "peak resident MiB",
        "(anonymous - model) / largest tensor",
    ]
    rows = [table_row(name, results, max(sizes)) for name, results in loads.items()]
    print(console.format_table(header, rows))


if __name__ == "__main__":
    command.run(main)
