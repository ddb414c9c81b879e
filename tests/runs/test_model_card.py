import json

import fake_runs
import huggingface_hub
import pytest

from jaxent.arrays import lora
from jaxent.runs import folder as run_folder
from jaxent.runs import model_card

HUB = "Qwen/Qwen2.5-Coder-7B"
DETAILS = {
    "parameters": 7_615_616_512,
    "tokenizer": "beef",
    "corpus": {"gsm8k": "c0de", "competition_math": "f00d"},
    "versions": {"jaxent": "0.2", "jax": "0.10.2", "python": "3.11"},
    "devices": 4,
}


def fake(
    tmp_path, model=HUB, condition="B4", record=None, **how
) -> run_folder.RunFolder:
    record = DETAILS | (record or {})
    return run_folder.RunFolder(
        fake_runs.run(tmp_path, model, condition, record=record, **how)
    )


def card_of(folder, **how) -> huggingface_hub.ModelCard:
    return model_card.make_card(folder.read_record(), folder.read_summary(), **how)


def test_metadata_is_valid_and_names_what_the_hub_knows(tmp_path):
    file = tmp_path / "card.md"
    card_of(fake(tmp_path)).save(file)
    data = huggingface_hub.ModelCard.load(file).data.to_dict()
    assert data == {
        "base_model": HUB,
        "base_model_relation": "adapter",
        "datasets": ["openai/gsm8k", "DigitalLearningGmbH/MATH-lighteval"],
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["jaxent", "lora"],
    }
    merged = card_of(fake(tmp_path / "m"), kind="merged", remark="A remark.")
    assert merged.data.base_model_relation == "finetune"
    assert merged.data.library_name == "transformers"
    assert "A remark." in merged.text and "import peft" not in merged.text


def test_the_text_has_base_recipe_data_csr_measures_and_code(tmp_path):
    folder = fake(tmp_path, settings={"revision": "0a1b2c"})
    text = card_of(folder).text
    for said in (
        f"[{HUB}](https://huggingface.co/{HUB})",
        "| revision | 0a1b2c |",
        "| hash of config and weights | abcd1234 |",
        "LoRA of rank 64, alpha 128, on q_proj, k_proj,",
        "| learning_rate | 0.0001 |",
        "| gsm8k | c0de |",
        "| csr_lambda | 0.1 |",
        "| csr_loss (result) | 1.5 |",
        "| EI (as published) | 0.600 [",
        "CVO is the number to trust; EI is as published.",
        "in 8 replicate sets, each fitted by itself",
        "| sv_energy (result) | 0.01 |",
        f"| commit | {'0' * 40} |",
        "| jax | 0.10.2 |",
        "| device | 4 x H100 |",
        "`experiments/finetune.py --seed=0`",
    ):
        assert said in text, said
    without = card_of(fake(tmp_path / "b2", condition="B2")).text
    assert "No penalty on activations (CSR) was used." in without
    assert "csr_every" not in without


def test_folders_of_this_machine_are_not_published(tmp_path):
    model = tmp_path / "private" / "own-model"
    model.mkdir(parents=True)
    folder = fake(
        tmp_path,
        str(model),
        name="run",
        settings={"data_root": str(tmp_path / "secret/texts"), "probes": "/p/x.jsonl"},
        record={
            "command": ["/usr/me/finetune.py", f"--model={model}", "--domain=a=~/b/c"],
            "probes": {"name": "/p/x.jsonl", "number": 96, "hash": "1"},
        },
    )
    card = card_of(folder)
    assert str(tmp_path) not in str(card) and "/p/" not in str(card)
    assert "| model | own-model |" in card.text
    assert "`finetune.py --model=own-model --domain=a=c`" in card.text
    assert "local files (texts)" in card.text
    assert "base_model" not in card.data.to_dict()
    assert "datasets" not in card.data.to_dict()
    named = card_of(folder, base=HUB)
    assert named.data.base_model == HUB and "own-model" not in named.text.split("##")[0]


def test_own_data_of_the_hub_is_named_and_files_are_not(tmp_path):
    domain = ["law=me/law:en", "math=data/math.jsonl", "code=/x/code"]
    settings = {"dataset": "me/texts", "domain": domain}
    record = {"corpus": {"dataset": "1"}, "model_commit": "0a1b"}
    card = card_of(fake(tmp_path, condition="B2", settings=settings, record=record))
    assert card.data.datasets == ["me/texts", "me/law"]
    assert "| commit on the Hub | 0a1b |" in card.text and "/x/" not in card.text


def test_the_embedded_texts_are_no_files_of_the_user(tmp_path):
    settings = {"data_root": "embedded"}
    text = card_of(fake(tmp_path, condition="B3", settings=settings)).text
    assert "Read from jaxent itself" in text


def test_a_relative_folder_is_no_hub_id(tmp_path, monkeypatch):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert model_card.hub_id("models/mine") == "models/mine"
    monkeypatch.chdir(tmp_path)
    assert model_card.hub_id("models/mine") is None
    for name in (None, "gpt2", "/a/b", "./b", "a/b/c", "a/-b", "a/b.git", "a/b c"):
        assert model_card.hub_id(name) is None, name


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/me/data/law.jsonl", "law.jsonl"),
        ("~/data/", "data"),
        ("../up/there.txt", "there.txt"),
        ("law=/a/b,math=/c/d", "law=b,math=d"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
        ("runs/tiny/B3", "runs/tiny/B3"),
        (0.03, "0.03"),
        (["code:70", "/x/y:30"], "code:70, y:30"),
    ],
)
def test_paths_are_hidden_and_nothing_else(value, shown):
    assert model_card.hide_paths(value) == shown


def test_values_that_yaml_or_markdown_could_misread(tmp_path):
    """A bar in a cell, and a name that YAML would read as a number."""
    folder = fake(tmp_path, "123/456", "B2", settings={"dataset": "a|b: c"})
    card = card_of(folder)
    card.save(tmp_path / "card.md")
    loaded = huggingface_hub.ModelCard.load(tmp_path / "card.md")
    assert loaded.data.base_model == "123/456"
    assert r"| dataset | a\|b: c |" in card.text


def test_undefined_measures_and_unknown_conditions(tmp_path):
    folder = fake(tmp_path, condition="B2", path=((0, None), (10, 0.3)))
    summary, record = folder.read_summary(), folder.read_record()
    record["settings"]["condition"] = "law"
    text = model_card.make_card(record, summary).text
    assert "condition law (its own data)" in text
    assert "| EI (as published) | - | 0.300 [" in text
    assert (
        "- EI (as published) is undefined before: 4 own-concept flips, fewer than 10."
        in text
    )


def test_written_into_the_adapter_folder(tmp_path):
    folder = fake(tmp_path)
    model_card.write_card(folder, folder.read_summary())
    assert [file.name for file in folder.adapter.iterdir()] == ["README.md"]
    loaded = huggingface_hub.ModelCard.load(folder.adapter / "README.md")
    assert loaded.data.base_model == HUB
    assert json.loads(folder.record.read_text())["model_hash"] in loaded.text


def test_the_card_of_a_plain_adapter():
    config = lora.LoraConfig(rank=4, alpha=6.0, modules=("q_proj",))
    card = model_card.make_plain_card("/x/tiny", config, "merged", "A remark.")
    assert "LoRA of rank 4, alpha 6, on q_proj" in card.text
    assert "of tiny. A remark." in card.text and "/x" not in str(card)
