"""The schemas of the word problems: each draws the numbers of one kind of problem.

The sentences of a schema are in word_problems.json under its name, which is the
function's name without the underscore.
"""

import dataclasses
import random
from typing import Any


@dataclasses.dataclass(frozen=True)
class Numbers:
    """The numbers of one problem.

    Attributes:
        given: The numbers of the question, by their names in the sentences.
        derived: Further numbers and words of the sentences.
        answer: The answer.
        rounds: The steps are repeated once a round, with these further words.
    """

    given: dict[str, int]
    derived: dict[str, int | str]
    answer: int
    rounds: tuple[dict[str, Any], ...] = ({},)


def _give_away(rng: random.Random) -> Numbers:
    had = rng.randint(12, 60)
    more = rng.randint(5, 40)
    given = rng.randint(2, 11)
    total = had + more
    left = total - given
    stated = {"had": had, "more": more, "given": given}
    return Numbers(stated, {"total": total, "left": left}, left)


def _boxes(rng: random.Random) -> Numbers:
    boxes = rng.randint(3, 12)
    size = rng.randint(4, 15)
    loose = rng.randint(2, 9)
    boxed = boxes * size
    total = boxed + loose
    stated = {"boxes": boxes, "size": size, "loose": loose}
    return Numbers(stated, {"boxed": boxed, "total": total}, total)


def _shopping(rng: random.Random) -> Numbers:
    stated = {
        "count": rng.randint(2, 9),
        "price": rng.randint(2, 8),
        "other_count": rng.randint(2, 9),
        "other_price": rng.randint(2, 8),
    }
    cost = stated["count"] * stated["price"]
    other_cost = stated["other_count"] * stated["other_price"]
    total = cost + other_cost
    derived = {"cost": cost, "other_cost": other_cost, "total": total}
    return Numbers(stated, derived, total)


def _change(rng: random.Random) -> Numbers:
    count = rng.randint(2, 6)
    price = rng.randint(2, 8)
    paid = rng.choice((50, 60, 100))
    cost = count * price
    change = paid - cost
    stated = {"count": count, "price": price, "paid": paid}
    return Numbers(stated, {"cost": cost, "change": change}, change)


def _share(rng: random.Random) -> Numbers:
    children = rng.randint(3, 9)
    each = rng.randint(3, 12)
    own = rng.randint(2, 9)
    stated = {"total": children * each, "children": children, "own": own}
    return Numbers(stated, {"each": each, "sum": each + own}, each + own)


def _times_as_many(rng: random.Random) -> Numbers:
    factor = rng.randint(2, 6)
    few = rng.randint(4, 25)
    many = factor * few
    total = many + few
    stated = {"factor": factor, "few": few}
    return Numbers(stated, {"many": many, "total": total}, total)


def _half_sold(rng: random.Random) -> Numbers:
    half = rng.randint(10, 40)
    evening = rng.randint(2, 9)
    left = half - evening
    stated = {"total": 2 * half, "evening": evening}
    return Numbers(stated, {"half": half, "left": left}, left)


def _wages(rng: random.Random) -> Numbers:
    pay = rng.randint(8, 20)
    hours = rng.randint(2, 8)
    days = rng.randint(2, 6)
    all_hours = hours * days
    earned = all_hours * pay
    stated = {"pay": pay, "hours": hours, "days": days}
    return Numbers(stated, {"all_hours": all_hours, "earned": earned}, earned)


def _saving(rng: random.Random) -> Numbers:
    weekly = rng.randint(3, 12)
    weeks = rng.randint(3, 10)
    had = rng.randint(5, 30)
    missing = weekly * weeks
    stated = {"price": had + missing, "had": had, "weekly": weekly}
    return Numbers(stated, {"missing": missing, "weeks": weeks}, weeks)


def _ages(rng: random.Random) -> Numbers:
    age = rng.randint(5, 16)
    older = rng.randint(2, 12)
    later = rng.randint(2, 10)
    older_age = age + older
    later_age = older_age + later
    stated = {"age": age, "older": older, "later": later}
    derived = {"older_age": older_age, "later_age": later_age}
    return Numbers(stated, derived, later_age)


def _reading(rng: random.Random) -> Numbers:
    daily = rng.randint(6, 30)
    days = rng.randint(3, 9)
    left = rng.randint(10, 60)
    read = daily * days
    stated = {"pages": read + left, "daily": daily, "days": days}
    return Numbers(stated, {"read": read, "left": left}, left)


def _speed(rng: random.Random) -> Numbers:
    stated = {
        "speed": rng.randint(3, 30),
        "hours": rng.randint(2, 6),
        "other_speed": rng.randint(3, 30),
        "other_hours": rng.randint(2, 5),
    }
    first = stated["speed"] * stated["hours"]
    second = stated["other_speed"] * stated["other_hours"]
    total = first + second
    return Numbers(stated, {"first": first, "second": second, "total": total}, total)


def _fence(rng: random.Random) -> Numbers:
    length = rng.randint(4, 30)
    width = rng.randint(3, 20)
    price = rng.randint(2, 9)
    half = length + width
    around = 2 * half
    cost = around * price
    stated = {"length": length, "width": width, "price": price}
    return Numbers(stated, {"half": half, "around": around, "cost": cost}, cost)


def _tiles(rng: random.Random) -> Numbers:
    length = rng.randint(2, 9)
    width = rng.randint(2, 9)
    pack = rng.randint(2, 6)
    length = length * pack
    area = length * width
    packs = area // pack
    stated = {"length": length, "width": width, "pack": pack}
    return Numbers(stated, {"area": area, "packs": packs}, packs)


