"""The benchmark's arithmetic and table, and one small real run of it."""

import importlib
import json
import pathlib
import statistics
import subprocess
import sys

import pytest
from benchmarks import cases, decode, flops, pairs, peers, results

ROOT = pathlib.Path(__file__).resolve().parents[2]
WHAT = [
    "step",
    "mixture",
    "decode",
    "prefill",
    "capture",
    "measure",
    "seeds",
    "load",
    "start",
]


def record(**changed):
    """A stored row of three rounds: 100, 90 and 80 tokens a second beside 50."""
    ours = {"wall": [1.0, 1.25, 1.0], "processor": [2.0, 2.5, 2.0]}
    theirs = {"wall": [2.0, 2.0, 3.0], "processor": [4.0, 2.5, 4.0]}
    compiled = {"first_compiling": 3.21}
    stored = {
        "what": "step",
        "name": "a | b",
        "unit": "tokens",
        "amount": 100,
        "flops": 1e9,
        "matmul_rate": 4e9,
        "remark": "as it was",
        "sides": {"ours": ours | compiled, "PEFT": theirs | compiled},
        "machine": {
            "processor": "EPYC",
            "instructions": "avx2",
            "cores": 2,
            "python": "3.11",
            "versions": {"jax": "0.10", "torch": None},
        },
        "date": "2026-11-28T10:00:00",
    }
    return stored | changed


def test_ratio_is_the_median_of_pairwise_ratios():
    ours, theirs = [1.0, 2.0, 4.0], [3.0, 2.0, 10.0]
    found = pairs.ratio(ours, theirs)
    assert (found.median, found.low, found.high) == (2.5, 1.0, 3.0)
    # Not the ratio of medians, which the machine's slow minutes decide.
    assert statistics.median(theirs) / statistics.median(ours) == 1.5
    with pytest.raises(ValueError, match="1 rounds beside 2: expected as many"):
        pairs.ratio([1.0], [1.0, 2.0])


def test_sides_run_in_turn_after_each_has_warmed_up():
    order = []
    work = pairs.Workload(
        "calls",
        amount=len,
        ours=lambda: order.append("ours") or "four",
        theirs={"peer": lambda: order.append("peer")},
    )
    timing = pairs.measure(work, rounds=2)
    assert order == ["ours", "peer"] * 3
    assert timing.amount == 4
    assert [len(timing.rounds[name]) for name in ("ours", "peer")] == [2, 2]


def test_the_fastest_peer_alone_is_timed_where_that_is_asked_for():
    slow, fast = pairs.Spent(2.0, 1.0), pairs.Spent(1.0, 3.0)
    theirs = {"slow": lambda: slow, "fast": lambda: fast}
    work = pairs.Workload("", 1, lambda: slow, theirs, fastest_only=True)
    timing = pairs.measure(work, rounds=1)
    assert timing.rounds == {"ours": [slow], "fast": [fast]}
    assert timing.first["slow"] == slow


def test_compilations_are_counted_apart():
    import jax
    import jax.numpy as jnp

    square = jax.jit(lambda x: x @ x - 3)
    x = jnp.ones((5, 5))
    first, _ = pairs.clock(lambda: square(x).block_until_ready())
    second, _ = pairs.clock(lambda: square(x).block_until_ready())
    assert first.programs >= 1 and 0 < first.compiling <= first.wall
    assert second.programs == 0 and second.compiling == 0


def test_table_says_speed_ratio_and_share():
    [row] = results.table_rows(record())
    assert row[1:] == [
        "100 tokens/s",
        "PEFT",
        "50.0 tokens/s",
        "2.00 (1.60 to 3.00)",
        "2.00",
        "25%",
        "3.2",
    ]
    lines = results.format_table([record(), record(name="c")]).splitlines()
    assert lines[2].startswith(r"| step: a \| b | 100 tokens/s | PEFT |")
    assert len(lines) == 7 and lines[5] == "- as it was"
    assert "EPYC (avx2), 2 cores" in lines[6] and "torch" not in lines[6]


def test_table_without_a_peer_has_our_side_alone():
    alone = record(flops=None, unit="")
    del alone["sides"]["PEFT"]
    [row] = results.table_rows(alone)
    assert row[1:] == ["1 s", "-", "-", "-", "-", "-", "3.2"]


def test_rows_are_stored_and_not_measured_again(tmp_path):
    assert results.read_records(tmp_path) == {}
    results.write_records(tmp_path, {"step: a": record()})
    [stored] = results.read_records(tmp_path).values()
    assert stored == record()
    alone = record(sides={"ours": record()["sides"]["ours"]})
    assert results.is_done(stored, with_peer=True)
    assert results.is_done(alone, with_peer=False)
    assert not results.is_done(alone, with_peer=True)
    assert not results.is_done(None, with_peer=False)


def test_examples_of_like_length_share_a_batch():
    examples = [[0] * n for n in (9, 2, 4, 3, 8)]
    found = peers.by_length(examples, tokens=18)
    assert [[len(e) for e in batch] for batch in found] == [[2, 3, 4], [8, 9]]


@pytest.mark.parametrize("module", [cases, decode, flops, pairs, peers, results])
def test_examples_in_docstrings_hold(module):
    import doctest

    assert doctest.testmod(module).failed == 0


def test_every_row_has_a_name_of_its_own(tmp_path, smollm2):
    keys = []
    for quick in (False, True):
        settings = cases.Settings(tmp_path / "scratch", quick, model=str(smollm2))
        for what in WHAT:
            module = importlib.import_module(f"benchmarks.{what}")
            found = [case.key for case in module.make_cases(settings)]
            assert found and all(key.startswith(f"{what}: ") for key in found)
            keys += [f"{quick} {key}" for key in found]
    assert len(set(keys)) == len(keys)
    assert not (tmp_path / "scratch").exists()  # nothing is made before it is measured


def test_a_small_step_is_measured_and_stored(tmp_path):
    pytest.importorskip("bitsandbytes")
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py")]
    command += ["--what=step", "--quick", "--pairs=1", "--model=none", "--layers=1"]
    command += ["--vocab=128", "--lengths=16", f"--output_dir={tmp_path}"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    [stored] = json.loads((tmp_path / results.FILE).read_text()).values()
    assert stored["amount"] == 16 and stored["matmul_rate"] > 0
    sides = stored["sides"]
    assert set(sides) == {
        "ours",
        "PEFT, gradient checkpointing",
        "PEFT, no checkpointing",
    }
    assert all(
        side["wall"][0] > 0 and side["processor"][0] > 0 for side in sides.values()
    )
    assert sides["ours"]["first_programs"] > 0
    assert sides["ours"]["programs_compiled_in_rounds"] == 0
    assert "| step: 1 layers of Qwen2.5-0.5B, a row of 16 |" in ran.stdout


def test_wrong_words_end_in_a_line():
    command = [sys.executable, str(ROOT / "scripts" / "benchmark.py"), "--what=stop"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1
    [line] = ran.stderr.strip().splitlines()
    assert line.startswith("benchmark: --what stop: expected some of step,mixture,")
