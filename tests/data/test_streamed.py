import json
import pathlib

import numpy as np
import pytest

from jaxent.data import corpora, holdout, mix, own, streamed, tokens

TOKENIZER = tokens.load_tokenizer(
    pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
)


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "qa.jsonl"
    rows = [{"prompt": f"What is {n}?", "completion": f" {n}."} for n in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return own.OwnSource("qa", str(file))


def open_corpus(source, **more):
    return streamed.open_corpus(
        ("math", "qa"), TOKENIZER, 48, "embedded", own_sources=[source], **more
    )


def test_batches_are_a_pure_function_of_seed_and_step(source):
    mixture = mix.parse_mixture("qa:50,math:50")
    first, again = open_corpus(source), open_corpus(source)
    for step in (5, 2, 9):
        one, rows = first.batch(mixture, 3, step, 48, 8)
        two, _ = again.batch(mixture, 3, step, 48, 8)
        assert 0 < rows <= 8 and 0 < one.weights.sum() < (one.segments > 0).sum()
        for a, b in zip(one, two):
            np.testing.assert_array_equal(a, b)
    assert first.hashes == again.hashes and set(first.hashes) == {
        "embedded_math",
        "own_qa",
    }
    assert first.tallies["own_qa"]["records"] == 60


def test_the_same_is_held_out_as_of_a_corpus_on_disk(source, tmp_path):
    config = holdout.HoldoutConfig(0.2)
    apart = open_corpus(source, held_out=config).held_out["qa"]
    loaded = corpora.load_corpus(
        ["qa"],
        TOKENIZER,
        48,
        None,
        None,
        tmp_path,
        own_sources=[source],
        held_out=config,
    )
    both = [
        {tuple(example.ids.tolist()) for example in found}
        for found in (apart, loaded.held_out["qa"])
    ]
    assert both[0] == both[1] and len(both[0]) > 3


def test_rows_are_limited(source):
    corpus = open_corpus(source, limit=7)
    mixture = mix.parse_mixture("qa:100")
    corpus.batch(mixture, 0, 0, 48, 7)
    assert corpus.tallies["own_qa"]["records"] == 7
