import json
import pathlib
import shutil

import pytest
import tokenizers
import transformers

from jaxent.data import tokens

VECTORS = {
    "qwen2.5-coder": "qwen2",
    "deepseek-coder": "deepseek-coder",
    "codellama-7b-python": "llama-spm",
}
TEXTS = [
    "Hello world",
    "  leading",
    "def f(x):\n    return x\n",
    "na\u00efve caf\u00e9 \u2603 \U0001f600",
    " a",
    "\n\n\t x",
]


def vectors(shared, name):
    folder = shared / "tokenizers" / "llamacpp_vectors"
    texts = (
        (folder / f"ggml-vocab-{name}.gguf.inp")
        .read_text(encoding="utf-8")
        .split("\n__ggml_vocab_test__\n")
    )
    lines = (
        (folder / f"ggml-vocab-{name}.gguf.out").read_text(encoding="utf-8").split("\n")
    )
    return [(text, [int(i) for i in line.split()]) for text, line in zip(texts, lines)]


@pytest.mark.parametrize(
    "name",
    ["qwen2.5-coder", "mistral-7b-v0.3", "deepseek-coder", "codellama-7b-python"],
)
def test_follows_the_tokenizer_file_exactly(shared, name):
    folder = shared / "tokenizers" / name
    ours, own = (
        tokens.load_tokenizer(folder),
        tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")),
    )
    assert ours.encode(TEXTS) == [own.encode(t).ids for t in TEXTS]
    assert (ours.bos_id is None) == (name == "qwen2.5-coder")
    for text, ids in zip(TEXTS, ours.encode(TEXTS)):
        assert ours.decode(ids).lstrip(" ") == text.lstrip(" ")


@pytest.mark.parametrize("name", VECTORS)
def test_llama_cpp_vectors(shared, name):
    own = tokens.load_tokenizer(shared / "tokenizers" / name)
    pairs = vectors(shared, VECTORS[name])
    found = [own.fast(text, add_special_tokens=False)["input_ids"] for text, _ in pairs]
    different = [text for (text, ids), ours in zip(pairs, found) if ours != ids]
    assert len(pairs) >= 46 and different == []


def test_embedded_checkpoint_has_no_bos():
    own = tokens.load_tokenizer(
        pathlib.Path(tokens.__file__).parent / "checkpoints" / "tiny"
    )
    [ids] = own.encode(["def f(x): return x"])
    assert (
        own.bos_id is None
        and own.eos_id == own.pad_id == 0
        and own.decode(ids) == "def f(x): return x"
    )


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="expected the checkpoint's tokenizer.json"
    ):
        tokens.load_tokenizer(tmp_path)


# DeepSeek lists "\u00fc" and twelve other letters as added tokens, which its byte-level
# decoder then reads as lone bytes. Mistral's file gives " x" and "x" the same tokens,
# so one leading space is lost, and nothing else.
@pytest.mark.parametrize(
    "name",
    ["qwen2.5-coder", "mistral-7b-v0.3", "deepseek-coder", "codellama-7b-python"],
)
def test_texts_come_back(shared, name):
    own = tokens.load_tokenizer(shared / "tokenizers" / name)
    texts = [text for text, _ in vectors(shared, VECTORS.get(name, "llama-spm"))]
    back = [own.decode(ids) for ids in own.encode(texts)]
    if name == "mistral-7b-v0.3":
        texts = [text.removeprefix(" ") for text in texts]
    assert [t for t, b in zip(texts, back) if t != b] == (
        ["F\u00fchrer"] if name == "deepseek-coder" else []
    )


def test_a_leading_space_is_kept(shared):
    """transformers' own class for CodeLlama drops it against the file."""
    own = tokens.load_tokenizer(shared / "tokenizers" / "codellama-7b-python")
    assert own.encode([" Hello", "Hello"]) == [[1, 29871, 15043], [1, 15043]]


@pytest.mark.parametrize("name", ["bos_token", "eos_token", "pad_token"])
def test_special_tokens_outside_the_file_are_refused(shared, tmp_path, name):
    """transformers would add them with an id past the model's embedding."""
    shutil.copy(shared / "stories260k" / "tokenizer.json", tmp_path)
    settings = {"bos_token": "<s>", "eos_token": "</s>", name: {"content": "<new>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(
        ValueError, match=f"{name} '<new>', expected a token of tokenizer.json"
    ):
        tokens.load_tokenizer(tmp_path)


def test_chat_templates_are_found_where_transformers_finds_them(tmp_path):
    source = pathlib.Path(tokens.__file__).parent / "checkpoints" / "tiny"
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    assert tokens.load_tokenizer(tmp_path).fast.chat_template is None
    file = tmp_path / "tokenizer_config.json"
    settings = json.loads(file.read_text())
    for template, expected in (
        ("one", "one"),
        ([{"name": "default", "template": "two"}], {"default": "two"}),
    ):
        file.write_text(json.dumps(settings | {"chat_template": template}))
        assert tokens.load_tokenizer(tmp_path).fast.chat_template == expected
    (tmp_path / "chat_template.jinja").write_text("{{ 'own' }}")
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert tokens.load_tokenizer(tmp_path).fast.chat_template == "{{ 'own' }}"
    assert reference.chat_template == "{{ 'own' }}"
