import os
import pathlib
import signal
import subprocess
import sys
import time

import huggingface_hub
import pytest

from jaxent.train import log

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "experiments" / "finetune.py"


def command(out, own_probes, *extra):
    small = [
        "--preset=tiny",
        "--max_steps=8",
        "--measure_steps=4",
        "--save_steps=2",
        "--max_length=64",
        "--lora_r=4",
        "--lora_alpha=12",
    ]
    return [
        sys.executable,
        str(SCRIPT),
        *small,
        f"--probes={own_probes}",
        f"--output_dir={out}",
        *extra,
    ]


def run(arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        arguments,
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )


def test_killed_run_resumes_to_the_identical_adapter(tmp_path, own_probes):
    whole = run(command(tmp_path / "whole", own_probes))
    assert whole.returncode == 0, whole.stderr
    assert (
        "EI (literal)" in whole.stdout
        and "change over sets [95%]" in whole.stdout
        and f"Run folder: {tmp_path / 'whole'}" in whole.stdout
    )
    card = huggingface_hub.ModelCard.load(tmp_path / "whole" / "adapter" / "README.md")
    assert card.data.library_name == "peft" and str(tmp_path) not in str(card)
    assert "| CVO |" in card.text and "| max_steps | 8 |" in card.text
    cut = tmp_path / "cut"
    process = subprocess.Popen(
        command(cut, own_probes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while (
        process.poll() is None
        and max([r["step"] for r in log.read_metrics(cut / "metrics.jsonl")], default=0)
        < 5
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (cut / "adapter").exists()
    assert "already holds a run" in run(command(cut, own_probes)).stderr
    assert (
        "lora_r is 8, but the run"
        in run(command(cut, own_probes, "--resume", "--lora_r=8")).stderr
    )
    resumed = run(command(cut, own_probes, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    name = "adapter/adapter_model.safetensors"
    assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [
        r["step"]
        for r in log.read_metrics(cut / "metrics.jsonl")
        if r["kind"] == "measure"
    ] == [0, 4, 8]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--condition=B7"], "value should be one of <B0|B1|B2|B3|B4|B5|B6>"),
        (["--model=/nowhere"], "finetune: model '/nowhere': no such folder"),
        (
            ["--condition=B4"],
            "finetune: --csr_every 50: expected at most --max_steps 8, or CSR never "
            "acts",
        ),
        (
            ["--data_root=/nowhere"],
            "finetune: data root /nowhere: none of code_search_net/python.jsonl",
        ),
        (
            ["--lora_target_modules=q_proj,embed"],
            "finetune: LoRA modules q_proj,embed: expected",
        ),
        (
            ["--seed_mode=sharded"],
            "finetune: --seed_mode=sharded with --mesh=None: expected a mesh with a "
            "seed axis",
        ),
    ],
)
def test_a_mistake_is_one_line_before_any_model_is_loaded(
    tmp_path, own_probes, extra, message
):
    found = run(command(tmp_path / "run", own_probes, *extra))
    assert (
        found.returncode != 0
        and message in found.stderr
        and "Traceback" not in found.stderr
    )
    assert not (tmp_path / "run").exists()
