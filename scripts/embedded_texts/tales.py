"""Tiny tales from a grammar: someone wants something, and somebody helps.

A tale is drawn from the tables of tales.json, which are this project's own writing, in
four plots: an errand, a thing made, a quarrel, a strange noise. The templates are
`str.format` patterns: `{a}` is the hero and `{b}` the other character, with the
attributes of `Person`, so that names and pronouns agree; `{place}`, `{thing}`,
`{goal}`, `{stuff}` and `{weather}` are phrases.
"""

import dataclasses
import json
import pathlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

TABLES = json.loads(
    pathlib.Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)


@dataclasses.dataclass(frozen=True)
class Tale:
    """One tale.

    Attributes:
        plot: The choices that make two tales the same story in other words.
        text: The tale.
    """

    plot: str
    text: str


@dataclasses.dataclass(frozen=True)
class Person:
    """A character: a name, what they are (with its article), and their pronouns."""

    name: str
    a_kind: str
    he: str
    him: str
    his: str
    himself: str
    He: str
    His: str


def generate(count: int, seed: int) -> Iterator[Tale]:
    """Yields `count` tales, the four plots in turn; they depend on `seed` alone."""
    rng = random.Random(seed)
    for i in range(count):
        yield PLOTS[i % len(PLOTS)](rng)


def _people(rng: random.Random) -> tuple[Person, Person]:
    girls = [(name, True) for name in TABLES["girls"]]
    boys = [(name, False) for name in TABLES["boys"]]
    first, second = rng.sample(girls + boys, 2)
    kinds = rng.sample(TABLES["kinds"], 2)
    return _person(*first, kinds[0]), _person(*second, kinds[1])


def _person(name: str, girl: bool, kind: str) -> Person:
    article = "an" if kind[0] in "aeiou" else "a"
    pronouns = ("he", "him", "his", "himself")
    if girl:
        pronouns = ("she", "her", "her", "herself")
    he, _, his, _ = pronouns
    return Person(
        name, f"{article} {kind}", *pronouns, he.capitalize(), his.capitalize()
    )


def _where(rng: random.Random) -> dict[str, str]:
    place = rng.choice(TABLES["places"])
    return {"place": place, "Place": place[0].upper() + place[1:]}


class _Teller:
    """Picks one template of a table and fills it with the words of one tale."""

    def __init__(self, rng: random.Random, **words: Any):
        self._rng = rng
        self._words = words

    def say(self, table: str, **more: Any) -> str:
        """One template of the table, drawn."""
        return self.fill(*TABLES[table], **more)

    def fill(self, *templates: str, **more: Any) -> str:
        """One of the templates, drawn; a single one costs a draw too."""
        return self._rng.choice(templates).format(**self._words, **more)

    def opening(self) -> str:
        """Who and where, with a trait, and half the time a setting."""
        weather = self._rng.choice(TABLES["weather"])
        lines = [self.say("openings", weather=weather), self.say("traits")]
        if self._rng.random() < 0.5:
            lines.append(self.say("settings"))
        return " ".join(lines)


def _text(*paragraphs: Sequence[str]) -> str:
    return "\n\n".join(" ".join(sentences) for sentences in paragraphs)


# The sentences of the tales below are drawn from top to bottom: moving one changes
# every tale after it.


def _errand(rng: random.Random) -> Tale:
    a, b = _people(rng)
    errand = rng.choice(TABLES["errands"])
    obstacle = rng.choice(TABLES["obstacles"])
    where = _where(rng)
    teller = _Teller(rng, a=a, b=b, **where, goal=errand["goal"], thing=errand["thing"])
    trouble = [
        teller.fill(obstacle["problem"]),
        teller.say("failures"),
        teller.fill(obstacle["attempt"]),
    ]
    help_comes = [
        teller.say("meetings"),
        teller.say("asks"),
        teller.fill(obstacle["advice"]),
        teller.say("answers"),
    ]
    end = [
        teller.fill(obstacle["solution"]),
        teller.fill(errand["arrival"]),
        teller.say("thanks"),
        teller.say("endings"),
    ]
    wish = [
        teller.say("wishes"),
        teller.fill(errand["reason"]),
        teller.say("departures"),
    ]
    begin = [teller.opening(), *wish]
    text = _text(begin, trouble, help_comes, end)
    return Tale(f"errand/{errand['thing']}/{obstacle['name']}", text)


def _making(rng: random.Random) -> Tale:
    a, b = _people(rng)
    work = rng.choice(TABLES["works"])
    trouble = rng.choice(TABLES["troubles"])
    where = _where(rng)
    teller = _Teller(rng, a=a, b=b, **where, thing=work["thing"], stuff=work["stuff"])
    text = _text(
        [teller.opening(), teller.say("plans"), teller.fill(work["purpose"])],
        [
            teller.fill(work["labour"]),
            teller.fill(trouble["event"]),
            teller.say("dismay"),
        ],
        [teller.say("visits"), teller.fill(trouble["comfort"]), teller.say("answers")],
        [
            teller.fill(trouble["remedy"]),
            teller.fill(work["result"]),
            teller.say("pride"),
            teller.say("endings"),
        ],
    )
    return Tale(f"making/{work['thing']}/{trouble['name']}", text)


def _quarrel(rng: random.Random) -> Tale:
    a, b = _people(rng)
    cause = rng.choice(TABLES["causes"])
    repair = rng.choice(TABLES["repairs"])
    teller = _Teller(rng, a=a, b=b, **_where(rng), thing=cause["thing"])
    text = _text(
        [teller.opening(), teller.say("friendships"), teller.fill(cause["event"])],
        [teller.say("accusations"), teller.say("retorts"), teller.say("partings")],
        [teller.say("lonely"), teller.say("thoughts"), teller.fill(repair["deed"])],
        [
            teller.say("sorries"),
            teller.say("forgiven"),
            teller.fill(cause["peace"]),
            teller.say("endings"),
        ],
    )
    return Tale(f"quarrel/{cause['thing']}/{repair['name']}", text)


def _noise(rng: random.Random) -> Tale:
    a, b = _people(rng)
    sound = rng.choice(TABLES["sounds"])
    source = rng.choice(TABLES["noise_sources"])
    teller = _Teller(rng, a=a, b=b, **_where(rng), thing=sound)
    text = _text(
        [teller.opening(), teller.say("nights")],
        [teller.say("fears"), teller.say("waking"), teller.say("guesses")],
        [
            teller.say("searches"),
            teller.say("steps"),
            teller.fill(source["discovery"]),
        ],
        [teller.say("relief"), teller.fill(source["after"]), teller.say("endings")],
    )
    return Tale(f"noise/{sound}/{source['name']}", text)


PLOTS = (_errand, _making, _quarrel, _noise)
