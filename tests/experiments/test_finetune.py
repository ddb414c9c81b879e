import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import huggingface_hub
import pytest

from jaxent.runs import folder as run_folder
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


def kill_after(folder, step, arguments):
    """Kills a run once its log has reached a step."""
    process = subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    metrics = folder / "metrics.jsonl"
    while (
        process.poll() is None
        and max([r["step"] for r in log.read_metrics(metrics)], default=0) < step
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not (folder / "adapter").exists()


def test_a_folder_in_use_is_refused_at_once(tmp_path, own_probes):
    """Before the texts and the model are read: nothing is written."""
    out = tmp_path / "held"
    with run_folder.RunFolder(out).lock():
        second = run(command(out, own_probes))
        assert os.listdir(out) == [run_folder.LOCK]
    assert second.returncode == 1 and "Loading" not in second.stderr + second.stdout
    (line,) = second.stderr.splitlines()
    assert line.startswith(f"finetune: {out} is in use by process {os.getpid()} on ")


def test_killed_run_resumes_to_the_identical_adapter(tmp_path, own_probes):
    whole = run(command(tmp_path / "whole", own_probes))
    assert whole.returncode == 0, whole.stderr
    assert (
        "EI (as published)" in whole.stdout
        and "change over sets [95%]" in whole.stdout
        and f"Run folder: {tmp_path / 'whole'}" in whole.stdout
    )
    card = huggingface_hub.ModelCard.load(tmp_path / "whole" / "adapter" / "README.md")
    assert card.data.library_name == "peft" and str(tmp_path) not in str(card)
    assert "| CVO |" in card.text and "| max_steps | 8 |" in card.text
    cut = tmp_path / "cut"
    kill_after(cut, 5, command(cut, own_probes))
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


def write_own_files(folder):
    """Texts, questions with answers, and a mixture of the two and embedded code."""
    texts = [{"body": f"The court heard case {n} of {n * 7}."} for n in range(90)]
    pairs = [{"q": f"What is {n} + {n}?", "a": f" {2 * n}."} for n in range(70)]
    for name, found in (("law", texts), ("sums", pairs)):
        lines = [json.dumps(row) for row in found]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return [
        "--mixture=code:40,law:27,sums:33",
        f"--domain=law={folder / 'law.jsonl'},text_column=body",
        f"--domain=sums={folder / 'sums.jsonl'},prompt_column=q,completion_column=a",
        "--eval_steps=3",
        "--eval_share=0.1",
        "--max_eval_samples=10",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("streaming", ["--streaming", "--nostreaming"])
def test_a_killed_run_on_own_data_resumes_to_the_identical_adapter(
    tmp_path, own_probes, streaming
):
    data = [*write_own_files(tmp_path), streaming]
    whole = run(command(tmp_path / "whole", own_probes, *data))
    assert whole.returncode == 0, whole.stderr
    assert "held-out loss" in whole.stdout
    cut = tmp_path / "cut"
    kill_after(cut, 5, command(cut, own_probes, *data))
    resumed = run(command(cut, own_probes, *data, "--resume"))
    assert resumed.returncode == 0, resumed.stderr
    name = "adapter/adapter_model.safetensors"
    assert (cut / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    found = [
        [
            {k: v for k, v in record.items() if k != "seconds"}
            for record in log.read_metrics(folder / "metrics.jsonl")
            if record["kind"] in ("train", "eval")
        ]
        for folder in (cut, tmp_path / "whole")
    ]
    assert found[0] == found[1]
    scored = [record for record in found[0] if record["kind"] == "eval"]
    assert [record["step"] for record in scored] == [0, 3, 6, 8]
    assert set(scored[0]["domains"]) == {"code", "law", "sums"}
    assert scored[-1]["loss"] < scored[0]["loss"]
    record = json.loads((cut / "run.json").read_text())
    assert record["settings"]["condition"] == "own"
    assert set(record["data"]) == {"own_law", "own_sums"}
    summary = json.loads((cut / "summary.json").read_text())
    assert summary["held_out"]["after"]["loss"] == scored[-1]["loss"]
    with (tmp_path / "law.jsonl").open("r+") as file:
        file.write('{"body": "Another')  # the same length, other words
    changed = run(command(cut, own_probes, *data, "--resume"))
    assert "corpus is" in changed.stderr and "Traceback" not in changed.stderr


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
            ["--dataset=/nowhere/own.jsonl"],
            "finetune: /nowhere/own.jsonl: no such file or folder, and not a Hub id",
        ),
        (
            ["--dataset=own.jsonl", "--condition=B3"],
            "finetune: --condition beside --dataset or --mixture: expected one of them",
        ),
        (
            ["--mixture=code:70,law:30"],
            "finetune: --mixture: domain 'law' has no texts, expected --domain",
        ),
        (
            ["--revision=main"],
            "finetune: revision 'main' of model",
        ),
        (
            ["--tuner=full", "--noload_in_4bit"],
            "finetune: --lora_r with --tuner=full: expected it with an adapter only",
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
