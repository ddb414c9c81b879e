import hashlib
import json
import pathlib
import re

import numpy as np
import pytest

from jaxent.data import corpora, holdout, mix, own, rows, sources, tokens


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


TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
# Taken before mixtures and sources of one's own existed: these must never change.
EMBEDDED_HASHES = {
    "code": "771719024be5431d",
    "math": "f8b84302dcd229c6",
    "natural": "2500348ec7291b34",
    "creative": "b1420e18f9d9585a",
}
BATCH_HASHES = {
    "B1": "a118c007cab39ce5",
    "B2": "99a5d888c47aa827",
    "B3": "4b1286c00cf8006d",
    "B4": "99a5d888c47aa827",
    "B5": "c71de7d8c98e7cb4",
    "B6": "be0dd4ffccb8ae7c",
}


def numbered_by_row(segments):
    """Segments 1, 2, ... in the order in which a row holds them; 0 stays."""
    numbered = np.zeros_like(segments)
    for row, of_row in zip(numbered, segments):
        in_order = dict.fromkeys(of_row[of_row > 0].tolist())
        for number, segment in enumerate(in_order, 1):
            row[of_row == segment] = number
    return numbered


@pytest.fixture(scope="module")
def embedded_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("condition", BATCH_HASHES)
def test_conditions_give_the_batches_that_they_always_gave(condition, embedded_cache):
    tokenizer = tokens.load_tokenizer(TINY)
    mixture = mix.condition_mixture(condition, 5)
    corpus = corpora.load_corpus(
        mixture.domains, tokenizer, 256, "embedded", cache=embedded_cache
    )
    assert corpus.hashes == {
        f"embedded_{domain}": EMBEDDED_HASHES[domain] for domain in mixture.domains
    }
    digest = hashlib.sha256()
    for seed in (0, 7):
        for step in (0, 1, 4, 5, 60, 4999):
            for packing in (True, False):
                batch, used = corpus.batch(mixture, seed, step, 256, 16, packing)
                digest.update(f"{used}".encode())
                # The hashes are of examples numbered within their row.
                for x in batch._replace(segments=numbered_by_row(batch.segments)):
                    digest.update(f"{x.dtype} {x.shape}".encode() + x.tobytes())
    assert digest.hexdigest()[:16] == BATCH_HASHES[condition]


def own_source(tmp_path, name="law", number=80, **columns):
    file = tmp_path / f"{name}.jsonl"
    lines = [json.dumps({"text": f"{name} text {n}"}) for n in range(number)]
    file.write_text("\n".join(lines))
    return own.OwnSource(name, str(file), **columns)


def test_a_domain_of_ones_own_stands_beside_the_others(tmp_path):
    tokenizer = tokens.load_tokenizer(TINY)
    more = [own_source(tmp_path), own_source(tmp_path, "math", 5)]
    corpus = corpora.load_corpus(
        ("code", "math", "law"),
        *(tokenizer, 32, "embedded", None, tmp_path / "cache"),
        own_sources=more,
    )
    assert corpus.sizes["law"] == {"own_law": 80}
    assert corpus.sizes["math"] == {"own_math": 5}  # it replaces the embedded one
    assert list(corpus.sizes["code"]) == ["embedded_code"]
    assert set(corpus.tallies) == {"own_law", "own_math"}
    limited = corpora.load_corpus(
        ["law"], tokenizer, 32, None, 7, tmp_path / "cache", own_sources=more
    )
    assert limited.sizes == {"law": {"own_law": 7}}


def test_held_out_examples_are_in_no_batch(tmp_path):
    tokenizer = tokens.load_tokenizer(TINY)
    source = own_source(tmp_path, number=60)
    text = pathlib.Path(source.path).read_text()
    with open(source.path, "a") as file:
        file.write(f"\n{text}")  # every row twice
    corpus = corpora.load_corpus(
        ["law", "creative"],
        *(tokenizer, 32, "embedded", None, tmp_path / "cache"),
        own_sources=[source],
        held_out=holdout.HoldoutConfig(0.2, 1000),
    )
    apart = {
        domain: {tuple(example.ids.tolist()) for example in found}
        for domain, found in corpus.held_out.items()
    }
    assert len(apart["law"]) > 4 and len(apart["creative"]) > 50
    [law], [creative] = (corpus.domains[d].values() for d in ("law", "creative"))
    assert len(law) == 2 * (60 - len(apart["law"]))
    assert not apart["law"] & {tuple(law[i].tolist()) for i in range(len(law))}
    trained = {tuple(creative[i].tolist()) for i in range(len(creative))}
    # The package's own split is by family of texts, so texts that share no more than
    # a beginning as long as a row may be on both sides.
    assert len(apart["creative"] & trained) < 0.1 * len(apart["creative"])


def test_a_share_that_holds_nothing_out_is_refused(tmp_path):
    tokenizer = tokens.load_tokenizer(TINY)
    with pytest.raises(
        ValueError, match="domain law: none of its examples is held out"
    ):
        corpora.load_corpus(
            ["law"],
            *(tokenizer, 32, None, None, tmp_path / "cache"),
            own_sources=[own_source(tmp_path, number=3)],
            held_out=holdout.HoldoutConfig(0.01),
        )


def test_data_of_the_hub_is_asked_for_once(tmp_path, monkeypatch):
    tokenizer = tokens.load_tokenizer(TINY)
    asked = []

    def read_hub(*arguments):
        asked.append(arguments)
        return iter([{"text": "a text"}, {"text": "another"}])

    monkeypatch.setattr(rows, "read_hub", read_hub)
    source = own.OwnSource("law", "owner/laws-once", revision="v1")

    def load(limit=None):
        return corpora.load_corpus(
            ["law"], tokenizer, 32, None, limit, tmp_path, own_sources=[source]
        )

    first = load()
    number = len(asked)
    assert load().hashes == first.hashes and len(asked) == number
    assert load(1).sizes == {"law": {"own_law": 1}} and len(asked) > number


def test_what_a_data_root_must_hold_is_said(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        corpora.check_sources(["math"], str(tmp_path))
    assert str(caught.value).endswith(
        "--data_root must hold gsm8k/train.jsonl (columns question, answer);"
        " competition_math/train.jsonl (columns problem, solution)"
    )
