"""The real language model as a Hugging Face folder."""

import json

import numpy as np
import pytest

from jaxent.checkpoint import real_model

get_real_model = pytest.importorskip("get_real_model")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("blk.12.attn_output.weight", "model.layers.12.self_attn.o_proj.weight"),
        ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
    ],
)
def test_names_are_hugging_faces(ours, theirs):
    assert get_real_model.hf_name(ours) == theirs


def test_rows_go_back_to_halves():
    """llama.cpp stores [heads, 2, size / 2] as [heads, size / 2, 2]."""
    heads, size, inputs = 3, 4, 5
    weight = np.arange(heads * size * inputs).reshape(heads * size, inputs)
    halves = weight.reshape(heads, 2, size // 2, inputs)
    theirs = halves.swapaxes(1, 2).reshape(weight.shape)
    np.testing.assert_array_equal(
        get_real_model.without_interleaving(theirs, heads), weight
    )


@pytest.mark.real
def test_the_tokenizer_keeps_digits_apart_and_gives_texts_back(smollm2):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    for text in ("def f(x):\n    return x + 12345\n", "  2/5 é 日本 🙂", "a\n\n b"):
        encoded = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text
    assert tokenizer.encode("123").tokens == ["1", "2", "3"]
    assert tokenizer.encode("<|im_end|>").ids == [2]


@pytest.mark.real
def test_the_config_is_a_llama_of_the_published_size(smollm2):
    config = json.loads((smollm2 / "config.json").read_text())
    assert config["num_hidden_layers"] == 30
    assert config["hidden_size"] == 576
    assert real_model.is_there()
