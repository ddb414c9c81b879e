"""Arithmetic word problems with worked solutions, right by construction.

A schema (`problem_schemas`) draws the numbers of one kind of problem; its sentences are
in word_problems.json. The numbers of the question are kept as `values`, so that another
program can check the answer.
"""

import dataclasses
import json
import pathlib
import random
from collections.abc import Callable, Iterator

from embedded_texts import problem_schemas

_WORDS = json.loads(
    pathlib.Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One problem.

    Attributes:
        schema: The schema's name.
        values: The numbers of the question, in the schema's order.
        question: The question.
        steps: The worked steps, one equation each.
        answer: The answer.
    """

    schema: str
    values: tuple[int, ...]
    question: str
    steps: tuple[str, ...]
    answer: int

    def text(self) -> str:
        """The problem in GSM8K's manner: `Question: ...`, `Answer: ...`, `#### 42`."""
        steps = "\n".join(self.steps)
        return f"Question: {self.question}\nAnswer: {steps}\n#### {self.answer}"


def generate(count: int, seed: int) -> Iterator[Problem]:
    """Yields `count` problems, the schemas in turn; they depend on `seed` alone."""
    rng = random.Random(seed)
    schemas = problem_schemas.SCHEMAS
    for i in range(count):
        yield _draw_problem(schemas[i % len(schemas)], rng)


Schema = Callable[[random.Random], problem_schemas.Numbers]


def _draw_problem(schema: Schema, rng: random.Random) -> Problem:
    name = schema.__name__.removeprefix("_")
    sentences = _WORDS["schemas"][name]
    cast = _draw_cast(rng)
    numbers = schema(rng)
    words = {**cast, **numbers.given, **numbers.derived}
    question = rng.choice(sentences["questions"]).format(**words)
    steps = [
        step.format(**words, **further)
        for further in numbers.rounds
        for step in sentences["steps"]
    ]
    values = tuple(numbers.given.values())
    return Problem(name, values, question, tuple(steps), numbers.answer)


def _draw_cast(rng: random.Random) -> dict[str, str]:
    """Two different people, two different things, a place and a day."""
    girls, boys = _WORDS["girls"], _WORDS["boys"]
    girl = rng.random() < 0.5
    name = rng.choice(girls if girl else boys)
    friend = rng.choice([other for other in girls + boys if other != name])
    item, other = rng.sample(_WORDS["items"], 2)
    place = rng.choice(_WORDS["places"])
    return {
        "name": name,
        "friend": friend,
        "he": "she" if girl else "he",
        "He": "She" if girl else "He",
        "his": "her" if girl else "his",
        "item": item,
        "items": _plural(item),
        "other": other,
        "others": _plural(other),
        "place": place,
        "Place": place.capitalize(),
        "day": rng.choice(_WORDS["days"]),
    }


def _plural(noun: str) -> str:
    """The regular English plural of an item."""
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")
