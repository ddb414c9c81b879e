"""Every answer is right, every step is true, and questions name their numbers."""

import fractions
import re

import pytest
from embedded_texts import word_problems

# The answers in terms of the numbers drawn, apart from the schemas' own arithmetic.
ANSWERS = {
    "give_away": lambda a, b, g: a + b - g,
    "boxes": lambda n, k, x: n * k + x,
    "shopping": lambda a, p, b, q: sum([p] * a) + sum([q] * b),
    "change": lambda n, p, note: note - n * p,
    "share": lambda total, n, own: fractions.Fraction(total, n) + own,
    "times_as_many": lambda k, a: (k + 1) * a,
    "half_sold": lambda total, evening: fractions.Fraction(total, 2) - evening,
    "wages": lambda pay, hours, days: pay * hours * days,
    "saving": lambda price, had, week: next(
        w for w in range(999) if had + w * week >= price
    ),
    "ages": lambda age, older, later: age + older + later,
    "reading": lambda pages, day, days: pages - day * days,
    "speed": lambda v, t, w, u: v * t + w * u,
    "fence": lambda a, b, p: (a + a + b + b) * p,
    "tiles": lambda a, b, pack: fractions.Fraction(a * b, pack),
    "percent_off": lambda price, percent: fractions.Fraction(
        price * (100 - percent), 100
    ),
    "recipe": lambda batch, cups, want, has: (
        fractions.Fraction(want * cups, batch) - has
    ),
    "average": lambda x, y, z: fractions.Fraction(x + y + z, 3),
    "bus": lambda a, off, on, off2: a + on - off - off2,
    "legs": lambda cows, hens: 2 * (2 * cows + hens),
    "profit": lambda n, buy, sell: n * sell - n * buy,
    "remainder": lambda total, k: total % k,
    "minutes": lambda hours, extra, task: 60 * hours + extra - task,
    "sum_and_difference": lambda total, d: next(
        x for x in range(total) if x + x + d == total
    ),
    "tank": lambda fill, leak, size: next(
        m for m in range(999) if m * (fill - leak) >= size
    ),
    "doubling": lambda a, days: a << days,
    "think_of_a_number": lambda k, a, result: next(
        x for x in range(999) if k * x + a == result
    ),
    "fraction_left": lambda total, parts, given: (
        total * fractions.Fraction(parts - 1, parts) - given
    ),
}


@pytest.fixture(scope="module")
def problems():
    return list(word_problems.generate(3000, seed=11))


def test_every_answer_equals_an_independent_evaluation(problems):
    for problem in problems:
        assert ANSWERS[problem.schema](*problem.values) == problem.answer, (
            problem.text()
        )
        assert problem.answer > 0
    assert {problem.schema for problem in problems} == set(ANSWERS) and len(
        ANSWERS
    ) >= 20


def test_every_step_is_a_true_equation_and_the_last_one_gives_the_answer(problems):
    for problem in problems:
        results = []
        for step in problem.steps:
            ((left, right),) = re.findall(r"(\d[\d */+-]*\d) = (\d+)", step)
            tree = re.sub(r"\d+", r"fractions.Fraction(\g<0>)", left)
            assert eval(tree) == int(right), (
                step
            )  # digits and operators only, by the pattern above
            results.append(int(right))
        assert results[-1] == problem.answer, problem.text()


def test_questions_name_every_number_and_end_in_the_answer(problems):
    for problem in problems:
        numbers = [int(n) for n in re.findall(r"\d+", problem.question)]
        assert all(value in numbers for value in problem.values), problem.text()
        assert len(numbers) - len(problem.values) <= 1, problem.text()
        assert problem.text().endswith(f"\n#### {problem.answer}")
        assert (
            problem.text().startswith("Question: ") and "\nAnswer: " in problem.text()
        )
