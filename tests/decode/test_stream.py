"""Streamed text never shrinks, and joined it is the text of all tokens at once.

The tokenizers are made here: one with byte fallback, decoded as Llama's and Mistral's
are, and a byte-level one, decoded as Qwen's. Their tokens come in any order, as a model
may sample them: halves of characters, special tokens inside a character, ids that no
token has.
"""

import itertools
import json
from unittest import mock

import hypothesis
import pytest
import tokenizers
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers

from jaxent.data import tokens
from jaxent.decode import loop, text

SETTINGS = {"derandomize": True, "deadline": None, "max_examples": 150}
SPECIAL = ["<unk>", "<s>", "</s>"]
PIECES = ["▁", "▁the", "▁é", "a", "\N{REPLACEMENT CHARACTER}", "中"]
FALLBACK_BYTES = [*"⠋é😀".encode(), 0x0A, 0x20, 0x41, 0xFF]
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


def save(folder, raw) -> tokens.Tokenizer:
    raw.add_special_tokens(SPECIAL)
    folder.mkdir()
    raw.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokens.load_tokenizer(folder)


@pytest.fixture(scope="module")
def fallback(tmp_path_factory) -> tokens.Tokenizer:
    names = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *PIECES]
    vocabulary = {name: id for id, name in enumerate(names)}
    raw = tokenizers.Tokenizer(
        models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True)
    )
    raw.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    raw.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    return save(tmp_path_factory.mktemp("fallback") / "tokenizer", raw)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory) -> tokens.Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("Ã", "©"), ("ł", "ĭ")]  # " t", "é", two bytes inside "⠋"
    names = [*SPECIAL, *letters, *map("".join, merges)]
    vocabulary = {name: id for id, name in enumerate(names)}
    raw = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return save(tmp_path_factory.mktemp("byte_level") / "tokenizer", raw)


def stream(tokenizer, prompt: str, ids: list[int], sizes: list[int]) -> list[str]:
    """What `text.stream` yields when a model gives these ids, so many at a time."""
    chunks = []
    for size in itertools.cycle(sizes):
        taken = sum(len(chunk.ids) for chunk in chunks)
        end = "length" if taken + size >= len(ids) else None
        chunks.append(loop.TokenChunk(0, ids[taken : taken + size], end, 0))
        if end:
            break
    with mock.patch.object(loop, "decode", return_value=iter(chunks)):
        return list(text.stream(None, tokenizer, prompt, len(ids)))


def is_byte(tokenizer, id: int) -> bool:
    name = tokenizer.fast.convert_ids_to_tokens(id)
    return name is not None and name.startswith("<0x")


def reference(tokenizer, prompt: str, ids: list[int]) -> str:
    """The text of all ids decoded at once.

    A run of bytes after a prompt that ends with bytes is decoded on its own.
    """
    start = tokenizer.encode([prompt])[0]
    if not is_byte(tokenizer, start[-1]):
        return tokenizer.decode(start + ids)[len(tokenizer.decode(start)) :]
    letter = tokenizer.fast.get_vocab()["a"]  # a token that ends the prompt's run
    start = [*start, letter]
    return tokenizer.decode(start + ids)[len(tokenizer.decode(start)) :]


def check(tokenizer, prompt: str, ids: list[int], sizes: list[int]) -> None:
    expected = reference(tokenizer, prompt, ids)
    shown = ""
    for part in stream(tokenizer, prompt, ids, sizes):
        shown += part
        assert expected.startswith(shown)
    assert shown == expected
    [start] = tokenizer.encode([prompt])
    assert text._Continuation(tokenizer, start).text(ids) == expected


SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=3)
PROMPTS = st.sampled_from(["a", "the", "a\n", "a😀", "the é"])


@hypothesis.settings(**SETTINGS)
@hypothesis.given(st.data(), PROMPTS, SIZES)
def test_any_tokens_with_byte_fallback(fallback, data, prompt, sizes):
    names = [*SPECIAL, *PIECES, *(f"<0x{byte:02X}>" for byte in FALLBACK_BYTES)]
    vocabulary = fallback.fast.get_vocab()
    any_id = st.sampled_from([vocabulary[name] for name in names] + [10_000])
    ids = data.draw(st.lists(any_id, min_size=1, max_size=24))
    check(fallback, prompt, ids, sizes)


@hypothesis.settings(**SETTINGS)
@hypothesis.given(st.data(), PROMPTS, SIZES)
def test_any_tokens_of_a_byte_level_tokenizer(byte_level, data, prompt, sizes):
    parts = [
        byte_level.encode([part])[0]
        for part in ("é", "⠋", "😀", " t", "\n", "\N{REPLACEMENT CHARACTER}")
    ]
    choices = sorted({id for part in parts for id in part} | {0, 1, 2, 10_000, 255})
    ids = data.draw(st.lists(st.sampled_from(choices), min_size=1, max_size=24))
    check(byte_level, prompt, ids, sizes)


@hypothesis.settings(**SETTINGS)
@hypothesis.given(st.text("a é⠋😀中\n\u200d\ufe0f", min_size=1), st.data(), SIZES)
def test_texts_cut_anywhere(fallback, byte_level, whole, data, sizes):
    for tokenizer in (fallback, byte_level):
        [start], [ids] = tokenizer.encode(["a"]), tokenizer.encode(["a" + whole])
        ids = ids[len(start) :]
        count = data.draw(st.integers(1, len(ids)))
        check(tokenizer, "a", ids[:count], sizes)


def test_complete_characters_do_not_fall_to_a_half_one_after_them(fallback):
    """The library turns the whole run into replacement characters, and back."""
    [start] = fallback.encode(["a"])
    ids = fallback.encode(["a" + SPINNER])[0][len(start) :]
    assert len(ids) == 3 * len(SPINNER)
    assert fallback.decode(ids[:4]) == "\N{REPLACEMENT CHARACTER}" * 4
    for size in (1, 4, 8):
        assert "".join(stream(fallback, "a", ids, [size])) == SPINNER


def test_a_half_character_spares_the_prompts(fallback):
    """A prompt that ends with bytes keeps its text, whatever the model writes."""
    vocabulary = fallback.fast.get_vocab()
    half, letter = vocabulary["<0xE2>"], vocabulary["a"]
    assert stream(fallback, "a😀", [half, letter, letter], [1]) == [
        "",
        "\N{REPLACEMENT CHARACTER}a",
        "a",
    ]


def test_a_special_token_inside_a_character_is_left_out(byte_level):
    [ids] = byte_level.encode(["⠋x"])
    assert stream(byte_level, "a", [ids[0], 2, *ids[1:]], [1]) == ["", "", "⠋", "x"]


def test_lines_are_shown_once_their_end_is_certain(fallback):
    """A line feed is a byte in Llama's tokenizers."""
    vocabulary = fallback.fast.get_vocab()
    ids = [vocabulary["<0x0A>"], vocabulary["▁the"], vocabulary["a"]]
    assert stream(fallback, "a", ids, [1]) == ["", "\n the", "a"]


def test_bytes_are_known_from_the_decoder(fallback, byte_level, tmp_path):
    assert sorted(fallback.byte_of.values()) == list(range(256))
    assert byte_level.byte_of == {}
    raw = tokenizers.Tokenizer(models.BPE({"<unk>": 0, "<0x41>": 1}, []))
    raw.decoder = decoders.Fuse()
    assert save(tmp_path / "plain", raw).byte_of == {}
