"""The tokenizer of the embedded checkpoints: round trips, balance, saved folders."""

import unicodedata

import hypothesis
import hypothesis.strategies as st
import pretrain_tiny_tokenizer as script
import pytest
import tokenizers
import transformers

from jaxent.data import embedded


@pytest.fixture(scope="module")
def tokenizer():
    return script.train_tokenizer(1024)


@hypothesis.given(st.text())
@hypothesis.example("def f(x):\n\treturn  x   # naïve 漢字 🎉\r\n\x00 1234")
@hypothesis.settings(deadline=None, max_examples=100)
def test_any_text_comes_back_in_normal_form(tokenizer, text):
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids) == unicodedata.normalize("NFC", text)
    assert 0 not in ids or "<|endoftext|>" in text


def test_tokenizer_is_reproducible_and_compresses(tokenizer):
    assert tokenizer.get_vocab_size() == 1024
    assert script.train_tokenizer(1024).to_str() == tokenizer.to_str()
    for domain in embedded.DOMAINS:
        assert script.bytes_per_token(tokenizer, embedded.split(domain)[1]) > 2
    with pytest.raises(ValueError, match="vocab_size: found 100, expected 257 or more"):
        script.train_tokenizer(100)


def test_training_texts_are_balanced_and_never_held_out():
    taken = set(script.balanced_texts())
    for domain in embedded.DOMAINS:
        train, held_out = embedded.split(domain)
        assert not taken & set(held_out)
    sizes = [
        sum(len(t.encode()) for t in embedded.examples(d) if t in taken)
        for d in embedded.DOMAINS
    ]
    assert max(sizes) < 1.02 * min(sizes)


def test_saved_folder_loads_in_transformers(tokenizer, tmp_path):
    script.save(tokenizer, tmp_path)
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = embedded.examples("code")[0] + " é漢🎉<|endoftext|>"
    assert loaded(text)["input_ids"] == tokenizer.encode(text).ids
    assert (
        loaded.eos_token_id,
        loaded.pad_token_id,
        loaded.bos_token_id,
        loaded.model_max_length,
    ) == (0, 0, None, 512)
    assert (
        tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")).to_str()
        == tokenizer.to_str()
    )
