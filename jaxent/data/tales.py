"""Tiny tales from a grammar: someone wants something, something is in the way, somebody helps.

A tale is drawn from tables of our own writing in four plots (an errand, a thing made, a quarrel, a
strange noise). Every sentence is a template over one `Person` or two, so names and pronouns agree.
"""

import dataclasses
import random
from collections.abc import Callable, Iterator

from jaxent.data import tale_tables as tables

Say = Callable[..., str]


@dataclasses.dataclass(frozen=True)
class Tale:
    """One tale and its plot: the choices that make two tales the same story in other words."""

    plot: str
    text: str


@dataclasses.dataclass(frozen=True)
class Person:
    """A character: a name, what they are, and the four forms of their pronoun."""

    name: str
    kind: str
    he: str
    him: str
    his: str
    himself: str

    @property
    def He(self) -> str:
        return self.he.capitalize()

    @property
    def His(self) -> str:
        return self.his.capitalize()

    @property
    def a_kind(self) -> str:
        return ("an " if self.kind[0] in "aeiou" else "a ") + self.kind


def generate(count: int, seed: int) -> Iterator[Tale]:
    """`count` tales, the four plots taken in turn, a function of `seed` alone."""
    rng = random.Random(seed)
    for i in range(count):
        yield PLOTS[i % len(PLOTS)](rng)


def _people(rng: random.Random) -> tuple[Person, Person]:
    first, second = rng.sample(tables.NAMES, 2)
    kinds = rng.sample(tables.KINDS, 2)
    return _person(*first, kinds[0]), _person(*second, kinds[1])


def _person(name: str, girl: bool, kind: str) -> Person:
    forms = (
        ("she", "her", "her", "herself") if girl else ("he", "him", "his", "himself")
    )
    return Person(name, kind, *forms)


def _where(rng: random.Random) -> dict[str, str]:
    place = rng.choice(tables.PLACES)
    return {"place": place, "Place": place[0].upper() + place[1:]}


def _sayer(rng: random.Random, **words: object) -> Say:
    """A function that picks one template of a table and fills it with the tale's words."""

    def say(templates: tuple[str, ...], **more: object) -> str:
        return rng.choice(templates).format(**words, **more)

    return say


def _opening(rng: random.Random, say: Say) -> str:
    weather = rng.choice(tables.WEATHER)
    lines = [say(tables.OPENINGS, weather=weather), say(tables.TRAITS)]
    if rng.random() < 0.5:
        lines.append(say(tables.SETTINGS))
    return " ".join(lines)


def _text(*paragraphs: str) -> str:
    return "\n\n".join(paragraphs)


def _errand(rng: random.Random) -> Tale:
    a, b = _people(rng)
    errand, obstacle = rng.choice(tables.ERRANDS), rng.choice(tables.OBSTACLES)
    say = _sayer(rng, a=a, b=b, **_where(rng), goal=errand.goal, thing=errand.thing)
    middle = [say((obstacle.problem,)), say(tables.FAILURES), say((obstacle.attempt,))]
    meeting = [
        say(tables.MEETINGS),
        say(tables.ASKS),
        say((obstacle.advice,)),
        say(tables.ANSWERS),
    ]
    end = [
        say((obstacle.solution,)),
        say((errand.arrival,)),
        say(tables.THANKS),
        say(tables.ENDINGS),
    ]
    wish = f"{say(tables.WISHES)} {say((errand.reason,))} {say(tables.DEPARTURES)}"
    text = _text(
        f"{_opening(rng, say)} {wish}",
        " ".join(middle),
        " ".join(meeting),
        " ".join(end),
    )
    return Tale(f"errand/{errand.thing}/{obstacle.name}", text)


def _making(rng: random.Random) -> Tale:
    a, b = _people(rng)
    work, trouble = rng.choice(tables.WORKS), rng.choice(tables.TROUBLES)
    say = _sayer(rng, a=a, b=b, **_where(rng), thing=work.thing, stuff=work.stuff)
    begin = f"{_opening(rng, say)} {say(tables.PLANS)} {say((work.purpose,))}"
    middle = " ".join([say((work.labour,)), say((trouble.event,)), say(tables.DISMAY)])
    talk = " ".join([say(tables.VISITS), say((trouble.comfort,)), say(tables.ANSWERS)])
    end = " ".join(
        [
            say((trouble.remedy,)),
            say((work.result,)),
            say(tables.PRIDE),
            say(tables.ENDINGS),
        ]
    )
    return Tale(f"making/{work.thing}/{trouble.name}", _text(begin, middle, talk, end))


def _quarrel(rng: random.Random) -> Tale:
    a, b = _people(rng)
    cause, repair = rng.choice(tables.CAUSES), rng.choice(tables.REPAIRS)
    say = _sayer(rng, a=a, b=b, **_where(rng), thing=cause.thing)
    begin = " ".join([_opening(rng, say), say(tables.FRIENDSHIPS), say((cause.event,))])
    anger = " ".join(
        [say(tables.ACCUSATIONS), say(tables.RETORTS), say(tables.PARTINGS)]
    )
    alone = " ".join([say(tables.LONELY), say(tables.THOUGHTS), say((repair.deed,))])
    end = " ".join(
        [
            say(tables.SORRIES),
            say(tables.FORGIVEN),
            say((cause.peace,)),
            say(tables.ENDINGS),
        ]
    )
    return Tale(f"quarrel/{cause.thing}/{repair.name}", _text(begin, anger, alone, end))


def _noise(rng: random.Random) -> Tale:
    a, b = _people(rng)
    sound, source = rng.choice(tables.SOUNDS), rng.choice(tables.NOISE_SOURCES)
    say = _sayer(rng, a=a, b=b, **_where(rng), thing=sound)
    begin = f"{_opening(rng, say)} {say(tables.NIGHTS)}"
    fear = " ".join([say(tables.FEARS), say(tables.WAKING), say(tables.GUESSES)])
    search = " ".join([say(tables.SEARCHES), say(tables.STEPS), say((source.found,))])
    end = " ".join([say(tables.RELIEF), say((source.after,)), say(tables.ENDINGS)])
    return Tale(f"noise/{sound}/{source.name}", _text(begin, fear, search, end))


PLOTS = (_errand, _making, _quarrel, _noise)
