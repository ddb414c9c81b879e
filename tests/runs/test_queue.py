import dataclasses
import json
import pathlib
import subprocess
import sys
import time

import pytest

from jaxent.arrays import lora
from jaxent.checkpoint import hf
from jaxent.data import corpora
from jaxent.model import transformer
from jaxent.runs import folder as run_folder
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import questions, queue, validate
from jaxent.runs import spec as specs
from jaxent.train import log, step


@pytest.fixture
def settings(own_probes):
    return specs.PRESETS["tiny"] | {
        "max_steps": 4,
        "measure_steps": 2,
        "save_steps": 1,
        "max_length": 32,
        "lora_r": 2,
        "lora_alpha": 6.0,
        "max_train_samples": 200,
        "batch_size": 4,
        "probes": own_probes,
        "csr_probes": own_probes,
        "csr_every": 2,
    }


@pytest.fixture
def loaded(monkeypatch):
    """Every loading of a base model, as it happens."""
    found, load = [], hf.load
    monkeypatch.setattr(
        hf,
        "load",
        lambda folder, *rest, **more: (
            found.append(folder) or load(folder, *rest, **more)
        ),
    )
    return found


def disturbed(monkeypatch, kill: set):
    """Seed 1's data kill the process at step 2 while `kill` says so.

    Seed 2's hold NaN from step 1 on.
    """
    draw = corpora.Corpus.batch

    def batch(self, mixture, seed, index, *rest):
        found, rows = draw(self, mixture, seed, index, *rest)
        if seed == 1 and index == 2 and kill:
            raise KeyboardInterrupt
        return found._replace(
            weights=found.weights * (float("nan") if seed == 2 and index else 1.0)
        ), rows

    monkeypatch.setattr(corpora.Corpus, "batch", batch)


def test_runs_share_a_model_and_a_step_and_go_on_after_a_kill_and_a_failure(
    tmp_path, settings, loaded, monkeypatch
):
    runs = [
        specs.RunSpec(specs.TINY_MODEL, "B0", **settings),
        *questions.csr_lambda([specs.TINY_MODEL], (0, 1, 2), (0.3,), settings=settings),
        *questions.csr_lambda(
            [specs.TINY_MODEL],
            (0,),
            (0.03,),
            settings=settings | {"data_root": "/nowhere"},
        ),
        specs.RunSpec(
            specs.TINY_MODEL, "B4", adapter="tiny/B3-strong-seed5", **settings
        ),
        *questions.csr_lambda([specs.TINY_MODEL], (3,), (0.1,), settings=settings),
    ]
    disturbed(monkeypatch, kill := {"seed 1"})
    with pytest.raises(KeyboardInterrupt):
        queue.run_all(runs, tmp_path, progress=False)
    kill.clear()
    outcomes = queue.run_all(runs, tmp_path, progress=False)
    assert [o.state for o in outcomes] == [
        "skipped",
        "skipped",
        "done",
        "failed",
        "failed",
        "failed",
        "done",
    ]
    nan, early, missing = (o.reason for o in outcomes[3:6])
    assert (
        "step 2: loss nan" in nan
        and "/nowhere: none of" in early
        and "B3-strong-seed5" in missing
    )
    assert len(loaded) == 2  # once a call of five runs
    compute = dataclasses.replace(transformer.default_compute(), remat="none")
    compiled = step.jit_train_step(runs[1].train_config, compute)
    assert (
        compiled._cache_size() == 1
    )  # for fresh and continued runs, two seeds and two lambdas
    assert [
        r["step"]
        for r in log.read_metrics(outcomes[2].folder / "metrics.jsonl")
        if r["kind"] == "train"
    ] == [1, 2, 3, 4]
    finished = [r for r in runs if outcomes[runs.index(r)].state != "failed"]
    assert {o.state for o in queue.run_all(finished, tmp_path, progress=False)} == {
        "skipped"
    } and len(loaded) == 2
    check_summary(json.loads((outcomes[2].folder / "summary.json").read_text()))
    assert (
        validate.recorded_run(json.loads((outcomes[2].folder / "run.json").read_text()))
        == runs[2]
    )
    assert run_outcomes.format_failures(outcomes).count("\n") == 2


