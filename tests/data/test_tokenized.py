import pathlib

import numpy as np
import pytest

from jaxent.data import corpora, examples, tokenized, tokens

TOKENIZER = tokens.load_tokenizer(
    pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
)
PAIRS = [("What is 2?", " 2."), ("", "x"), ("p", "")]


def test_records_are_cached_with_their_flags_and_counts(tmp_path, monkeypatch):
    request = tokenized.Request(TOKENIZER, 32, tmp_path)
    encoder = examples.Encoder(TOKENIZER, 32, "pair", "completion")
    first = tokenized.tokenize_records("own_d", PAIRS, encoder, request)
    expected, _ = encoder.encode(PAIRS)
    monkeypatch.setattr(examples.Encoder, "encode", None)  # the cache is enough
    again = tokenized.tokenize_records("own_d", PAIRS, encoder, request)
    assert first.hash == again.hash and first.tally == again.tally
    assert again.tally["empty"] == 1 and len(again) == 2
    for index, example in enumerate(expected):
        np.testing.assert_array_equal(again[index], example.ids)
        np.testing.assert_array_equal(again.counted(index), example.counted)


def test_what_changes_tokens_or_flags_changes_the_hash(tmp_path):
    def hash_of(pairs=PAIRS, length=32, form="pair", loss_on="completion"):
        encoder = examples.Encoder(TOKENIZER, length, form, loss_on)
        request = tokenized.Request(TOKENIZER, length, tmp_path)
        return tokenized.tokenize_records("own_d", pairs, encoder, request).hash

    hashes = [
        hash_of(),
        hash_of(loss_on="all"),
        hash_of(length=31),
        hash_of(pairs=PAIRS[:1]),
        hash_of(pairs=[("What is", " 2? 2.")]),
        hash_of(pairs=["What is 2? 2."], form="text", loss_on="all"),
    ]
    assert len(set(hashes)) == len(hashes)


def test_a_part_has_the_examples_of_its_indices(tmp_path):
    request = tokenized.Request(TOKENIZER, 32, tmp_path)
    whole = tokenized.tokenize_texts("t", [f"text {n}" for n in range(5)], request)
    part = tokenized.Tokenized(
        whole.tokens, whole.offsets, whole.hash, part=np.array([4, 1])
    )
    assert len(part) == 2 and part.counted(0) is None
    np.testing.assert_array_equal(part[0], whole[4])
    np.testing.assert_array_equal(part[1], whole[1])


def test_nothing_to_train_on_says_why(tmp_path):
    encoder = examples.Encoder(TOKENIZER, 4, "pair", "completion")
    request = tokenized.Request(TOKENIZER, 4, tmp_path)
    with pytest.raises(
        ValueError,
        match="own_d: nothing to train on in 2 records .1 without text; in 1 no token"
        " counts within --max_length 4 under --loss_on=completion",
    ):
        tokenized.tokenize_records(
            "own_d", [("a prompt of many tokens", " b"), ("p", " ")], encoder, request
        )
    assert list(tmp_path.iterdir()) == []


def test_answers_are_found_again_by_their_request(tmp_path):
    request = tokenized.Request(TOKENIZER, 32, tmp_path)
    assert tokenized.find_answer("t", "asked", request) is None
    answer = tokenized.tokenize_texts("t", ["one text"], request)
    tokenized.remember_answer("t", "asked", answer, request)
    again = tokenized.find_answer("t", "asked", request)
    assert again is not None and again.hash == answer.hash
    assert tokenized.find_answer("t", "asked otherwise", request) is None
