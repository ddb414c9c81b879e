import json

import ml_dtypes
import pytest
import transformers

from jaxent.checkpoint import model_files
from jaxent.runs import spec


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_json", ".json").replace(
            "_jinja", ".jinja"
        )
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return folder


@pytest.fixture
def base(tmp_path):
    return write(
        tmp_path / "base",
        tokenizer_json="{}",
        tokenizer_config_json="{}",
        chat_template_jinja="base",
        additional_chat_templates__tool_jinja="tool",
        generation_config_json="{}",
        LICENSE="free",
        config_json="{}",
        optimizer_json="{}",
    )


def test_tokenizer_chat_templates_generation_and_licence_are_copied(base, tmp_path):
    files = model_files.list_files(base)
    assert [*files] == [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "additional_chat_templates/tool.jinja",
        "generation_config.json",
        "LICENSE",
    ]
    link = base / "vocab.json"
    link.symlink_to(base / "LICENSE")  # as in the Hub's cache
    model_files.copy_files(model_files.list_files(base), tmp_path / "out")
    copied = tmp_path / "out" / "vocab.json"
    assert copied.read_text() == "free" and not copied.is_symlink()
    tool = tmp_path / "out" / "additional_chat_templates" / "tool.jinja"
    assert tool.read_text() == "tool"


def test_the_chat_template_of_an_adapter_wins(base, tmp_path):
    adapter = write(tmp_path / "adapter", chat_template_jinja="adapter")
    files = model_files.list_files(base, adapter)
    assert files["chat_template.jinja"] == adapter / "chat_template.jinja"
    assert files["tokenizer.json"] == base / "tokenizer.json"
    assert "additional_chat_templates/tool.jinja" not in files


def test_the_tokenizer_of_an_adapter_is_taken_whole(base, tmp_path):
    """The base's chat_template.jinja would win over the adapter's inline template."""
    adapter = write(
        tmp_path / "adapter",
        tokenizer_json="{}",
        tokenizer_config_json='{"chat_template": "own"}',
    )
    files = model_files.list_files(base, adapter)
    assert files["tokenizer_config.json"] == adapter / "tokenizer_config.json"
    assert "chat_template.jinja" not in files and "LICENSE" in files


def test_transformers_reads_the_copied_template(tmp_path):
    base = tmp_path / "base"
    tokenizer = transformers.AutoTokenizer.from_pretrained(spec.TINY_MODEL)
    tokenizer.chat_template = "{{ messages[0]['content'] }}!"
    tokenizer.save_pretrained(base)
    assert (base / "chat_template.jinja").is_file()
    (tmp_path / "out").mkdir()
    model_files.copy_files(model_files.list_files(base), tmp_path / "out")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    said = again.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    assert said == "a!"


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_config_says_what_is_written(key, tmp_path):
    config = {"model_type": "llama", key: "float16", "name": "é"}
    config["quantization_config"] = {"load_in_4bit": True}
    base = write(tmp_path / "base", config_json=json.dumps(config))
    model_files.write_config(base, tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text) == {"model_type": "llama", key: "float16", "name": "é"}
    model_files.write_config(base, tmp_path, ml_dtypes.bfloat16)
    assert json.loads((tmp_path / "config.json").read_text())[key] == "bfloat16"


def test_a_token_past_the_embedding_is_named(tmp_path):
    added = [{"content": "<a>", "id": 159}, {"content": "<b>", "id": 160}]
    folder = write(tmp_path / "t", tokenizer_json=json.dumps({"added_tokens": added}))
    files = {"tokenizer.json": folder / "tokenizer.json"}
    model_files.check_vocabulary(files, 161)
    model_files.check_vocabulary({}, 1)
    with pytest.raises(
        ValueError, match="'<b>' has id 160, expected less than the 160"
    ):
        model_files.check_vocabulary(files, 160)
