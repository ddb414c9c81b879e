import json

import pytest

from jaxent.train import log


def test_half_written_record_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(
        json.dumps({"kind": "train", "step": 1}) + '\n{"kind": "tr'
    )
    assert log.read_metrics(tmp_path / "metrics.jsonl") == [
        {"kind": "train", "step": 1}
    ]


def test_a_damaged_record_is_named(tmp_path):
    """Only the last line may be cut; a disk that lost power leaves zeros."""
    file = tmp_path / "metrics.jsonl"
    first = json.dumps({"kind": "train", "step": 1, "loss": float("nan")}) + "\n"
    file.write_bytes(first.encode() + bytes(64))
    assert len(log.read_metrics(file)) == 1
    file.write_bytes(first.encode() + bytes(64) + b"\n" + first.encode())
    message = r"metrics\.jsonl, line 2: begins with a zero byte"
    with pytest.raises(ValueError, match=message):
        log.read_metrics(file)
    with pytest.raises(ValueError, match=message):
        log.MetricsLog(file).open(resume_step=3)


def write_steps(path, first, last, resume_step=None):
    metrics = log.MetricsLog(path)
    metrics.open(resume_step)
    for step in range(first, last + 1):
        metrics.write("train", step, {"loss": step / 3})
        if step % 2 == 0:
            metrics.write("measure", step, {"names": ["x"], "ei": None})
    metrics.close()
    return metrics


def test_a_resumed_log_equals_one_that_was_never_cut(tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    write_steps(whole, 1, 6)
    write_steps(cut, 1, 5)
    with cut.open("a") as file:
        file.write('{"kind": "train", "st')
    resumed = write_steps(cut, 3, 6, resume_step=2)
    assert cut.read_bytes() == whole.read_bytes()
    assert resumed.records == log.read_metrics(whole)
    assert [r["step"] for r in resumed.records] == [1, 2, 2, 3, 4, 4, 5, 6, 6]


def test_a_fresh_log_drops_an_earlier_one(tmp_path):
    path = tmp_path / "folder" / "metrics.jsonl"
    write_steps(path, 1, 4)
    assert len(write_steps(path, 1, 1).records) == len(log.read_metrics(path)) == 1


def test_records_are_on_disk_as_soon_as_they_are_written(tmp_path):
    metrics = log.MetricsLog(tmp_path / "metrics.jsonl")
    metrics.open()
    metrics.write("train", 1, {"loss": 0.1})
    assert log.read_metrics(tmp_path / "metrics.jsonl") == metrics.records
    metrics.close()


def test_other_processes_write_nothing(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = log.MetricsLog(path, writes=False)
    metrics.open(3)
    metrics.write("train", 4, {"loss": 0.1})
    metrics.close()
    assert not path.exists() and metrics.records == []
