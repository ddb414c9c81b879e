import json
import pathlib
import shutil

import families
import jax
import jax.numpy as jnp
import numpy as np
import pytest
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

    hf.load(edit(qwen, tmp_path / "extra", change))


def test_not_finite_weight_is_named(qwen, tmp_path):
    bad = edit(
        qwen,
        tmp_path / "bad",
        lambda t: t["model.layers.2.self_attn.v_proj.weight"].fill_(float("nan")),
    )
    with pytest.raises(
        ValueError, match="'model.layers.2.self_attn.v_proj.weight'.*NaN"
    ):
        hf.load(bad)


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
