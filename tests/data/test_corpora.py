import json
import re

import numpy as np
import pytest

from jaxent.data import corpora, mix, rows, sources, tokens


def small_root(tmp_path, **files):
    for name, lines in files.items():
        file = tmp_path / name.replace("__", "/")
        file = file.with_name(file.name + ".jsonl")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(r) + "\n" for r in lines))
    return str(tmp_path)


def test_real_rows_tokenize_cache_and_batch(shared, tmp_path):
    tokenizer = tokens.load_tokenizer(shared / "stories260k")
    root = str(shared)
    corpora.check_sources(mix.DOMAINS, root)

    def load():
        domains = ("code", "natural")
        return corpora.load_corpus(domains, tokenizer, 128, root, 40, tmp_path)

    corpus, again = load(), load()
    assert list(corpus.sizes["code"]) == [
        "code_search_net_python",
        "code_search_net_javascript",
        "codealpaca",
    ]
    assert len(list(tmp_path.iterdir())) == 5  # one folder a source, nothing partial
    first = corpus.domains["code"]["codealpaca"][0]
    assert tokenizer.decode(first).startswith("### Instruction:") and len(first) <= 128
    assert first[0] == tokenizer.bos_id and (first[-1] == tokenizer.eos_id) == (
        len(first) < 128
    )
    b3 = mix.condition_mixture("B3")
    one, two = corpus.batch(b3, 0, 3, 128), again.batch(b3, 0, 3, 128)
    for a, b in zip(one[0], two[0]):
        np.testing.assert_array_equal(a, b)
    padded, sixteen = corpus.batch(b3, 0, 3, 128, packing=False)
    assert sixteen == 16 and padded.weights.sum() == one[0].weights.sum()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none of gsm8k/train.jsonl is there"):
        corpora.check_sources(["math"], str(tmp_path))
    root = small_root(
        tmp_path,
        gsm8k__train=[{"question": "q", "solution": "s"}],
        competition_math__train=[],
    )
    with pytest.raises(
        ValueError, match="column 'answer' is missing .found question, solution."
    ):
        corpora.check_sources(["math"], root)
    root = small_root(tmp_path, gsm8k__train=[{"question": "q", "answer": "a"}])
    with pytest.raises(ValueError, match="no rows, expected those of competition_math"):
        corpora.check_sources(["math"], root)


def test_a_source_read_from_the_hub_is_not_asked_for_again(
    shared, tmp_path, monkeypatch
):
    tokenizer = tokens.load_tokenizer(shared / "stories260k")
    texts = [{"text": f"Once there were {n} cats."} for n in range(3)]
    asked = []
    monkeypatch.setattr(
        rows, "read_hub", lambda name, *_: asked.append(name) or iter(texts)
    )

    def load(limit=50_000):
        return corpora.load_corpus(
            ["creative"], tokenizer, 64, limit=limit, cache=tmp_path
        )

    first, again = load(), load()
    assert (
        asked == ["roneneldan/TinyStories"]
        and first.hashes == again.hashes
        and again.sizes == {"creative": {"fiction": 3}}
    )
    assert load(limit=2).sizes == {"creative": {"fiction": 2}} and len(asked) == 2


def test_hub_failure_is_one_clear_line():
    with pytest.raises(
        FileNotFoundError,
        match="data set openai/gsm8k: the Hub did not give it .* use --data_root",
    ):
        corpora.read_texts(corpora.select_sources(["math"])[0], None, 5)


def test_the_real_files_hold_these_many_texts(shared):
    sizes = {
        s.name: len(corpora.read_texts(s, str(shared), 50_000)) for s in sources.SOURCES
    }
    assert sizes == {
        "code_search_net_python": 2343,
        "code_search_net_javascript": 1201,
        "codealpaca": 2017,
        "gsm8k": 7473,
        "competition_math": 7500,
        # WikiText-2's test articles; two formulas in it look like headings.
        "wikipedia": 60,
        "cnn_dailymail": 43,
        "fiction": 150,
    }


def test_examples_are_the_tokenizers_own_cut_at_length(shared, tmp_path):
    tokenizer = tokens.load_tokenizer(shared / "stories260k")
    texts = corpora.read_texts(corpora.select_sources(["math"])[0], str(shared), 30)
    found = corpora.load_corpus(
        ["math"], tokenizer, 200, str(shared), limit=30, cache=tmp_path
    ).domains["math"]["gsm8k"]
    expected = [[*ids, tokenizer.eos_id][:200] for ids in tokenizer.encode(texts)]
    assert [list(found[i]) for i in range(len(found))] == expected
    assert {len(ids) < 200 for ids in expected} == {True, False}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("{bad", "train.jsonl, line 2: not JSON"),
        (
            '{"question": "q"}',
            "train.jsonl, row 2: column 'answer' is missing (found question),"
            " expected text in question",
        ),
        (
            '{"question": "q", "answer": null}',
            "row 2: column 'answer' holds None (found question, answer)",
        ),
        ("3", "train.jsonl, line 2: holds a number, expected an object"),
        (
            '{"question": "q", "answer": "smile \\ud83d"}',
            "train.jsonl, line 2: answer: '\\ud83d' is half of a character",
        ),
    ],
)
def test_a_bad_row_anywhere_is_named(tmp_path, row, expected):
    root = small_root(tmp_path, gsm8k__train=[{"question": "q", "answer": "a"}])
    with (tmp_path / "gsm8k/train.jsonl").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(ValueError, match=re.escape(expected)) as caught:
        corpora.read_texts(corpora.select_sources(["math"])[0], root, 9)
    assert "\n" not in str(caught.value)
