import hashlib
import sys

import pytest

from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs
from jaxent.runs import validate


@pytest.fixture
def run(own_probes):
    return specs.RunSpec(
        specs.TINY_MODEL, "B0", probes=own_probes, **specs.PRESETS["tiny"]
    )


def test_commands_are_told_from_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys,
        "argv",
        [
            f"{tmp_path}/experiments/x.py",
            f"--output_dir={tmp_path}/runs",
            "--seeds=0,1",
        ],
    )
    assert validate.origin()["command"] == [
        "experiments/x.py",
        "--output_dir=runs",
        "--seeds=0,1",
    ]


def test_a_begun_folder_is_continued_only_by_the_same_run(tmp_path, run):
    validated = validate.validate_run(run)
    validate.begin_run(validated, tmp_path, resume=False)
    folder = run_folder.RunFolder(tmp_path)
    record = folder.read_record()
    assert validate.recorded_run(record) == run
    assert record["probes"]["number"] == 96 and len(record["model_hash"]) == 16
    with pytest.raises(ValueError, match="already holds a run: give another folder"):
        validate.begin_run(validated, tmp_path, resume=False)
    validate.begin_run(validated, tmp_path, resume=True)
    folder.write_record(record | {"tokenizer": "another"})
    with pytest.raises(ValueError, match="tokenizer is .* has 'another'"):
        validate.begin_run(validated, tmp_path, resume=True)


def test_settings_that_cannot_work_are_refused(own_probes):
    def problem(**settings):
        run = specs.RunSpec(
            specs.TINY_MODEL, "B4", csr_probes=own_probes, data_root="embedded"
        )
        fields = {**run.to_json(), "probes": own_probes, **settings}
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            validate.validate_run(specs.run_from_json(fields))
        return str(caught.value)

    assert "--csr_every 50: expected at most --max_steps 9" in problem(max_steps=9)
    assert "CSR target 'law'" in problem(csr_target="law")
    assert "learning_rate 0.0" in problem(learning_rate=0.0)
    assert "/nowhere" in problem(data_root="/nowhere")
    assert "/nowhere" in problem(adapter="/nowhere")


def test_hashes_are_of_the_content(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(b"tensors")
    expected = hashlib.sha256(b"tensors").hexdigest()
    assert validate.adapter_hash(first) == validate.adapter_hash(second) == expected
    blob = tmp_path / ("ab" * 32)
    blob.write_bytes(b"not read")
    link = tmp_path / "link"
    link.symlink_to(blob)
    assert validate.file_hash(link) == blob.name
