"""Folders of shards: what is missing, damaged or double is named."""

import json
import os
import shutil
import subprocess
import sys

import families
import huggingface_hub.utils
import numpy as np
import pytest
import safetensors.numpy

from jaxent.checkpoint import hf, safetensors_folder


def test_files_that_do_not_fit_are_refused_by_name(qwen, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(qwen, cut)
    file = cut / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match="model.safetensors: truncated or damaged"):
        hf.load(str(cut))
    file.rename(cut / "pytorch_model.bin")
    with pytest.raises(
        FileNotFoundError, match="only pickle files .pytorch_model.bin."
    ):
        hf.load(str(cut))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        hf.load(str(tmp_path / "nowhere"))
    families.write("qwen2_tied", tmp_path / "sharded", max_shard_size="400KB")
    next((tmp_path / "sharded").glob("model-00002*")).unlink()
    with pytest.raises(
        FileNotFoundError, match="model-00002.*shard named by the index is missing"
    ):
        hf.load(str(tmp_path / "sharded"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"weight_map": {', "line 1: it ends within a value"),
        ("[]", "holds a list, expected an object"),
        ('{"metadata": {}}', "no weight_map, expected tensor names and files"),
        ('{"weight_map": []}', "no weight_map, expected tensor names and files"),
        ('{"weight_map": {"a": 3}}', "weight_map.a 3, expected a file's name"),
        ('{"weight_map": {"a": "1", "a": "2"}}', "key 'a' comes twice"),
    ],
)
def test_a_damaged_index_is_named(tmp_path, content, problem):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    with pytest.raises(ValueError, match=f"{index}.*{problem}"):
        safetensors_folder.open_folder(tmp_path)


def test_hub_ids_work_offline_once_cached(qwen, tmp_path):
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / "abc"
    shutil.copytree(qwen, snapshot)
    refs = tmp_path / "hub" / "models--some--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    script = (
        "from jaxent.checkpoint import safetensors_folder\n"
        "print(safetensors_folder.locate('some/model'))\n"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    out = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip().endswith("snapshots/abc")
    script = script.replace("some/model", "some/other")
    out = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert (
        "model 'some/other': not a local folder, and the Hub did not give it"
        in out.stderr.splitlines()[-1]
    )


def write_shards(folder, shards, weight_map):
    for name, tensors in shards.items():
        safetensors.numpy.save_file(tensors, folder / name)
    index = json.dumps({"weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")


def test_whole_tensors_and_parts_are_read_from_their_shards(tmp_path):
    a, b = np.arange(12.0).reshape(3, 4), np.ones(2, np.float16)
    write_shards(tmp_path, {"1": {"a": a}, "2": {"b": b}}, {"a": "1", "b": "2"})
    folder = safetensors_folder.open_folder(tmp_path)
    assert folder.entries["b"].dtype == "F16"
    np.testing.assert_array_equal(folder.read("a"), a)
    part = folder.read("a", (slice(1, 3), slice(0, 2)))
    np.testing.assert_array_equal(part, a[1:3, 0:2])


def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path):
    one = np.ones(1)
    shards = {"1": {"a": one}, "2": {"b": one}}
    write_shards(tmp_path, shards, {"a": "2", "b": "2", "c": "1"})
    with pytest.raises(ValueError, match="tensor 'a' is not in 2 as the index says"):
        safetensors_folder.open_folder(tmp_path)
    write_shards(tmp_path, {"1": {"a": one, "c": one}}, {"a": "1", "b": "2"})
    with pytest.raises(ValueError, match="tensor 'c' of 1 is not in the index"):
        safetensors_folder.open_folder(tmp_path)
    write_shards(tmp_path, {"2": {"a": one}}, {"a": "1", "b": "2"})
    with pytest.raises(ValueError, match="2: tensor 'a' is also in 1"):
        safetensors_folder.open_folder(tmp_path)


def test_only_what_is_read_is_downloaded():
    """As of mistralai/Mistral-7B-v0.3: the same 14.5 GB once more are left."""
    files = [
        "added_tokens.json",
        "checkpoint-500/model.safetensors",
        "config.json",
        "consolidated.00.pth",
        "consolidated.safetensors",
        "generation_config.json",
        "model-00001-of-00003.safetensors",
        "model.safetensors.index.json",
        "original/consolidated.00.safetensors",
        "params.json",
        "pytorch_model.bin",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    kept = huggingface_hub.utils.filter_repo_objects(
        files,
        allow_patterns=safetensors_folder._WANTED,
        ignore_patterns=safetensors_folder._UNWANTED,
    )
    assert list(kept) == [
        "added_tokens.json",
        "config.json",
        "generation_config.json",
        "model-00001-of-00003.safetensors",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_names_get_the_prefix_that_a_model_with_a_head_has(tmp_path):
    one = np.ones(2, np.float32)
    names = ("embed_tokens.weight", "layers.0.mlp.up_proj.weight", "lm_head.weight")
    tensors = {name: one * i for i, name in enumerate(names)}
    safetensors.numpy.save_file(tensors, tmp_path / "model.safetensors")
    folder = safetensors_folder.open_folder(tmp_path)
    assert sorted(folder.entries) == sorted(
        ["model.embed_tokens.weight", f"model.{names[1]}", "lm_head.weight"]
    )
    np.testing.assert_array_equal(folder.read(f"model.{names[1]}"), one)
    np.testing.assert_array_equal(folder.read("lm_head.weight", (slice(1),)), [2])


def test_a_revision_is_asked_of_the_hub_and_refused_for_a_folder(tmp_path, monkeypatch):
    asked = []

    def download(source, revision, allow_patterns, ignore_patterns):
        asked.append((source, revision))
        assert {"chat_template*", "config.json"} <= set(allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(
        safetensors_folder.huggingface_hub, "snapshot_download", download
    )
    assert safetensors_folder.locate("some/model", "v1.0") == tmp_path
    assert safetensors_folder.locate("some/model") == tmp_path
    assert asked == [("some/model", "v1.0"), ("some/model", None)]
    with pytest.raises(
        ValueError, match="revision 'v1.0' of model .* a folder has one"
    ):
        safetensors_folder.locate(str(tmp_path), "v1.0")