def test_apart_no_model_is_loaded_here(tmp_path, settings, loaded):
    runs = [
        specs.RunSpec(specs.TINY_MODEL, "B0", **settings),
        specs.RunSpec(specs.TINY_MODEL, **settings | {"data_root": "/nowhere"}),
    ]
    outcomes, first = queue.run_in_subprocess(runs, tmp_path)
    assert (
        first
        and [(o.run, o.state) for o in outcomes] == list(zip(runs, ("done", "failed")))
        and "/nowhere: none of" in outcomes[1].reason
    )
    assert (
        json.loads((outcomes[0].folder / "summary.json").read_text())["adapter_hash"]
        is None
    )
    assert not loaded


def test_what_runs_apart_ends_with_its_parent():
    code = (
        "import concurrent.futures, multiprocessing, os, time\n"
        "from jaxent.runs import queue\n"
        "pool = concurrent.futures.ProcessPoolExecutor(\n"
        "    1, multiprocessing.get_context('spawn'), queue._end_with_parent)\n"
        "print(pool.submit(os.getpid).result(), flush=True)\n"
        "pool.submit(time.sleep, 600).result()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()

    def ended():
        return not pathlib.Path(f"/proc/{child}").exists()

    assert any(ended() or time.sleep(0.1) for _ in range(100))


def check_summary(summary):
    drift = summary["csr_drift"]
    assert (
        drift == summary["drift"]
        and drift["total"] == pytest.approx(drift["inside"] + drift["outside"])
        and drift["total"] > 0
    )
    assert (
        summary["steps"] == 4
        and summary["tokens"] > 50
        and summary["seconds"] > 0
        and len(summary["adapter_hash"]) == 64
    )
    assert summary["sv_energy"]["total"] > 0 and set(
        summary["sv_energy"]["modules"]
    ) == set(lora.MODULES)
    assert (
        summary["csr_ratio"] > 0
        and summary["csr_loss"] > 0
        and 0 < summary["final_loss"] < 10
    )


def test_a_folder_of_another_run_is_refused(tmp_path, settings):
    run = specs.RunSpec(specs.TINY_MODEL, "B0", **settings)
    validate.begin_run(validate.validate_run(run), tmp_path / run.name, resume=True)
    other = specs.RunSpec(specs.TINY_MODEL, "B0", **settings | {"lora_r": 3})
    outcome = queue.run_all([other], tmp_path)[0]
    assert outcome.state == "failed" and "lora_r is 3, but the run in" in outcome.reason


def test_a_folder_in_use_is_refused_before_the_model_is_loaded(
    tmp_path, settings, loaded
):
    """And other runs of the group go on; the one in use is left as it is."""
    held, free = questions.runs(specs.TINY_MODEL, "B3", "strong", (0, 1), settings)
    folder = run_folder.RunFolder(tmp_path / held.name)
    with folder.lock():
        (outcome,) = queue.run_all([held], tmp_path, progress=False)
        assert outcome.state == "failed" and "in use by process" in outcome.reason
        assert loaded == [] and not folder.begun
        outcomes = queue.run_all(
            [held, free], tmp_path, progress=False, seeds_together=True
        )
        assert [outcome.state for outcome in outcomes] == ["failed", "done"]
    assert not folder.path.exists()


def test_two_runs_of_one_name_are_refused(settings):
    runs = [
        specs.RunSpec("a/x", seed=0, **settings),
        specs.RunSpec("b/X", seed=0, **settings),
    ]
    with pytest.raises(
        ValueError, match="2 runs of the study would be in the folder x/B3-strong-seed0"
    ):
        queue.check_unique_names(runs)


@pytest.mark.slow
def test_seeds_in_one_step_give_a_folder_each_and_the_losses_of_each_alone(
    tmp_path, settings
):
    runs = questions.runs(specs.TINY_MODEL, "B3", "strong", (0, 1), settings)
    together = queue.run_all(
        runs,
        tmp_path / "together",
        progress=False,
        mesh="seed:2,data:4",
        seeds_together=True,
    )
    alone = queue.run_all(runs, tmp_path / "alone", progress=False)
    for one, other in zip(together, alone):
        assert (
            one.state == other.state == "done"
            and (one.folder / "adapter" / "adapter_model.safetensors").is_file()
        )
        losses = [
            [
                r["loss"]
                for r in log.read_metrics(o.folder / "metrics.jsonl")
                if r["kind"] == "train"
            ]
            for o in (one, other)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert {
        o.state for o in queue.run_all(runs, tmp_path / "together", seeds_together=True)
    } == {"skipped"}
