"""Prose is taken out of documentation: without doctests, literal blocks and markup."""

from embedded_texts import prose

SENTENCE = "This sentence has exactly nine plain words of letters."


def test_markup_doctests_tables_and_literal_blocks_are_left_out():
    text = (
        "The :class:`list` has ``append`` and *many* other useful methods here.\n"
        + f"{SENTENCE}\n" * 4
        + "\n>>> [1, 2]\n[1, 2]\n\nLiteral text of some eight words follows this::\n"
        "\n    But this indented block of literal text is not a sentence here.\n\n"
        "====  ====\n\n- a bullet\n"
    )
    (run,) = prose.iter_runs(text, set())
    first, second = run.split("\n\n")
    start = "The list has append and many other useful methods here. "
    assert first == start + " ".join([SENTENCE] * 4)
    assert second == "Literal text of some eight words follows this:"


def test_runs_end_before_they_grow_too_long_and_nothing_comes_twice():
    paragraphs = [
        f"Number {'abcde'[i]} begins. " + f"{SENTENCE} " * 9 for i in range(5)
    ]
    text = "\n\n".join(paragraphs)
    seen = set()
    runs = list(prose.iter_runs(text, seen))
    lengths = [len(run.split()) for run in runs]
    assert lengths == [168, 168, 84]
    assert list(prose.iter_runs(text, seen)) == []


def test_a_short_text_gives_nothing():
    assert list(prose.iter_runs(SENTENCE, set())) == []
