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
    "jaxent": """
import jax
from jaxent.checkpoint import hf
def load(folder):
    model = hf.load(folder)
    return sum(x.nbytes for x in jax.tree.leaves(jax.block_until_ready(model)))
""",
    "transformers + bitsandbytes": """
import torch, transformers, bitsandbytes
def load(folder):
    nf4 = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.bfloat16)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, quantization_config=nf4, device_map="cpu", dtype=torch.bfloat16)
    assert any(isinstance(m, bitsandbytes.nn.Linear4bit) for m in model.modules())
    tensors = {p.data_ptr(): p for p in [*model.parameters(), *model.buffers()]}
    states = [p.quant_state for p in tensors.values() if getattr(p, "quant_state", None) is not None]
    scales = [t for s in states for t in (s.absmax, s.state2.absmax)]
    return sum(t.nbytes for t in [*tensors.values(), *scales])
""",
}
_CHILD = """
import sys, time
print("ready", flush=True); sys.stdin.readline()
started = time.perf_counter()
size = load(sys.argv[1])
print(time.perf_counter() - started, size, flush=True)
"""


def write_random(folder: pathlib.Path, layers: int, shards: int) -> None:
    """A sharded bfloat16 checkpoint of normal weights (SD 0.02) in `folder`."""
    raw = _QWEN_1_5B | {"num_hidden_layers": layers}
    rows = hf.tensor_table(configs.from_dict(raw))
    names = [
        (name, row.shape)
        for row in rows
        for name in hf.tensor_names(row, configs.from_dict(raw))
    ]
    rng = np.random.default_rng(0)
    weight_map = {}
    for shard in tqdm.trange(shards, desc="write", unit="shard", leave=False):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        some = names[shard::shards]
        tensors = {
            n: (rng.standard_normal(s, np.float32) * 0.02).astype(ml_dtypes.bfloat16)
            for n, s in some
        }
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
    return tuple(
        int(fields.get(k, "0 kB").split()[0]) * 1024 for k in ("RssAnon", "VmRSS")
    )


def run(loader: str, folder: pathlib.Path) -> dict:
    """One load in a fresh process.

    Seconds, bytes of the finished model, peaks above the start.
    """
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-c", _LOADERS[loader] + _CHILD, str(folder)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=errors, env=environment, text=True
        ) as child,
    ):
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{loader}: {_last_line(errors)}")
        before = memory(child.pid)
        os.set_blocking(child.stdout.fileno(), False)
        child.stdin.write("\n")
        child.stdin.flush()
        peak, answer = before, ""
        while not answer.endswith("\n") and child.poll() is None:
            peak = tuple(map(max, peak, memory(child.pid)))
            with contextlib.suppress(TypeError):
                answer += child.stdout.read() or ""
            time.sleep(0.005)
        if not answer:
            raise RuntimeError(f"{loader}: {_last_line(errors)}")
    seconds, size = answer.split()
    return {
        "seconds": float(seconds),
        "size": int(size),
        "anonymous": peak[0] - before[0],
        "resident": peak[1] - before[1],
    }


def _last_line(file) -> str:
    file.seek(0)
    return (file.read().strip().splitlines() or ["no output"])[-1]


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(FLAGS.model or scratch)
        if not FLAGS.model:
            write_random(folder, FLAGS.layers, FLAGS.shards)
        entries = safetensors_folder.open_folder(folder).entries
        width = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1}
        sizes = [int(np.prod(e.shape)) * width[e.dtype] for e in entries.values()]
        for file in {e.file for e in entries.values()}:
            with open(file, "rb") as f:
                while f.read(1 << 26):
                    pass
        print(
            f"{folder}: {sum(sizes) / 2**30:.2f} GiB in {len(sizes)} tensors, the largest {max(sizes) / 2**20:.0f} MiB"
        )
        runs = {name: [] for name in _LOADERS}
        for _ in tqdm.trange(FLAGS.repeats, desc="load", unit="round", leave=False):
            for name in runs:
                runs[name].append(run(name, folder))
    rows = []
    for name, found in runs.items():
        best = min(found, key=lambda r: r["seconds"])
        anonymous, resident = (
            max(r[k] for r in found) for k in ("anonymous", "resident")
        )
        over = (anonymous - best["size"]) / max(sizes)
        rows.append(
            [
                name,
                f"{best['seconds']:.1f}",
                f"{max(r['seconds'] for r in found):.1f}",
                *(f"{x / 2**20:.0f}" for x in (best["size"], anonymous, resident)),
                f"{over:.2f}",
            ]
        )
    print(
        console.format_table(
            [
                "loader",
                "s, best",
                "s, worst",
                "model MiB",
                "peak anonymous MiB",
                "peak resident MiB",
                "(anonymous - model) / largest tensor",
            ],
            rows,
        )
    )


if __name__ == "__main__":
    command.run(main)
