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


SIBLINGS = ("tokenizer_config.json", "generation_config.json")


@pytest.fixture
def folder(tmp_path):
    """A copy of the embedded checkpoint's tokenizer, to damage."""
    source = pathlib.Path(tokens.__file__).parent / "checkpoints" / "tiny"
    for name in ("tokenizer.json", *SIBLINGS):
        if (source / name).is_file():
            shutil.copy(source / name, tmp_path)
    return tmp_path


def problem_of(folder) -> str:
    with pytest.raises(ValueError, match="json") as caught:
        tokens.load_tokenizer(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def test_a_damaged_tokenizer_is_named_with_the_reason(folder):
    file = folder / "tokenizer.json"
    whole = file.read_bytes()
    damaged = {
        b"": "empty, expected JSON",
        whole[:-9]: "it ends within a value",
        b"version https://git-lfs.github.com/spec/v1\n": "a Git LFS pointer",
        b"<html>Not found</html>": "a page of HTML or XML",
        b"[]": "holds a list, expected an object",
        b"{}": f"tokenizers {tokenizers.__version__} cannot read it (Model missing",
        b'{"model":' * 10_000: "nested too deeply",
    }
    for content, problem in damaged.items():
        file.write_bytes(content)
        found = problem_of(folder)
        assert found.startswith("tokenizer.json") and problem in found
    file.write_bytes(b"\xef\xbb\xbf" + whole)
    assert tokens.load_tokenizer(folder).eos_id == 0


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        ("model", {"type": "Newer"}, "did not match any variant of untagged enum"),
        ("model", {"type": "BPE", "vocab": {}, "merges": ["a b"]}, "out of vocabulary"),
        ("decoder", {"type": "Newer"}, "did not match any variant of untagged enum"),
        ("version", "9.0", "Unknown tokenizer version '9.0'"),
        ("added_tokens", [{"id": 0}], "missing field `content`"),
        (  # the library panics, with an exception that is no Exception
            "normalizer",
            {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
            "Cannot parse precompiled_charsmap",
        ),
    ],
)
def test_what_the_library_cannot_read_is_one_line(folder, part, value, problem):
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | {part: value}))
    found = problem_of(folder)
    assert found.startswith(f"tokenizer.json: tokenizers {tokenizers.__version__}")
    assert problem in found


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (SIBLINGS[0], b'{"eos_token": "<|e', "line 1: it ends within a value"),
        (SIBLINGS[0], b'{"eos_token": 0}', "eos_token 0, expected the text of a token"),
        (SIBLINGS[0], b'{"eos_token": {"content": 3}}', "expected the text of a token"),
        (SIBLINGS[0], b'{"eos_token": ["a"]}', "expected the text of a token"),
        (SIBLINGS[0], b'"fast"', "holds a string, expected an object"),
        (SIBLINGS[1], b'{"do_sample": true.\n}', "line 1: not JSON"),
        (
            SIBLINGS[1],
            b'{"eos_token_id": "0"}',
            "eos_token_id '0', expected a token id",
        ),
        (SIBLINGS[1], b'{"eos_token_id": [0, null]}', "expected a token id or a list"),
        (SIBLINGS[1], b'{"eos_token_id": true}', "expected a token id or a list"),
        (SIBLINGS[1], "{}".encode("utf-16"), "UTF-16, expected text in UTF-8"),
    ],
)
def test_damaged_settings_are_named(folder, name, content, problem):
    (folder / name).write_bytes(content)
    found = problem_of(folder)
    assert found.startswith(name) and problem in found


def test_half_a_character_is_refused_before_the_library_sees_it():
    """tokenizers would raise a TypeError that says nothing of the text."""
    folder = pathlib.Path(tokens.__file__).parent / "checkpoints" / "tiny"
    own = tokens.load_tokenizer(folder)
    assert own.encode(
        ["\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
    )
    with pytest.raises(ValueError, match="text 2 of 2 holds half of a character"):
        own.encode(["a", "smile \ud83d"])


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
