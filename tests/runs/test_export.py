import json
import shutil

import fake_runs
import huggingface_hub
import jax
import numpy as np
import peft as peft_library
import pytest
import torch
import transformers

from jaxent.arrays import lora
from jaxent.checkpoint import full_weights, hf, peft
from jaxent.model import blocks, config, trained
from jaxent.runs import export, model_card, spec, validate
from jaxent.runs import folder as run_folder

SMALL = spec.TINY_LADDER[0]
LORA = lora.LoraConfig(4, 6.0, modules=("q_proj", "down_proj"))


@pytest.fixture
def base(tmp_path):
    """The smallest embedded model with a chat template and generation settings."""
    folder = tmp_path / "base"
    shutil.copytree(SMALL, folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}!")
    (folder / "generation_config.json").write_text('{"temperature": 0.5}')
    return folder


def save_adapter(base, folder, name=None):
    c = config.read_config(base)
    key, shapes = jax.random.key(0), blocks.linear_shapes(c)
    adapter = jax.tree.map(
        lambda x: x + 0.05 * jax.random.normal(jax.random.key(x.size), x.shape),
        lora.init_adapter(key, LORA, c.layers, shapes),
    )
    peft.save_adapter(adapter, folder, name or str(base))


@pytest.fixture
def run(base, tmp_path):
    """A finished run on it, its measurements invented."""
    record = {"model_hash": validate.fingerprint(base), "parameters": 7}
    folder = fake_runs.run(tmp_path, str(base), "B3", name="run", record=record)
    save_adapter(base, folder / "adapter")
    return run_folder.RunFolder(folder)


def exported(source, out, base="original", dtype=None, **how):
    plan = export.plan_merge(source, base, dtype)
    export.write_merged(source, plan, out, progress=False, **how)
    return out


def logits(model, tokens):
    with torch.no_grad():
        return model.eval()(torch.tensor(tokens)).logits.float().numpy()


def test_transformers_loads_what_peft_merges(base, run, tmp_path):
    source = export.open_source(str(run.path))
    out = exported(source, tmp_path / "out", max_shard_size="500KB")
    assert {file.name for file in out.iterdir() if "model-" not in file.name} == {
        "config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "generation_config.json",
        "README.md",
    }
    tokens = np.arange(40)[None]
    merged = transformers.AutoModelForCausalLM.from_pretrained(out)
    bare = transformers.AutoModelForCausalLM.from_pretrained(base)
    before = logits(bare, tokens)
    theirs = peft_library.PeftModel.from_pretrained(bare, run.adapter)
    expected = logits(theirs.merge_and_unload(), tokens)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(logits(merged, tokens), expected, atol=1e-5 * scale)
    assert np.abs(expected - before).max() > 1e-2 * scale
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    chat = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False) == "hi!"
    assert merged.generation_config.temperature == 0.5
    assert not (tmp_path / "out.partial").exists()


def test_the_card_says_what_was_merged(run, tmp_path):
    source = export.open_source(str(run.path))
    out = exported(source, tmp_path / "out", "dequantised", base_id="me/base")
    card = huggingface_hub.ModelCard.load(out / "README.md")
    assert (
        card.data.base_model == "me/base" and card.data.library_name == "transformers"
    )
    assert "added to the values of NF4 weights of its base in float32" in card.text
    assert str(tmp_path) not in str(card)


def test_the_adapter_folder_of_a_run_means_the_run(base, run):
    assert export.open_source(str(run.adapter)) == export.open_source(str(run.path))
    source = export.open_source(str(run.path))
    assert (source.model, source.run) == (str(base), run)
    assert export.open_source(str(run.path), "other").model == "other"


def test_an_adapter_without_a_run(base, tmp_path):
    save_adapter(base, tmp_path / "plain")
    source = export.open_source(str(tmp_path / "plain"))
    assert source == export.Source(tmp_path / "plain", str(base))
    out = exported(source, tmp_path / "out")
    assert "LoRA of rank 4, alpha 6" in (out / "README.md").read_text()
    file = tmp_path / "plain" / "adapter_config.json"
    raw = json.loads(file.read_text()) | {"base_model_name_or_path": None}
    file.write_text(json.dumps(raw))
    with pytest.raises(ValueError, match="base_model_name_or_path None, expected"):
        export.open_source(str(tmp_path / "plain"))


def test_the_adapter_alone(base, run, tmp_path):
    source = export.open_source(str(run.path))
    (run.adapter / "chat_template.jinja").write_text("own")
    export.write_adapter(source, tmp_path / "out", "me/base")
    out = tmp_path / "out"
    assert {file.name for file in out.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "README.md",
    }
    raw = json.loads((out / "adapter_config.json").read_text())
    assert raw["base_model_name_or_path"] == "me/base"
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    peft_library.PeftModel.from_pretrained(model, out)
    assert (
        huggingface_hub.ModelCard.load(out / "README.md").data.base_model == "me/base"
    )


