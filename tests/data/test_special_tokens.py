"""Special and added tokens are those that transformers finds in the same files."""

import codecs
import json

import published_files
import pytest
import tokenizers
import transformers

from jaxent.data import tokens

WORDS = [
    "<unk>",
    "<s>",
    "</s>",
    "<|endoftext|>",
    "<|im_end|>",
    "a",
    "b",
    "ab",
    "\u2581",
]
MODEL = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
END, PLAIN = {"content": "</s>", "special": True}, {"eos_token": "</s>"}
MAP, ADDED = "special_tokens_map.json", "added_tokens.json"
NAMED = "tokenizer_config.json"


def write(folder, files: dict[str, dict], family: str = "llama", **config) -> str:
    """A folder with a small tokenizer.json, a config.json and the files."""
    ids = {word: index for index, word in enumerate(WORDS)}
    own = tokenizers.Tokenizer(
        tokenizers.models.BPE(ids, [("a", "b")], unk_token="<unk>")
    )
    own.add_special_tokens(WORDS[:5])
    own.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    folder.mkdir(exist_ok=True)
    own.save(str(folder / "tokenizer.json"))
    files = {"config.json": MODEL | {"model_type": family} | config} | files
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return str(folder)


CASES = {
    "tokenizer_config.json alone": ("llama", {NAMED: PLAIN}),
    "special_tokens_map.json alone": ("llama", {MAP: {"eos_token": "</s>"}}),
    "a dictionary in the map": ("llama", {NAMED: {}, MAP: {"eos_token": END}}),
    "the map wins": ("llama", {NAMED: {"eos_token": "<s>"}, MAP: PLAIN}),
    "added_tokens_decoder puts the map aside": (
        "llama",
        {
            NAMED: PLAIN | {"added_tokens_decoder": {"2": END}},
            MAP: {"eos_token": "<s>"},
        },
    ),
    "a token with its type": (
        "llama",
        {NAMED: {"eos_token": END | {"__type": "AddedToken"}}},
    ),
    "Llama's class": ("llama", {NAMED: {"tokenizer_class": "LlamaTokenizer"}}),
    "Llama's fast class": ("llama", {NAMED: {"tokenizer_class": "LlamaTokenizerFast"}}),
    "GPT-2's class": ("llama", {NAMED: {"tokenizer_class": "GPT2Tokenizer"}}),
    "Qwen2's class, which the family has": ("qwen2", {}),
    "Qwen2's class for Qwen3": (
        "qwen3",
        {NAMED: {"tokenizer_class": "Qwen2Tokenizer"}},
    ),
    "Qwen2's chat token": ("qwen2", {NAMED: {"eos_token": "<|im_end|>"}}),
    "the class that config.json names": (
        "llama",
        {},
        {"tokenizer_class": "LlamaTokenizer"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_eos_and_pad_tokens_are_those_of_transformers(tmp_path, case):
    family, files, *config = CASES[case]
    folder = write(tmp_path / "model", files, family, **(config[0] if config else {}))
    ours = tokens.load_tokenizer(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert ours.eos_id == theirs.eos_token_id is not None
    pad = theirs.pad_token_id
    assert ours.pad_id == (theirs.eos_token_id if pad is None else pad)


@pytest.mark.parametrize(
    "files",
    [
        {NAMED: PLAIN | {"additional_special_tokens": ["<new>"]}},
        {NAMED: PLAIN | {"extra_special_tokens": ["<new>"]}},
        {NAMED: PLAIN | {"eot_token": "<new>"}},
        {NAMED: PLAIN | {"added_tokens_decoder": {"9": END | {"content": "<new>"}}}},
        {NAMED: PLAIN, ADDED: {"<new>": 9}},
        {NAMED: PLAIN | {"split_special_tokens": True}},
        {NAMED: PLAIN | {"add_bos_token": False, "add_eos_token": True}},
        {NAMED: PLAIN | {"clean_up_tokenization_spaces": True, "model_max_length": 3}},
        {
            NAMED: PLAIN
            | {"padding_side": "left", "legacy": True, "sp_model_kwargs": {}}
        },
    ],
)
def test_texts_are_tokenized_as_by_transformers(tmp_path, files):
    folder = write(tmp_path / "model", files)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["ab a", "a<new>b", "</s>ab", "a" * 9]
    assert tokens.load_tokenizer(folder).encode(texts) == theirs(texts)["input_ids"]


def test_the_models_own_end_where_no_file_names_one(tmp_path):
    folder = write(tmp_path / "one", {}, eos_token_id=2, bos_token_id=1)
    ours = tokens.load_tokenizer(folder)
    assert (ours.eos_id, ours.pad_id, ours.eos_ids) == (2, 2, (2,))
    ends = {"generation_config.json": {"eos_token_id": [4, 3]}}
    ours = tokens.load_tokenizer(write(tmp_path / "two", ends, eos_token_id=2))
    assert (ours.eos_id, ours.eos_ids) == (4, (3, 4))
    with pytest.raises(ValueError, match="eos_token None, expected a token of"):
        tokens.load_tokenizer(write(tmp_path / "none", {}))


def test_what_ends_texts_of_training_ends_a_generation_too(tmp_path):
    files = {NAMED: PLAIN, "generation_config.json": {"eos_token_id": 4}}
    assert tokens.load_tokenizer(write(tmp_path / "m", files)).eos_ids == (2, 4)


@pytest.mark.parametrize(
    ("files", "vocab", "message"),
    [
        ({NAMED: {"eos_token": "<|im_end|>"}}, 4, "eos token '<.im_end.>' has id 4"),
        ({NAMED: PLAIN | {"pad_token": "<|im_end|>"}}, 4, "pad token .* has id 4"),
        (
            {NAMED: PLAIN, "generation_config.json": {"eos_token_id": [2, 64]}},
            64,
            "end token None has id 64, expected one below the model's vocab_size 64",
        ),
    ],
)
def test_special_tokens_past_the_embedding_are_refused(tmp_path, files, vocab, message):
    folder = write(tmp_path / "model", files, vocab_size=vocab)
    with pytest.raises(ValueError, match=message):
        tokens.load_tokenizer(folder)


def test_other_tokens_past_the_embedding_are_refused_where_a_text_has_them(tmp_path):
    """PyTorch raises IndexError there; JAX would read another row."""
    files = {NAMED: PLAIN | {"additional_special_tokens": ["<new>"]}}
    ours = tokens.load_tokenizer(write(tmp_path / "model", files, vocab_size=9))
    assert ours.encode(["ab"]) == [[1, 8, 7]]
    with pytest.raises(ValueError, match="text 'a<new>': its token '<new>' has id 9"):
        ours.encode(["ab", "a<new>"])


def test_codellamas_infill_tokens_have_no_rows(shared, tmp_path):
    """CodeLlama-7b-Python: 32,000 rows, four tokens more in its tokenizer.json."""
    for file in (shared / "tokenizers" / "codellama-7b-python").glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    raw = MODEL | {"model_type": "llama", "vocab_size": 32000}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    ours = tokens.load_tokenizer(tmp_path)
    assert ours.encode(["Hello"]) == [[1, 15043]]
    with pytest.raises(ValueError, match="<PRE>' has id 32000, expected one below"):
        ours.encode(["\u2581<PRE> def"])


@pytest.mark.parametrize("model", published_files.FILES["tokenizer_configs"])
def test_published_tokenizer_configs(shared, tmp_path, model):
    source = shared / "tokenizers" / "qwen2.5-coder" / "tokenizer.json"
    (tmp_path / "tokenizer.json").write_bytes(source.read_bytes())
    stated = published_files.FILES["tokenizer_configs"][model]
    (tmp_path / NAMED).write_text(json.dumps(stated))
    ours = tokens.load_tokenizer(tmp_path)
    names = ours.fast.convert_ids_to_tokens([ours.eos_id, ours.pad_id])
    assert names == [stated["eos_token"], stated["pad_token"]]


def test_truncation_and_padding_of_the_file_are_left(tmp_path):
    """Saved by whoever called it last; texts are neither cut nor filled here."""
    folder = write(tmp_path / "model", {NAMED: PLAIN})
    own = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
    own.enable_truncation(3)
    own.enable_padding(length=6, pad_token="</s>", pad_id=2)
    own.save(folder + "/tokenizer.json")
    ours = tokens.load_tokenizer(folder)
    assert ours.encode(["ab ab ab ab"]) == [[1, *[8, 7] * 4]]


def test_byte_order_marks_change_nothing(tmp_path):
    folder = tmp_path / "model"
    plain = tokens.load_tokenizer(write(folder, {NAMED: PLAIN, ADDED: {"<new>": 9}}))
    for name in ("tokenizer.json", NAMED, ADDED):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(codecs.BOM_UTF8 + content)
    marked = tokens.load_tokenizer(folder)
    assert marked.encode(["a<new>"]) == plain.encode(["a<new>"])
    assert marked.eos_id == plain.eos_id


def test_a_value_that_is_no_token_is_named(tmp_path):
    folder = write(tmp_path / "model", {NAMED: PLAIN | {"pad_token": 7}})
    with pytest.raises(ValueError, match="pad_token 7, expected the text of a token"):
        tokens.load_tokenizer(folder)


def test_settings_that_are_not_applied_are_said_once(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(tokens.logging, "warning", lambda *args: said.append(args))
    files = {NAMED: PLAIN, "generation_config.json": {"repetition_penalty": 1.05}}
    folder = write(tmp_path / "model", files)
    for _ in range(2):
        tokens.load_tokenizer(folder)
    assert len(said) == 1 and "repetition_penalty 1.05" in said[0][0] % said[0][1:]
