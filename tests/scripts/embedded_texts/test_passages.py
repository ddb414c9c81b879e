"""Repeats are dropped, and the split follows the family."""

from embedded_texts import passages


def test_the_first_of_texts_that_differ_in_white_space_stays():
    texts = ["a b", "c", "a\n b", "c "]
    kept = passages.drop_repeats(passages.Passage("f", text) for text in texts)
    assert [passage.text for passage in kept] == ["a b", "c"]


def test_about_one_family_in_twenty_is_held_out_and_a_family_is_on_one_side():
    def split_of(family, text):
        return passages.to_row(passages.Passage(family, text))["split"]

    splits = [split_of(f"family {i}", "a") for i in range(4000)]
    assert 0.04 < splits.count("held_out") / 4000 < 0.06
    assert splits == [split_of(f"family {i}", "b") for i in range(4000)]


def test_a_long_family_is_written_as_its_hash():
    assert passages.to_row(passages.Passage("short", "t"))["family"] == "short"
    label = passages.to_row(passages.Passage("long " * 20, "t"))["family"]
    assert len(label) == 16
    int(label, 16)