def _percent_off(rng: random.Random) -> Numbers:
    percent = rng.choice((10, 20, 25, 30, 40, 50))
    price = rng.randint(2, 20) * 20
    cut = price * percent // 100
    paid = price - cut
    stated = {"price": price, "percent": percent}
    return Numbers(stated, {"cut": cut, "paid": paid}, paid)


def _recipe(rng: random.Random) -> Numbers:
    cups = rng.randint(2, 6)
    batch = rng.randint(4, 12)
    batches = rng.randint(3, 8)
    has = rng.randint(1, 5)
    needed = batches * cups
    missing = needed - has
    stated = {"batch": batch, "cups": cups, "wanted": batch * batches, "has": has}
    derived = {"batches": batches, "needed": needed, "missing": missing}
    return Numbers(stated, derived, missing)


def _average(rng: random.Random) -> Numbers:
    first = rng.randint(5, 30)
    second = rng.randint(5, 30)
    mean = rng.randint(24, 40)
    third = 3 * mean - first - second
    stated = {"first": first, "second": second, "third": third}
    return Numbers(stated, {"sum": 3 * mean, "mean": mean}, mean)


def _bus(rng: random.Random) -> Numbers:
    people = rng.randint(20, 45)
    off = rng.randint(3, 10)
    on = rng.randint(3, 12)
    later_off = rng.randint(2, 9)
    between = people - off + on
    left = between - later_off
    stated = {"people": people, "off": off, "on": on, "later_off": later_off}
    return Numbers(stated, {"between": between, "left": left}, left)


def _legs(rng: random.Random) -> Numbers:
    cows = rng.randint(2, 20)
    hens = rng.randint(2, 30)
    cow_legs = cows * 4
    hen_legs = hens * 2
    total = cow_legs + hen_legs
    derived = {"cow_legs": cow_legs, "hen_legs": hen_legs, "total": total}
    return Numbers({"cows": cows, "hens": hens}, derived, total)


def _profit(rng: random.Random) -> Numbers:
    count = rng.randint(4, 30)
    buy = rng.randint(2, 10)
    gain = rng.randint(2, 7)
    profit = count * gain
    stated = {"count": count, "buy": buy, "sell": buy + gain}
    return Numbers(stated, {"gain": gain, "profit": profit}, profit)


def _remainder(rng: random.Random) -> Numbers:
    size = rng.randint(3, 12)
    groups = rng.randint(4, 15)
    rest = rng.randint(1, size - 1)
    grouped = groups * size
    derived = {"groups": groups, "grouped": grouped, "rest": rest}
    return Numbers({"total": grouped + rest, "size": size}, derived, rest)


def _minutes(rng: random.Random) -> Numbers:
    hours = rng.randint(1, 4)
    extra = rng.choice((10, 15, 20, 30, 45))
    taken = rng.randint(5, 55)
    total = 60 * hours + extra
    left = total - taken
    unit = "hour" if hours == 1 else "hours"
    stated = {"hours": hours, "extra": extra, "taken": taken}
    return Numbers(stated, {"unit": unit, "total": total, "left": left}, left)


def _sum_and_difference(rng: random.Random) -> Numbers:
    low = rng.randint(4, 30)
    difference = rng.randint(2, 15)
    stated = {"total": 2 * low + difference, "difference": difference}
    return Numbers(stated, {"twice": 2 * low, "low": low}, low)


def _tank(rng: random.Random) -> Numbers:
    leak = rng.randint(1, 5)
    net = rng.randint(2, 9)
    minutes = rng.randint(4, 30)
    liters = "liter" if leak == 1 else "liters"
    stated = {"fill": leak + net, "leak": leak, "size": net * minutes}
    return Numbers(stated, {"net": net, "minutes": minutes, "liters": liters}, minutes)


def _doubling(rng: random.Random) -> Numbers:
    start = rng.randint(2, 9)
    days = rng.randint(2, 5)
    sizes = [start * 2**day for day in range(days + 1)]
    rounds = [
        {
            "after": day + 1,
            "s": "s" if day else "",
            "before": sizes[day],
            "size": sizes[day + 1],
        }
        for day in range(days)
    ]
    return Numbers({"start": start, "days": days}, {}, sizes[-1], tuple(rounds))


def _think_of_a_number(rng: random.Random) -> Numbers:
    factor = rng.randint(2, 9)
    added = rng.randint(2, 30)
    number = rng.randint(2, 15)
    product = factor * number
    stated = {"factor": factor, "added": added, "result": product + added}
    return Numbers(stated, {"product": product, "number": number}, number)


def _fraction_left(rng: random.Random) -> Numbers:
    parts = rng.randint(3, 8)
    each = rng.randint(4, 12)
    given = rng.randint(1, 3)
    total = parts * each
    left = total - each
    answer = left - given
    stated = {"total": total, "parts": parts, "given": given}
    return Numbers(stated, {"each": each, "left": left, "answer": answer}, answer)


SCHEMAS = (
    _give_away,
    _boxes,
    _shopping,
    _change,
    _share,
    _times_as_many,
    _half_sold,
    _wages,
    _saving,
    _ages,
    _reading,
    _speed,
    _fence,
    _tiles,
    _percent_off,
    _recipe,
    _average,
    _bus,
    _legs,
    _profit,
    _remainder,
    _minutes,
    _sum_and_difference,
    _tank,
    _doubling,
    _think_of_a_number,
    _fraction_left,
)
