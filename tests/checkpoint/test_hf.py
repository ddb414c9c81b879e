import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys

import bitsandbytes
import bitsandbytes.functional as bnb
import families
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from flax import nnx

from jaxent.arrays import nf4
from jaxent.checkpoint import hf, safetensors_folder
from jaxent.distributed import axes
from jaxent.model import config, sharding, transformer

run = jax.jit(lambda m, *a: m.logits(m(*a)))
TOKENS = np.arange(40, dtype=np.int32)[None]
ARGS = (TOKENS, np.ones_like(TOKENS), TOKENS)


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


def bitsandbytes_copy(folder: str, out, double: bool) -> torch.nn.Module:
    settings = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=double,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=settings, dtype=torch.float32
    )
    model.save_pretrained(out)
    return model


def decoded(weight) -> torch.Tensor:
    """A Params4bit as bitsandbytes decodes it, a block a row: with AVX-512, its CPU kernel (0.50.2) reads wrong scales
    where rows are a multiple of 32 but not of a block's 64."""
    state = copy.copy(weight.quant_state)
    shape, state.shape = state.shape, torch.Size((state.shape.numel() // 64, 64))
    return bnb.dequantize_4bit(weight.data, state).reshape(shape)


def with_decoded_weights(model) -> torch.nn.Module:
    """bitsandbytes' model with its linear layers as plain ones of the decoded values."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, bitsandbytes.nn.Linear4bit):
                plain = torch.nn.Linear(
                    child.in_features, child.out_features, bias=child.bias is not None
                )
                plain.weight.data = decoded(child.weight)
                if child.bias is not None:
                    plain.bias.data = child.bias.data.float()
                setattr(parent, name, plain)
    return model


@pytest.mark.parametrize("family", families.ALL, indirect=True)
@pytest.mark.parametrize("double", [True, False])
def test_reads_what_bitsandbytes_quantised_without_requantising(
    family, tmp_path, double
):
    theirs = bitsandbytes_copy(family, tmp_path, double)
    ours = hf.load(str(tmp_path))
    weight = theirs.model.layers[1].mlp.down_proj.weight
    expected = decoded(weight).numpy().T
    one = jax.tree.map(lambda x: x[1], ours.layers.mlp.down_proj.weight.get_value())
    np.testing.assert_array_equal(nf4.decode(one, jnp.float32), expected)
    logits = with_decoded_weights(theirs)(torch.tensor(TOKENS)).logits.detach().numpy()
    np.testing.assert_allclose(
        run(ours, *ARGS), logits, atol=5e-5 * np.abs(logits).max()
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
    "change, message",
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


def test_hub_ids_work_offline_once_cached(qwen, tmp_path):
    snapshot = tmp_path / "hub" / "models--some--model" / "snapshots" / "abc"
    shutil.copytree(qwen, snapshot)
    refs = tmp_path / "hub" / "models--some--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    script = "from jaxent.checkpoint import safetensors_folder as s; print(s.locate('some/model'))"
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


def test_every_tensor_is_read_once_and_files_are_not_kept_open(qwen, monkeypatch):
    read, seen = safetensors_folder.Folder.read, []
    monkeypatch.setattr(
        safetensors_folder.Folder,
        "read",
        lambda self, name: seen.append(name) or read(self, name),
    )
    hf.load(qwen)
    assert sorted(seen) == sorted(
        n
        for row in hf.tensor_table(config.read_config(qwen))
        for n in hf.tensor_names(row, config.read_config(qwen))
    )


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> str:
    """A checkpoint whose every axis splits in two and in four, between groups of 128 weights."""
    raw = {
        "model_type": "qwen2",
        "vocab_size": 160,
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "tie_word_embeddings": False,
    }
    folder = tmp_path_factory.mktemp("wide")
    hf.save(transformer.Transformer(config.from_dict(raw), nnx.Rngs(0)), folder, raw)
    return str(folder)


def assert_equal_parts(folder, quantize, text):
    mesh = axes.parse_mesh(text)
    whole, found = hf.load(folder, quantize), hf.load(folder, quantize, mesh=mesh)
    for (name, expected), (_, param) in zip(
        sharding.iter_params(whole), sharding.iter_params(found)
    ):
        jax.tree.map(
            np.testing.assert_array_equal, param.get_value(), expected.get_value()
        )
        lie = axes.param_shardings(param.get_value(), mesh, param.logical)
        assert jax.tree.all(
            jax.tree.map(
                lambda x, s: x.sharding.is_equivalent_to(s, x.ndim),
                param.get_value(),
                lie,
            )
        ), name


@pytest.mark.parametrize(
    "quantize, text",
    [(True, "fsdp:2,tensor:2,data:2"), (True, "tensor:4,data:2"), (False, "fsdp:8")],
)
def test_loaded_onto_a_mesh_every_part_equals_the_whole(wide, quantize, text):
    assert_equal_parts(wide, quantize, text)


@pytest.mark.parametrize("double", [True, False])
def test_what_bitsandbytes_quantised_is_read_onto_a_mesh(wide, tmp_path, double):
    bitsandbytes_copy(wide, tmp_path, double)
    assert_equal_parts(str(tmp_path), True, "fsdp:4,tensor:2")