def test_a_pushed_adapter_must_name_a_base_that_others_have(base, run, tmp_path):
    source = export.open_source(str(run.path))
    with pytest.raises(ValueError, match="is no Hub id, expected one that others can"):
        export.check_base_name(source, None)
    export.check_base_name(source, "me/base")
    save_adapter(base, tmp_path / "plain", "me/base")
    export.check_base_name(export.open_source(str(tmp_path / "plain")), None)


def test_another_base_is_refused(base, run):
    other = str(spec.TINY_LADDER[1])
    with pytest.raises(ValueError, match="expected .*, the model that the run trained"):
        export.plan_merge(export.open_source(str(run.path), other))
    config_file = base / "config.json"
    raw = json.loads(config_file.read_text()) | {"rope_theta": 5e5}
    config_file.write_text(json.dumps(raw))
    validate.fingerprint.cache_clear()
    validate.open_checkpoint.cache_clear()
    with pytest.raises(ValueError, match="hash of config and weights"):
        export.plan_merge(export.open_source(str(run.path)))


def test_runs_that_have_nothing_to_export(base, run, tmp_path):
    run.summary.unlink()
    with pytest.raises(ValueError, match="not finished, expected summary.json and"):
        export.open_source(str(run.path))
    bare = fake_runs.run(tmp_path, str(base), "B0", name="bare")
    with pytest.raises(ValueError, match="condition B0 trains no adapter"):
        export.open_source(str(bare))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        export.open_source(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="a whole model of which no run is known"):
        export.open_source(str(base))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="expected a PEFT adapter folder"):
        export.open_source(str(tmp_path / "empty"))


def test_a_run_that_trained_all_weights_is_written_as_it_is(base, tmp_path):
    record = {"model_hash": validate.fingerprint(base), "parameters": 7}
    settings = {"tuner": "full", "load_in_4bit": False}
    folder = run_folder.RunFolder(
        fake_runs.run(
            *(tmp_path, str(base), "B3"), name="run", record=record, settings=settings
        )
    )
    c = config.read_config(base)
    weights = trained.float32_copy(trained.full_weights(hf.load(str(base), False)))
    weights = jax.tree.map(lambda x: np.asarray(1.5 * x), weights)
    full_weights.save(weights, base, c, folder.model)
    model_card.write_card(folder, folder.read_summary())
    card = (folder.model / "README.md").read_text()
    assert "All weights, in float32" in card and "lora" not in card.lower()
    assert "AutoModelForCausalLM" in card and "library_name: transformers" in card
    tokens = np.arange(40)[None]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder.model)
    for source in (folder.path, folder.model):
        opened = export.open_source(str(source))
        assert opened.adapter == folder.model and opened.run == folder
        out = exported(opened, tmp_path / f"out-{source.name}")
        again = transformers.AutoModelForCausalLM.from_pretrained(out)
        np.testing.assert_array_equal(logits(again, tokens), logits(theirs, tokens))
        assert "all weights trained" in (out / "README.md").read_text()
    with pytest.raises(ValueError, match="trained on unquantised weights, expected"):
        export.plan_merge(export.open_source(str(folder.path)), "dequantised")


def test_dequantised_weights_need_a_4_bit_run(run):
    record = run.read_record()
    record["settings"]["load_in_4bit"] = False
    run.write_record(record)
    with pytest.raises(ValueError, match="trained on unquantised weights, expected"):
        export.plan_merge(export.open_source(str(run.path)), "dequantised")


def test_the_output_folder_is_new_or_empty(tmp_path):
    export.check_output(tmp_path / "a" / "new", 1)
    (tmp_path / "empty").mkdir()
    export.check_output(tmp_path / "empty")
    with pytest.raises(ValueError, match="expected a new or an empty folder"):
        export.check_output(tmp_path)
    with pytest.raises(ValueError, match=r"GB are free, expected 1000000000.0 GB"):
        export.check_output(tmp_path / "new", 10**18)


def test_a_killed_export_starts_again(run, tmp_path):
    left = tmp_path / "out.partial"
    left.mkdir()
    (left / "model-00009-of-00009.safetensors").write_text("half")
    (tmp_path / "out").mkdir()
    out = exported(export.open_source(str(run.path)), tmp_path / "out")
    assert not [file for file in out.iterdir() if "00009" in file.name]
    assert not left.exists()
