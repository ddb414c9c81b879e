"""Starts the same program in several processes and reads what became of it."""

import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import safetensors.numpy

from jaxent.train import log

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "experiments" / "finetune.py"
SMALL = [
    "--preset=tiny",
    "--noload_in_4bit",
    "--lora_target_modules=q_proj,down_proj",
    "--measure_steps=8",
    "--save_steps=2",
    "--max_length=64",
    "--lora_r=4",
    "--lora_alpha=12",
    "--max_steps=8",
]
TINY = ROOT / "jaxent" / "data" / "checkpoints" / "tiny"
HEARTBEAT = 10
PROGRAMS = pathlib.Path(__file__).with_name("programs")


def start(number, probes, out, *extra) -> list[subprocess.Popen]:
    """finetune.py once a process."""
    return launch(
        number,
        [str(SCRIPT), *SMALL, f"--probes={probes}", f"--output_dir={out}", *extra],
    )


def launch(number, arguments) -> list[subprocess.Popen]:
    """The program once a process; each sees one device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    found = []
    for index in range(number):
        named = (
            {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(number),
                "JAX_PROCESS_ID": str(index),
            }
            if number > 1
            else {}
        )
        env = (
            os.environ
            | named
            | {
                "JAXENT_HEARTBEAT": str(HEARTBEAT),
                "XLA_FLAGS": "",
                "JAX_PLATFORMS": "cpu",
            }
        )
        found.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return found


def finish(processes) -> list[str]:
    texts = [p.communicate(timeout=400)[0] for p in processes]
    assert [p.returncode for p in processes] == [0] * len(processes), texts
    return texts


def wait_for_step(folder, step, processes):
    while (
        max([r["step"] for r in log.read_metrics(folder / "metrics.jsonl")], default=0)
        < step
    ):
        assert all(p.poll() is None for p in processes), [
            p.communicate()[0] for p in processes if p.poll() is not None
        ]
        time.sleep(0.05)


def adapter(folder) -> np.ndarray:
    found = safetensors.numpy.load_file(
        folder / "adapter" / "adapter_model.safetensors"
    )
    return np.concatenate([found[name].reshape(-1) for name in sorted(found)])


def losses(folder) -> list[float]:
    return [
        r["loss"]
        for r in log.read_metrics(folder / "metrics.jsonl")
        if r["kind"] == "train"
    ]
