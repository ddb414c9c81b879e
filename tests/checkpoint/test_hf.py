import json
import pathlib
import shutil

import families
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import transformers

from jaxent.arrays import nf4
from jaxent.checkpoint import hf, safetensors_folder
from jaxent.model import config

TOKENS = np.arange(40, dtype=np.int32)[None]
ARGS = (TOKENS, np.ones_like(TOKENS), TOKENS)


@jax.jit
def run(model, *args):
    return model.logits(model(*args))


def edit(folder, out, change):
    """A copy of a checkpoint with its tensors changed by `change(dict)`."""
    shutil.copytree(folder, out)
    file = out / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    change(tensors)
    safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    return str(out)


def test_sharded_equals_single_file(qwen, tmp_path):
    sharded = families.write("qwen2_tied", tmp_path, max_shard_size="400KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    one, many = hf.load(qwen), hf.load(sharded)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, many))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_checkpoints(tmp_path, dtype):
    folder = families.write("codellama", tmp_path, dtype)
    model = hf.load(folder, quantize=False)
    assert str(model.norm.weight.get_value().dtype) == str(dtype).removeprefix("torch.")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    )
    expected = theirs(torch.tensor(TOKENS)).logits.detach().numpy()
    np.testing.assert_allclose(
        run(model, *ARGS), expected, atol=2e-5 * np.abs(expected).max()
    )


def test_quantised_logits_equal_those_of_the_decoded_weights(qwen):
    quantised, dense = hf.load(qwen), hf.load(qwen, quantize=False)
    for row in hf.tensor_table(dense.config):
        if row.linear:
            name = row.path.removesuffix(".weight").split(".")
            module = quantised
            for part in name:
                module = getattr(module, part)
            hf.set_param(
                dense, row.path, nf4.decode(module.weight.get_value(), jnp.float32)
            )
    np.testing.assert_allclose(run(quantised, *ARGS), run(dense, *ARGS), atol=1e-5)


@pytest.mark.parametrize("family", families.ALL, indirect=True)
def test_round_trip(family, tmp_path):
    raw = json.loads((pathlib.Path(family) / "config.json").read_text())
    model = hf.load(family, quantize=False)
    hf.save(model, tmp_path, raw)
    again = hf.load(str(tmp_path), quantize=False)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), model, again))
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop("model.layers.1.mlp.up_proj.weight"),
            "'model.layers.1.mlp.up_proj.weight' is missing",
        ),
        (lambda t: t.update(extra=torch.ones(2)), "surplus tensor 'extra'"),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(3)}),
            r"'model.norm.weight' has shape \(3,\), expected \(128,\)",
        ),
        (
            lambda t: t.update({"model.norm.weight": torch.ones(128).long()}),
            "'model.norm.weight' has dtype I64",
        ),
        (
            lambda t: t.update({"lm_head.weight": torch.ones(160, 128)}),
            "config ties the head, but 'lm_head.weight' differs",
        ),
    ],
)
def test_checkpoints_that_do_not_fit_are_refused_by_name(
    qwen, tmp_path, change, message
):
    with pytest.raises(ValueError, match=message):
        hf.load(edit(qwen, tmp_path / "bad", change))


def test_query_and_key_norms_are_strict_both_ways(qwen, tmp_path):
    name, norm = "model.layers.1.self_attn.k_norm.weight", torch.ones(32)
    qwen3 = families.write("qwen3", tmp_path / "qwen3")
    with pytest.raises(ValueError, match=f"'{name}' is missing, expected shape .32,."):
        hf.load(edit(qwen3, tmp_path / "without", lambda t: t.pop(name)))
    with pytest.raises(
        ValueError, match=f"surplus tensor '{name}', which no qwen2 parameter uses"
    ):
        hf.load(edit(qwen, tmp_path / "with", lambda t: t.update({name: norm})))


def test_harmless_extras_are_accepted(qwen, tmp_path):
    def change(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(16)
        tensors["model.rotary_emb.inv_freq"] = torch.ones(16)

    hf.load(edit(qwen, tmp_path / "extra", change))


NUMBERS = [float("nan"), float("inf")]


@pytest.mark.parametrize(
    ("name", "quantize"),
    [
        ("model.layers.2.self_attn.v_proj.weight", True),
        ("model.layers.2.self_attn.v_proj.weight", False),
        ("model.layers.1.self_attn.q_proj.bias", True),
        ("model.embed_tokens.weight", True),
        ("model.norm.weight", False),
    ],
)
@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_not_finite_is_named(qwen, tmp_path, name, quantize, number):
    bad = edit(qwen, tmp_path / "bad", lambda t: t[name].view(-1)[37:38].fill_(number))
    with pytest.raises(ValueError, match=f"'{name}'.*NaN or infinity in element"):
        hf.load(bad, quantize)


def test_a_cast_that_overflows_is_named(qwen, tmp_path):
    name = "model.layers.0.mlp.up_proj.weight"
    bad = edit(qwen, tmp_path / "bad", lambda t: t[name][3, 5].fill_(7e4))
    hf.load(bad, quantize=False)
    with pytest.raises(ValueError, match=f"'{name}'.*in element 389 .* as float16"):
        hf.load(bad, quantize=False, dtype=jnp.float16)


def same(ours, theirs) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), ours, theirs))


