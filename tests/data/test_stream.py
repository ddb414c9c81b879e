import collections
import pathlib

import pytest

from jaxent.data import corpora, examples, holdout, mix, stream, tokens

ENCODER = examples.Encoder(
    tokens.load_tokenizer(
        pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
    ),
    32,
)
TEXTS = [f"text {n}" for n in range(50)]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(stream, "WINDOW", 16)


def make(texts=TEXTS, config=None, name="s"):
    return stream.Stream(name, lambda: iter(texts), ENCODER, config)


def drawn(source, turns, seed=0):
    return [ENCODER.tokenizer.decode(source.example(seed, turn).ids) for turn in turns]


def test_every_example_comes_once_an_epoch_in_shuffled_windows():
    found = drawn(make(), range(100))
    assert sorted(found[:50]) == sorted(found[50:]) == sorted(TEXTS)
    assert sorted(found[:16]) == sorted(TEXTS[:16]) and found[:16] != TEXTS[:16]
    assert found[:50] != found[50:] != TEXTS
    assert drawn(make(), range(50), seed=1) != found[:50]


def test_a_stream_that_is_opened_again_goes_on_exactly():
    whole = drawn(make(), range(120))
    for start in (1, 15, 16, 49, 50, 99):
        assert drawn(make(), range(start, 120)) == whole[start:], start
    backward = make()
    assert drawn(backward, reversed(range(120))) == whole[::-1]


def test_what_is_held_out_is_never_streamed():
    config = holdout.HoldoutConfig(0.3)
    source = make(config=config)
    apart = {ENCODER.tokenizer.decode(e.ids) for e in source.held_out(50)}
    found = collections.Counter(drawn(source, range(2 * (50 - len(apart)))))
    assert 5 < len(apart) < 30 and not apart & set(found)
    assert apart | set(found) == set(TEXTS) and set(found.values()) == {2}
    assert len(make(config=config).held_out(3)) == 3


def test_records_without_use_are_counted_and_left_out():
    source = make(["a", "", "b", " "])
    assert sorted(drawn(source, range(2))) == ["a", "b"]
    assert source.tally["records"] == 4 and source.tally["empty"] == 2
    with pytest.raises(stream.StreamError, match="s: nothing to train on in 2 records"):
        make(["", " "]).example(0, 0)


def test_a_row_that_cannot_be_read_ends_the_stream_with_its_name():
    def read():
        yield "a"
        raise ValueError("own.jsonl, row 2: column 'text' is missing")

    source = stream.Stream("s", read, ENCODER)
    with pytest.raises(stream.StreamError, match="s: own.jsonl, row 2: column"):
        source.example(0, 0)


def test_hashes_tell_texts_and_settings_apart():
    assert make().hash == make().hash != make(TEXTS[1:]).hash
    all_of_it = examples.Encoder(ENCODER.tokenizer, 31)
    other = stream.Stream("s", lambda: iter(TEXTS), all_of_it)
    assert other.hash != make().hash


def test_domains_share_steps_as_mixtures_say():
    streams = {"a": {"x": make(name="x"), "y": make(name="y")}, "b": {"z": make()}}
    mixture = mix.parse_mixture("a:60,b:40")
    whole = [
        [example.ids.tolist() for example in stream.draw(mixture, streams, 0, step, 5)]
        for step in range(8)
    ]
    again = {"a": {"x": make(name="x"), "y": make(name="y")}, "b": {"z": make()}}
    for step in (6, 7):
        found = stream.draw(mixture, again, 0, step, 5)
        assert [example.ids.tolist() for example in found] == whole[step]
