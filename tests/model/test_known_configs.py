import json

import huggingface_hub
import pytest

from jaxent.model import config, known_configs

UNKNOWN = "nobody/no-such-model"


@pytest.mark.parametrize("name", known_configs.CONFIGS)
def test_every_known_model_has_a_supported_configuration(name):
    known = known_configs.require_config(name)
    assert known == config.from_dict(known_configs.CONFIGS[name])
    assert known.window is None and known.heads * known.head_dim >= known.embed


def test_a_folder_comes_before_the_table(tmp_path):
    raw = known_configs.CONFIGS["Qwen/Qwen3-0.6B"] | {"num_hidden_layers": 3}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    assert known_configs.find_config(str(tmp_path)).layers == 3


def test_a_hub_model_is_read_from_its_download(tmp_path, monkeypatch):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(known_configs.CONFIGS["mistralai/Mistral-7B-v0.3"]))
    asked = []

    def download(model, name):
        asked.append((model, name))
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert known_configs.find_config("somebody/a-mistral").family == "mistral"
    assert asked == [("somebody/a-mistral", "config.json")]


def test_an_unknown_model_is_none_or_an_error(monkeypatch):
    def download(model, name):
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert known_configs.find_config(UNKNOWN) is None
    with pytest.raises(ValueError, match=f"{UNKNOWN}.*expected a folder"):
        known_configs.require_config(UNKNOWN)
