"""What is counted in a text."""

from jaxent.data import surface_features


def counted(text):
    return dict(zip(surface_features.COUNT_NAMES, surface_features.counts(text)))


def test_marks_are_told_apart():
    found = counted(
        "A well-known don - \u201cso\u201d (3), isn't it? The boys' hats: 1.5!"
    )
    assert found["hyphens"] == found["dashes"] == 1
    assert found["apostrophes"] == found["quotes"] == found["parentheses"] == 2
    assert found["digits"] == 3 and found["periods"] == 1 and found["sentences"] == 2
    assert found["colons"] == found["question marks"] == found["exclamation marks"] == 1


def test_contractions_count_as_their_words():
    columns = surface_features.FUNCTION_WORDS
    row = surface_features.function_word_features(["You can't and won't; cannot, can."])
    assert row[0, columns.index("can")] == 3 and row[0, columns.index("will")] == 1
    assert row[0, columns.index("not")] == 0 and row[0, columns.index("n't")] == 2
    assert len(columns) == len(set(columns))
