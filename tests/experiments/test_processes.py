"""finetune.py by real processes.

The same command in each, killed, continued by another number of them, equal to one
process alone.
"""

import json
import signal
import time

import many_processes
import numpy as np
import pytest
from flax import nnx

from jaxent.checkpoint import hf
from jaxent.model import blocks, config, transformer


@pytest.mark.slow
def test_four_processes_lose_one_and_two_go_on_to_what_one_alone_gives(
    own_probes, alone, tmp_path
):
    out = tmp_path / "run"
    four = many_processes.start(4, own_probes, out, "--mesh=fsdp:4")
    many_processes.wait_for_step(out, 3, four)
    four[2].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    texts = [p.communicate(timeout=20 * many_processes.HEARTBEAT)[0] for p in four]
    assert time.monotonic() - killed < 12 * many_processes.HEARTBEAT
    assert all(p.returncode != 0 for p in four) and not (out / "summary.json").exists()
    for text in texts[:2] + texts[3:]:
        assert (
            "another process of the 4 was lost" in text or "another task died" in text
        ), text
    two = many_processes.finish(
        many_processes.start(2, own_probes, out, "--mesh=data:2", "--resume")
    )
    assert "EI (as published)" in two[0] and "EI (as published)" not in two[1]
    np.testing.assert_allclose(
        many_processes.losses(out), many_processes.losses(alone), rtol=1e-5
    )
    assert np.linalg.norm(
        many_processes.adapter(out) - many_processes.adapter(alone)
    ) < 1e-3 * np.linalg.norm(many_processes.adapter(alone))
    record = json.loads((out / "run.json").read_text())
    assert record["processes"] == 4 and record["devices"] == 4


@pytest.mark.slow
def test_four_processes_train_on_nf4_weights_as_one_does(own_probes, tmp_path):
    """A checkpoint wide enough to split between blocks of 64, quantised as it is read,
    each process its own parts.
    """
    raw = json.loads((many_processes.TINY / "config.json").read_text()) | {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 64,
    }
    base = tmp_path / "wide"
    hf.save(transformer.Transformer(config.from_dict(raw), nnx.Rngs(0)), base, raw)
    for file in many_processes.TINY.glob("tokenizer*"):
        (base / file.name).write_bytes(file.read_bytes())
    flags = [f"--model={base}", "--load_in_4bit", "--max_steps=4", "--measure_steps=4"]
    many_processes.finish(many_processes.start(1, own_probes, tmp_path / "one", *flags))
    many_processes.finish(
        many_processes.start(
            4, own_probes, tmp_path / "four", *flags, "--mesh=fsdp:2,tensor:2"
        )
    )
    np.testing.assert_allclose(
        many_processes.losses(tmp_path / "four"),
        many_processes.losses(tmp_path / "one"),
        rtol=1e-5,
    )
    expected = many_processes.adapter(tmp_path / "one")
    assert np.linalg.norm(
        many_processes.adapter(tmp_path / "four") - expected
    ) < 1e-3 * np.linalg.norm(expected)


@pytest.mark.slow
def test_all_killed_at_once_resume_as_one(own_probes, alone, tmp_path):
    out = tmp_path / "run"
    two = many_processes.start(2, own_probes, out, "--mesh=tensor:2")
    many_processes.wait_for_step(out, 3, two)
    for process in two:
        process.send_signal(signal.SIGKILL)
    for process in two:
        process.communicate()
    many_processes.finish(many_processes.start(1, own_probes, out, "--resume"))
    np.testing.assert_allclose(
        many_processes.losses(out), many_processes.losses(alone), rtol=1e-5
    )


@pytest.mark.slow
def test_a_mistake_is_every_process_one_line(own_probes, alone):
    for text in [
        p.communicate(timeout=200)[0]
        for p in many_processes.start(2, own_probes, alone, "--mesh=data:2")
    ]:
        assert "already holds a run" in text and "Traceback" not in text


def test_each_of_four_processes_reads_its_part_of_checkpoint_and_data(
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
    texts = many_processes.finish(
        many_processes.launch(
            4, [str(many_processes.PROGRAMS / "read_a_part.py"), str(tmp_path)]
        )
    )
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


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("forwarded", "No space left on device: '/runs/x'"),
        ("alike", "script: wrong everywhere"),
    ],
)
def test_what_goes_wrong_for_all_is_every_process_one_line(how, message):
    begun = many_processes.launch(2, [str(many_processes.PROGRAMS / "fail.py"), how])
    texts = [p.communicate(timeout=100)[0] for p in begun]
    assert [p.returncode for p in begun] == [1, 1]
    for text in texts:
        assert message in text and "Traceback" not in text and "alone" not in text, text
        assert f"LEAST {9 << 30}\n" in text


@pytest.mark.slow
def test_one_that_fails_alone_ends_the_others_in_time():
    begun = many_processes.launch(
        2, [str(many_processes.PROGRAMS / "fail.py"), "alone"]
    )
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
    begun = many_processes.launch(
        2,
        [
            str(many_processes.PROGRAMS / "fail_in_a_study.py"),
            str(many_processes.SCRIPT),
            *many_processes.SMALL,
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
