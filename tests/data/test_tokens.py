import pathlib

import pytest
import tokenizers
import transformers

from jaxent.data import tokens

VECTORS = {"qwen2.5-coder": "qwen2", "deepseek-coder": "deepseek-coder", "codellama-7b-python": "llama-spm"}
TEXTS = ["Hello world", "  leading", "def f(x):\n    return x\n", "na\u00efve caf\u00e9 \u2603 \U0001f600", " a", "\n\n\t x"]


def vectors(shared, name):
    folder = shared / "tokenizers" / "llamacpp_vectors"
    texts = (folder / f"ggml-vocab-{name}.gguf.inp").read_text().split("\n__ggml_vocab_test__\n")
    lines = (folder / f"ggml-vocab-{name}.gguf.out").read_text().split("\n")
    return [(text, [int(i) for i in line.split()]) for text, line in zip(texts, lines)]


@pytest.mark.parametrize("name", ["qwen2.5-coder", "mistral-7b-v0.3", "deepseek-coder", "codellama-7b-python"])
def test_follows_the_tokenizer_file_exactly(shared, name):
    folder = shared / "tokenizers" / name
    ours, own = tokens.load(folder), tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert ours.encode(TEXTS) == [own.encode(t).ids for t in TEXTS]
    assert (ours.bos_id is None) == (name == "qwen2.5-coder")
    for text, ids in zip(TEXTS, ours.encode(TEXTS)):
        assert ours.decode(ids).lstrip(" ") == text.lstrip(" ")


@pytest.mark.parametrize("name", VECTORS)
def test_llama_cpp_vectors(shared, name):
    own = tokens.load(shared / "tokenizers" / name)
    pairs = vectors(shared, VECTORS[name])
    found = [own.fast(text, add_special_tokens=False)["input_ids"] for text, _ in pairs]
    different = [text for (text, ids), ours in zip(pairs, found) if ours != ids]
    assert len(pairs) >= 46 and different == []


def test_embedded_checkpoint_has_no_bos():
    own = tokens.load(pathlib.Path(tokens.__file__).parent / "checkpoints" / "tiny")
    [ids] = own.encode(["def f(x): return x"])
    assert own.bos_id is None and own.eos_id == own.pad_id == 0 and own.decode(ids) == "def f(x): return x"


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the checkpoint's tokenizer.json"):
        tokens.load(tmp_path)
