"""Every other script by two real processes."""

import json
import os
import re
import subprocess
import sys

import many_processes
import pytest

from jaxent.evaluate import sample_files
from jaxent.runs import evaluate as evaluate_runs


def script(name, number, *arguments) -> list[str]:
    return many_processes.finish(
        many_processes.launch(
            number,
            [str(many_processes.SCRIPT.with_name(name)), "--preset=tiny", *arguments],
        )
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
        sorted((tmp_path / name / sample_files.RAW).read_text().splitlines())
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
        and len((tmp_path / "two" / sample_files.RAW).read_text().splitlines()) == 2
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

    def written(text):
        return re.sub(r"\[Gloo\].*\n", "", text).partition("def load(self")[2]

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
    code = (
        "from jax._src import xla_bridge as x; "
        "from jaxent.distributed import processes as p; "
        "p.initialize(); print('VISIBLE', x.CUDA_VISIBLE_DEVICES.value)"
    )
    command = [
        "bash",
        str(many_processes.ROOT / "scripts" / "launch" / "slurm.sh"),
        "-c",
        code,
    ]
    found = subprocess.run(
        command, env=os.environ | job, capture_output=True, text=True, timeout=100
    )
    assert "VISIBLE 0,1,2,3" in found.stdout, found.stdout + found.stderr
