"""Real processes: the same command in each, killed, continued by another number of them, equal to one process alone."""

import json
import os
import pathlib
import re
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
from jaxent.evaluate import humaneval
from jaxent.model import blocks, config, transformer
from jaxent.runs import evaluate as evaluate_runs
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


@pytest.fixture(scope="module")
def alone(own_probes, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("processes") / "alone"
    finish(start(1, own_probes, folder))
    return folder


@pytest.mark.slow
def test_four_processes_lose_one_and_two_go_on_to_what_one_alone_gives(
    own_probes, alone, tmp_path
):
    out = tmp_path / "run"
    four = start(4, own_probes, out, "--mesh=fsdp:4")
    wait_for_step(out, 3, four)
    four[2].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    texts = [p.communicate(timeout=20 * HEARTBEAT)[0] for p in four]
    assert time.monotonic() - killed < 12 * HEARTBEAT
    assert all(p.returncode != 0 for p in four) and not (out / "summary.json").exists()
    for text in texts[:2] + texts[3:]:
        assert (
            "another process of the 4 was lost" in text or "another task died" in text
        ), text
    two = finish(start(2, own_probes, out, "--mesh=data:2", "--resume"))
    assert "EI (literal)" in two[0] and "EI (literal)" not in two[1]
    np.testing.assert_allclose(losses(out), losses(alone), rtol=1e-5)
    assert np.linalg.norm(adapter(out) - adapter(alone)) < 1e-3 * np.linalg.norm(
        adapter(alone)
    )
    record = json.loads((out / "run.json").read_text())
    assert record["processes"] == 4 and record["devices"] == 4


@pytest.mark.slow
def test_four_processes_train_on_nf4_weights_as_one_does(own_probes, tmp_path):
    """A checkpoint wide enough to split between groups of 128, quantised as it is read, each process its own parts."""
    raw = json.loads((TINY / "config.json").read_text()) | {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
    }
    base = tmp_path / "wide"
    hf.save(transformer.Transformer(config.from_dict(raw), nnx.Rngs(0)), base, raw)
    for file in TINY.glob("tokenizer*"):
        (base / file.name).write_bytes(file.read_bytes())
    flags = [f"--model={base}", "--load_in_4bit", "--max_steps=4", "--measure_steps=4"]
    finish(start(1, own_probes, tmp_path / "one", *flags))
    finish(start(4, own_probes, tmp_path / "four", *flags, "--mesh=fsdp:2,tensor:2"))
    np.testing.assert_allclose(
        losses(tmp_path / "four"), losses(tmp_path / "one"), rtol=1e-5
    )
    expected = adapter(tmp_path / "one")
    assert np.linalg.norm(
        adapter(tmp_path / "four") - expected
    ) < 1e-3 * np.linalg.norm(expected)


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
    np.testing.assert_allclose(losses(out), losses(alone), rtol=1e-5)


@pytest.mark.slow
def test_a_mistake_is_every_process_one_line(own_probes, alone):
    for text in [
        p.communicate(timeout=200)[0]
        for p in start(2, own_probes, alone, "--mesh=data:2")
    ]:
        assert "already holds a run" in text and "Traceback" not in text


LOAD = """
import sys
import numpy
from jaxent.arrays import axes, processes
processes.start()
from jaxent.checkpoint import hf, safetensors_folder
from jaxent.data import batches
from jaxent.train import step
read, linear, total = safetensors_folder.Folder.read, [0], [0]
def traced(self, name, part=()):
    found = read(self, name, part)
    total[0] += found.nbytes
    if name.startswith("model.layers") and "proj.weight" in name:
        linear[0] += found.nbytes
    return found
safetensors_folder.Folder.read = traced
mesh = axes.make("fsdp:2,tensor:2")
model = hf.load(sys.argv[1], mesh=mesh)
weights = [getattr(model.layers.mlp, name).weight.get_value() for name in ("gate_proj", "up_proj", "down_proj")]
held = sum(s.data.nbytes for w in weights for x in (w.codes, w.scales) for s in x.addressable_shards)
print("READ", linear[0], total[0], held)
mine = step.held_here(16, 4, mesh)
print("ROWS", "".join("01"[row] for row in mine.astype(int)))
whole = [numpy.arange(2 + row, 40) for row in range(16)]
both = [step.place(batches.pad(whole, 40, 16, read)[0], 4, mesh) for read in (None, mine)]
print("SAME", all(bool((a.data == b.data).all()) for x, y in zip(*both) for a, b in zip(x.addressable_shards, y.addressable_shards)))
"""


def test_each_of_four_processes_reads_a_quarter_of_the_checkpoint_and_its_rows_of_the_data(
    tmp_path,
):
    raw = {
        "model_type": "llama",
        "vocab_size": 160,
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "tie_word_embeddings": True,
    }
    model = transformer.Transformer(config.from_dict(raw), nnx.Rngs(0))
    hf.save(model, tmp_path, raw)
    linear = sum(
        4 * raw["num_hidden_layers"] * k * n
        for k, n in blocks.linear_shapes(model.config).values()
    )
    texts = finish(launch(4, ["-c", LOAD, str(tmp_path)]))
    assert (
        sorted(text.split("ROWS ")[1][:16] for text in texts)
        == ["0011" * 4] * 2 + ["1100" * 4] * 2
    )  # two rows of every four
    for text in texts:
        assert "SAME True" in text
        read, total, held = map(int, text.split("READ")[1].split()[:3])
        norms = 4 * 512 * (2 * raw["num_hidden_layers"] + 1)  # split over fsdp alone
        assert read == linear / 4 and total == (linear + 4 * 160 * 512) / 4 + norms / 2
        assert held == 2 * 3 * 512 * 1024 * 0.5625 / 4


FAILING = """
import sys, time
from jaxent.arrays import processes

def refused():
    raise OSError(28, "No space left on device", "/runs/x")

@processes.guarded()
def main():
    processes.start()
    print("LEAST", processes.least((9 << 30) + (1 if processes.first() else 0)), flush=True)
    if sys.argv[1] == "forwarded":
        try:
            processes.by_first(refused)
        except (ValueError, OSError) as error:
            sys.exit(f"script: {error}")
    if sys.argv[1] == "alike":
        time.sleep(0 if processes.first() else 3)
        sys.exit("script: wrong everywhere")
    for step in range(10000):
        processes.by_first(lambda: "on")
        if step == 3 and not processes.first():
            raise RuntimeError("broken here alone")

main()
"""


@pytest.mark.parametrize(
    "how, message",
    [
        ("forwarded", "No space left on device: '/runs/x'"),
        ("alike", "script: wrong everywhere"),
    ],
)
def test_what_goes_wrong_for_all_is_every_process_one_line(how, message):
    begun = launch(2, ["-c", FAILING, how])
    texts = [p.communicate(timeout=100)[0] for p in begun]
    assert [p.returncode for p in begun] == [1, 1]
    for text in texts:
        assert message in text and "Traceback" not in text and "alone" not in text, text
        assert f"LEAST {9 << 30}\n" in text


@pytest.mark.slow
def test_one_that_fails_alone_ends_the_others_in_time():
    begun = launch(2, ["-c", FAILING, "alone"])
    first, other = (
        p.communicate(timeout=100)[0] for p in begun
    )  # and not the five minutes of JAX's exchange at exit
    assert all(p.returncode for p in begun)
    assert (
        "RuntimeError: broken here alone" in other
        and "Process 1 of 2 failed alone" in other
    )
    assert (
        "another process of the 2 was lost" in first or "another task died" in first
    ), first


@pytest.mark.slow
def test_one_that_fails_alone_in_a_study_does_not_go_on_to_the_next_run(
    own_probes, tmp_path
):
    code = f"""
import runpy, sys
from jaxent.arrays import processes
from jaxent.data import corpora
draw = corpora.Corpus.batch
def batch(self, mixture, seed, index, *rest):
    if index == 2 and not processes.first():
        raise MemoryError("here alone")
    return draw(self, mixture, seed, index, *rest)
corpora.Corpus.batch = batch
sys.path.insert(0, "{SCRIPT.parent}")
sys.argv[0] = "{SCRIPT}"
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    begun = launch(
        2,
        [
            "-c",
            code,
            *SMALL,
            f"--probes={own_probes}",
            f"--output_dir={tmp_path}",
            "--mesh=data:2",
            "--seeds=0,1",
        ],
    )
    first, other = (p.communicate(timeout=200)[0] for p in begun)
    assert all(p.returncode for p in begun) and not list(tmp_path.rglob("summary.json"))
    assert "MemoryError: here alone" in other and "seed1" not in other
    assert (
        "another process of the 2 was lost" in first or "another task died" in first
    ), first


def script(name, number, *arguments) -> list[str]:
    return finish(
        launch(number, [str(SCRIPT.with_name(name)), "--preset=tiny", *arguments])
    )


@pytest.mark.slow
def test_two_processes_write_the_samples_of_one(tmp_path):
    common = ["--max_new_tokens=8", "--limit=2", "--allow_unsandboxed"]
    script("evaluate.py", 1, *common, f"--output_dir={tmp_path / 'one'}")
    texts = script(
        "evaluate.py", 2, *common, f"--output_dir={tmp_path / 'two'}", "--mesh=data:2"
    )
    assert "Results:" in texts[0] and "Results:" not in texts[1]
    one, two = (
        sorted((tmp_path / name / humaneval.RAW).read_text().splitlines())
        for name in ("one", "two")
    )
    assert one == two and len(one) == 2
    scores = [
        json.loads((tmp_path / name / "scores.json").read_text())["counts"]
        for name in ("one", "two")
    ]
    assert scores[0] == scores[1]
    assert (
        json.loads((tmp_path / "two" / "evaluation.json").read_text())["processes"] == 2
    )
    again = script(
        "evaluate.py", 2, *common, f"--output_dir={tmp_path / 'two'}", "--mesh=data:2"
    )
    assert (
        "Results:" in again[0]
        and len((tmp_path / "two" / humaneval.RAW).read_text().splitlines()) == 2
    )


@pytest.mark.slow
def test_two_processes_measure_what_one_does(own_probes, alone, tmp_path):
    common = [
        f"--probes={own_probes}",
        "--layers=0,1,2",
        "--drift_target=code",
        "--noload_in_4bit",
        f"--adapter={alone / 'adapter'}",
    ]
    script("measure.py", 1, *common, f"--output_dir={tmp_path / 'one'}")
    texts = script(
        "measure.py", 2, *common, f"--output_dir={tmp_path / 'two'}", "--mesh=fsdp:2"
    )
    assert "Results:" in texts[0] and "Results:" not in texts[1]
    one, two = (
        json.loads((tmp_path / name / "measure.json").read_text())
        for name in ("one", "two")
    )
    assert len(one) == len(two) == 3
    for before, after in zip(one, two):
        assert after["processes"] == 2 and after["model_hash"] == before["model_hash"]
        for name in ("sv_energy", "cvo", "sei", "v_purity", "singular"):
            assert before[name] is after[name] is None or after[name] == pytest.approx(
                before[name], rel=1e-3
            ), name
        assert after["drift"]["total"] == pytest.approx(
            before["drift"]["total"], rel=1e-3
        )
    assert one[-1]["v_purity"] > 0 and one[-1]["drift"]["total"] > 0


@pytest.mark.slow
def test_two_processes_print_what_one_does():
    one, two = (
        script("generate.py", n, "--prompt=def load(self", "--max_new_tokens=12", *more)
        for n, more in ((1, []), (2, ["--mesh=data:2"]))
    )
    written = lambda text: re.sub(r"\[Gloo\].*\n", "", text).partition("def load(self")[
        2
    ]
    assert (
        len(written(one[0])) > 8
        and written(one[0]) == written(two[0])
        and not written(two[1])
    )


@pytest.mark.slow
def test_a_study_is_trained_and_evaluated_on_both_hosts_and_recorded_on_the_first(
    own_probes, tmp_path
):
    small = [
        "--max_steps=2",
        "--max_length=32",
        "--lora_r=2",
        "--lora_alpha=6",
        "--batch_size=4",
        "--max_train_samples=200",
        "--measure_steps=2",
        "--micro_batch_size=2",
    ]
    chosen = [
        "--conditions=B0,B2",
        "--interventions=strong",
        "--mesh=data:2",
        "--evaluate_flags=--limit=2,--max_new_tokens=4,--allow_unsandboxed",
    ]
    texts = script(
        "companions.py",
        2,
        *small,
        *chosen,
        f"--probes={own_probes}",
        f"--output_dir={tmp_path}",
    )
    assert "Results:" in texts[0] and "Results:" not in texts[1]
    for folder in (tmp_path / "tiny" / "B0", tmp_path / "tiny" / "B2-strong-seed0"):
        assert json.loads((folder / "run.json").read_text())["processes"] == 2
        assert (
            json.loads((folder / evaluate_runs.FOLDER / "evaluation.json").read_text())[
                "processes"
            ]
            == 2
        )
        assert evaluate_runs.coding_scores(folder)["samples"] == 2
    assert (
        len(json.loads((tmp_path / "companions" / "study.json").read_text())["runs"])
        == 2
    )


def test_slurm_gives_a_process_all_gpus_of_its_node(tmp_path):
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").write_text(
        f'#!/bin/sh\nexec {sys.executable} "$@"\n'
    )
    (tmp_path / "srun").write_text('#!/bin/sh\nshift\nexec "$@"\n')
    for file in (tmp_path / "srun", tmp_path / ".venv" / "bin" / "python"):
        file.chmod(0o755)
    job = {
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_GPUS_ON_NODE": "4",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "1",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    code = "from jax._src import xla_bridge as x; from jaxent.arrays import processes as p; p.start(); print('VISIBLE', x.CUDA_VISIBLE_DEVICES.value)"
    command = ["bash", str(ROOT / "scripts" / "launch" / "slurm.sh"), "-c", code]
    found = subprocess.run(
        command, env=os.environ | job, capture_output=True, text=True, timeout=100
    )
    assert "VISIBLE 0,1,2,3" in found.stdout, found.stdout + found.stderr
