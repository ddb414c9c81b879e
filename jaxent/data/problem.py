"""What a word problem is, and who and what it is about."""

import dataclasses
import random

_GIRLS = [
    "Ada",
    "Bella",
    "Clara",
    "Dina",
    "Elena",
    "Farah",
    "Grace",
    "Hana",
    "Iris",
    "June",
    "Kira",
    "Lena",
    "Maya",
    "Nora",
    "Olga",
    "Priya",
    "Rosa",
    "Sara",
    "Tess",
    "Wendy",
]
_BOYS = [
    "Adam",
    "Ben",
    "Carlos",
    "David",
    "Eli",
    "Felix",
    "Gus",
    "Hugo",
    "Ivan",
    "Jonas",
    "Karim",
    "Leo",
    "Marco",
    "Noah",
    "Omar",
    "Paul",
    "Ravi",
    "Sam",
    "Tom",
    "Victor",
]
_ITEMS = [
    "apple",
    "pear",
    "lemon",
    "cookie",
    "muffin",
    "marble",
    "sticker",
    "pencil",
    "button",
    "shell",
    "stamp",
    "ribbon",
    "postcard",
    "candle",
    "bead",
    "crayon",
    "plum",
    "sandwich",
    "notebook",
    "badge",
]
_PLACES = [
    "at the market",
    "at school",
    "at the fair",
    "in the village shop",
    "at the library sale",
    "at the bakery",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@dataclasses.dataclass(frozen=True)
class Problem:
    """One problem: its schema's name, the numbers drawn, the text, the worked steps, the answer."""

    schema: str
    values: tuple[int, ...]
    question: str
    steps: tuple[str, ...]
    answer: int

    def text(self) -> str:
        """The problem in GSM8K's manner: `Question: ...`, `Answer: ...`, `#### 42`."""
        return (
            f"Question: {self.question}\nAnswer: "
            + "\n".join(self.steps)
            + f"\n#### {self.answer}"
        )


@dataclasses.dataclass(frozen=True)
class Cast:
    """Who and what a problem is about; `he` is the subject pronoun, `his` the possessive."""

    name: str
    he: str
    his: str
    friend: str
    item: str
    other: str
    place: str
    day: str

    @property
    def items(self) -> str:
        return plural(self.item)

    @property
    def others(self) -> str:
        return plural(self.other)

    @property
    def He(self) -> str:
        return self.he.capitalize()


def plural(noun: str) -> str:
    """The regular English plural of a noun of this module."""
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def draw_cast(rng: random.Random) -> Cast:
    """Two different people, two different things, a place and a day."""
    girl = rng.random() < 0.5
    name = rng.choice(_GIRLS if girl else _BOYS)
    friend = rng.choice([n for n in _GIRLS + _BOYS if n != name])
    item, other = rng.sample(_ITEMS, 2)
    he, his = ("she", "her") if girl else ("he", "his")
    return Cast(
        name, he, his, friend, item, other, rng.choice(_PLACES), rng.choice(_DAYS)
    )