def test_layers_in_two_dtypes_keep_every_value(qwen, tmp_path):
    """Merges of two models; norms kept in 32 bit."""
    norm, up = (
        "model.layers.1.input_layernorm.weight",
        "model.layers.0.mlp.up_proj.weight",
    )

    def narrow(tensors):
        tensors[norm], tensors[up] = tensors[norm].bfloat16(), tensors[up].half()

    def rounded(tensors):
        narrow(tensors)
        tensors[norm], tensors[up] = tensors[norm].float(), tensors[up].float()

    mixed = edit(qwen, tmp_path / "mixed", narrow)
    plain = edit(qwen, tmp_path / "plain", rounded)
    for quantize in (True, False):
        ours = hf.load(mixed, quantize)
        assert ours.layers.input_layernorm.weight.get_value().dtype == jnp.float32
        assert same(ours, hf.load(plain, quantize))


def test_a_decoder_saved_without_its_head(qwen, tmp_path):
    """AutoModel.save_pretrained: names without "model."; llama.cpp 9211."""
    theirs = transformers.AutoModelForCausalLM.from_pretrained(qwen)
    theirs.model.save_pretrained(tmp_path / "bare")
    with safetensors.safe_open(tmp_path / "bare" / "model.safetensors", "np") as file:
        assert "embed_tokens.weight" in file.keys()  # noqa: SIM118
    assert same(hf.load(str(tmp_path / "bare")), hf.load(qwen))
    untied = families.write("qwen2_untied", tmp_path / "untied")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(untied)
    theirs.model.save_pretrained(tmp_path / "headless")
    with pytest.raises(ValueError, match="'lm_head.weight' is missing"):
        hf.load(str(tmp_path / "headless"))


def test_a_tied_pair_saved_under_the_heads_name(qwen, tmp_path):
    """Of tensors that share memory, savers keep one: not always the embedding."""
    name = "model.embed_tokens.weight"
    folder = edit(
        qwen, tmp_path / "head", lambda t: t.update({"lm_head.weight": t.pop(name)})
    )
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ours = hf.load(folder)
    table = ours.embed_tokens.weight.get_value()
    np.testing.assert_array_equal(table, theirs.model.embed_tokens.weight.detach())
    assert same(ours, hf.load(qwen))


def test_one_file_wins_over_an_index_left_over(tmp_path):
    """save_pretrained into a folder that had shards, as transformers reads it."""
    families.write("qwen2_tied", tmp_path, max_shard_size="400KB")
    index = tmp_path / "model.safetensors.index.json"
    kept = index.read_text()
    old = [(file, file.read_bytes()) for file in tmp_path.glob("model-*")]
    newer = families.model("qwen2_tied", seed=1)
    newer.save_pretrained(tmp_path)
    index.write_text(kept)
    for file, content in old:
        file.write_bytes(content)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    expected = theirs.model.norm.weight.detach().numpy()
    np.testing.assert_array_equal(expected, newer.model.norm.weight.detach())
    ours = hf.load(str(tmp_path), quantize=False)
    np.testing.assert_array_equal(ours.norm.weight.get_value(), expected)


def test_an_index_may_name_what_no_shard_holds_and_nothing_needs(tmp_path):
    """Tied heads and buffers that saving dropped."""
    folder = families.write("qwen2_tied", tmp_path, max_shard_size="400KB")
    index = tmp_path / "model.safetensors.index.json"
    raw = json.loads(index.read_text())
    shard = raw["weight_map"]["model.norm.weight"]
    raw["weight_map"]["lm_head.weight"] = shard
    raw["weight_map"]["model.layers.0.self_attn.rotary_emb.inv_freq"] = shard
    index.write_text(json.dumps(raw))
    hf.load(folder)


def test_every_tensor_is_read_once_and_files_are_not_kept_open(qwen, monkeypatch):
    read, seen = safetensors_folder.Folder.read, []
    monkeypatch.setattr(
        safetensors_folder.Folder,
        "read",
        lambda self, name: seen.append(name) or read(self, name),
    )
    hf.load(qwen)
    settings = config.read_config(qwen)
    expected = [
        name
        for row in hf.tensor_table(settings)
        for name in hf.tensor_names(row, settings)
    ]
    assert sorted(seen) == sorted(expected)


def test_inputs_that_are_no_multiple_of_64_are_named_once(qwen, tmp_path, caplog):
    folder = families.write("codellama", tmp_path)
    hf.load(qwen)
    hf.load(folder, quantize=False)
    assert not caplog.records
    hf.load(folder)
    hf.load(folder)
    (record,) = caplog.records
    name = "model.layers.0.self_attn.q_proj.weight"
    message = f"{folder}: tensor '{name}' has 96 inputs, no multiple of 64: "
    assert record.getMessage().startswith(message)
