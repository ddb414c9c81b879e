"""Answers in sentences."""

import pytest

from jaxent.runs import conclusions


def judged(both: int, alone: int, pairs: int = 3, defined: int = 3) -> dict:
    return {
        "two axes": {"right": both, "pairs": defined},
        "crosstalk": {"right": alone, "pairs": pairs},
    }


@pytest.mark.parametrize(
    ("both", "alone", "word"),
    [(3, 1, "better"), (1, 3, "worse"), (2, 2, "no difference")],
)
def test_the_answer_names_the_better_order(both, alone, word):
    answer = conclusions.companion_answer(judged(both, alone))
    assert f"crosstalk alone {alone}: {word}." in answer


def test_few_companions_cannot_decide():
    three = conclusions.companion_answer(judged(3, 1))
    assert "3 companions cannot decide it" in three
    assert "once in 6 times" in three
    four = conclusions.companion_answer(judged(6, 1, pairs=6, defined=6))
    assert "4 companions: any order is right by chance once in 24 times" in four


def test_undefined_transfer_is_said():
    assert "cannot say" in conclusions.companion_answer(judged(1, 1, defined=1))
