"""Where the real language model is."""

import pathlib

import pytest

from jaxent.checkpoint import real_model


@pytest.fixture
def cache(tmp_path, monkeypatch) -> pathlib.Path:
    monkeypatch.setenv("JAXENT_CACHE", str(tmp_path))
    return tmp_path


def test_its_name_means_the_folder_once_it_is_made(cache):
    with pytest.raises(FileNotFoundError, match=r"run \./scripts/get_real_model"):
        real_model.resolve("smollm2")
    real_model.folder().mkdir()
    assert not real_model.is_there()  # config.json is written last
    (real_model.folder() / "config.json").write_text("{}")
    assert real_model.resolve("smollm2") == str(real_model.folder())
    assert real_model.folder().parent == cache


def test_other_models_stay(cache):
    assert real_model.resolve("Qwen/Qwen2.5-Coder-7B") == "Qwen/Qwen2.5-Coder-7B"


def test_the_folder_is_keyed_by_the_wheel(cache, monkeypatch):
    before = real_model.folder()
    monkeypatch.setattr(real_model, "WHEEL_SHA256", "f" * 64)
    assert real_model.folder() != before
