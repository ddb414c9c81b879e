"""Real processes: the same command in each, killed, continued by another number of them, equal to one process alone."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from jaxent.checkpoint import hf
from jaxent.model import config, transformer
from jaxent.train import log

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "finetune.py"
SMALL = ["--preset=tiny", "--noquantize", "--modules=q_proj,down_proj", "--measure_every=8", "--save_every=2", "--max_length=64",
         "--rank=4", "--alpha=12", "--steps=8"]  # fmt: skip
HEARTBEAT = 10


def start(number, probes, out, *extra) -> list[subprocess.Popen]:
    """finetune.py once a process."""
    return launch(number, [str(SCRIPT), *SMALL, f"--probes={probes}", f"--out={out}", *extra])


def launch(number, arguments) -> list[subprocess.Popen]:
    """The program once a process; each sees one device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    found = []
    for index in range(number):
        named = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(number), "JAX_PROCESS_ID": str(index)} if number > 1 else {}
        env = os.environ | named | {"JAXENT_HEARTBEAT": str(HEARTBEAT), "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
        found.append(subprocess.Popen([sys.executable, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    return found


def finish(processes) -> list[str]:
    texts = [p.communicate(timeout=400)[0] for p in processes]
    assert [p.returncode for p in processes] == [0] * len(processes), texts
    return texts


def wait_for_step(folder, step, processes):
    while max([r["step"] for r in log.read(folder / "metrics.jsonl")], default=0) < step:
        assert all(p.poll() is None for p in processes), [p.communicate()[0] for p in processes if p.poll() is not None]
        time.sleep(0.05)


def adapter(folder) -> np.ndarray:
    found = safetensors.numpy.load_file(folder / "adapter" / "adapter_model.safetensors")
    return np.concatenate([found[name].reshape(-1) for name in sorted(found)])


def losses(folder) -> list[float]:
    return [r["loss"] for r in log.read(folder / "metrics.jsonl") if r["kind"] == "train"]


@pytest.fixture(scope="module")
def alone(own_probes, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("processes") / "alone"
    finish(start(1, own_probes, folder))
    return folder


@pytest.mark.slow
def test_four_processes_lose_one_and_two_go_on_to_what_one_alone_gives(own_probes, alone, tmp_path):
    out = tmp_path / "run"
    four = start(4, own_probes, out, "--mesh=fsdp:4")
    wait_for_step(out, 3, four)
    four[2].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    texts = [p.communicate(timeout=20 * HEARTBEAT)[0] for p in four]
    assert time.monotonic() - killed < 12 * HEARTBEAT
    assert all(p.returncode != 0 for p in four) and not (out / "summary.json").exists()
    for text in texts[:2] + texts[3:]:
        assert "another process of the 4 was lost" in text or "another task died" in text, text
    two = finish(start(2, own_probes, out, "--mesh=data:2", "--resume"))
    assert "EI (literal)" in two[0] and "EI (literal)" not in two[1]
    np.testing.assert_allclose(losses(out), losses(alone), rtol=2e-4)
    assert np.linalg.norm(adapter(out) - adapter(alone)) < 0.05 * np.linalg.norm(adapter(alone))
    record = json.loads((out / "run.json").read_text())
    assert record["processes"] == 4 and record["devices"] == 4


@pytest.mark.slow
def test_all_killed_at_once_resume_as_one(own_probes, alone, tmp_path):
    out = tmp_path / "run"
    two = start(2, own_probes, out, "--mesh=tensor:2")
    wait_for_step(out, 3, two)
    for process in two:
        process.send_signal(signal.SIGKILL)
    for process in two:
        process.communicate()
    finish(start(1, own_probes, out, "--resume"))
    np.testing.assert_allclose(losses(out), losses(alone), rtol=2e-4)


@pytest.mark.slow
def test_a_mistake_is_every_process_one_line(own_probes, alone):
    for text in [p.communicate(timeout=200)[0] for p in start(2, own_probes, alone, "--mesh=data:2")]:
        assert "already holds a run" in text and "Traceback" not in text


LOAD = """
import sys
from jaxent.arrays import axes, processes
processes.start()
from jaxent.checkpoint import hf, safetensors_folder
read, total = safetensors_folder.Folder.read, [0]
def traced(self, name, part=()):
    found = read(self, name, part)
    if name.startswith("model.layers") and "proj.weight" in name:
        total[0] += found.nbytes
    return found
safetensors_folder.Folder.read = traced
model = hf.load(sys.argv[1], mesh=axes.make("fsdp:2,tensor:2"))
weights = [getattr(model.layers.mlp, name).weight.get_value() for name in ("gate_proj", "up_proj", "down_proj")]
held = sum(s.data.nbytes for w in weights for x in (w.codes, w.scales) for s in x.addressable_shards)
print("READ", total[0], held)
"""


def test_each_of_four_processes_reads_a_quarter_of_the_linear_weights(tmp_path):
    raw = {"model_type": "llama", "vocab_size": 160, "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2,
           "num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": True}  # fmt: skip
    model = transformer.Transformer(config.from_dict(raw), nnx.Rngs(0))
    hf.save(model, tmp_path, raw)
    linear = sum(4 * raw["num_hidden_layers"] * k * n for k, n in transformer.shapes(model.config).values())
    for text in finish(launch(4, ["-c", LOAD, str(tmp_path)])):
        read, held = map(int, text.split("READ")[1].split())
        assert read == linear / 4
        assert held == 2 * 3 * 512 * 1024 * 0.5625 / 4
