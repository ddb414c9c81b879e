"""Arithmetic word problems with worked solutions, generated: every answer is right by construction.

Each schema is one function from a random generator and a cast (names, pronouns, things) to a
`Problem`; the numbers it drew are kept as `values`, so that another program can check the answer.
"""

import random
from collections.abc import Iterator

from jaxent.data.problem import Cast, Problem, draw_cast


def generate(count: int, seed: int) -> Iterator[Problem]:
    """`count` problems, the schemas taken in turn, a function of `seed` alone."""
    rng = random.Random(seed)
    for i in range(count):
        yield SCHEMAS[i % len(SCHEMAS)](rng, draw_cast(rng))


def _give_away(r: random.Random, c: Cast) -> Problem:
    a, b, g = r.randint(12, 60), r.randint(5, 40), r.randint(2, 11)
    question = r.choice(
        (
            f"{c.name} has {a} {c.items}. On {c.day} {c.he} buys {b} more and gives {g} to {c.friend}. How many {c.items} does {c.name} have now?",
            f"On {c.day} {c.name} starts with {a} {c.items}, gets {b} more and hands {g} of them to {c.friend}. How many {c.items} are left?",
        )
    )
    steps = (
        f"After getting {b} more, {c.name} has {a} + {b} = {a + b} {c.items}.",
        f"After giving {g} away, {c.he} has {a + b} - {g} = {a + b - g} {c.items}.",
    )
    return Problem("give_away", (a, b, g), question, steps, a + b - g)


def _boxes(r: random.Random, c: Cast) -> Problem:
    n, k, x = r.randint(3, 12), r.randint(4, 15), r.randint(2, 9)
    question = r.choice(
        (
            f"{c.name} fills {n} boxes with {k} {c.items} each and has {x} {c.items} left over. How many {c.items} does {c.he} have in all?",
            f"There are {n} full boxes {c.place}, each holding {k} {c.items}, and {x} loose {c.items} beside them. How many {c.items} are there altogether?",
        )
    )
    steps = (
        f"The boxes hold {n} * {k} = {n * k} {c.items}.",
        f"With the others there are {n * k} + {x} = {n * k + x} {c.items}.",
    )
    return Problem("boxes", (n, k, x), question, steps, n * k + x)


def _shopping(r: random.Random, c: Cast) -> Problem:
    a, p, b, q = r.randint(2, 9), r.randint(2, 8), r.randint(2, 9), r.randint(2, 8)
    question = r.choice(
        (
            f"{c.name} buys {a} {c.items} for ${p} each and {b} {c.others} for ${q} each. How much does {c.he} spend?",
            f"{c.place.capitalize()}, one {c.item} costs ${p} and one {c.other} costs ${q}. {c.name} takes {a} {c.items} and {b} {c.others}. How many dollars does {c.he} pay?",
        )
    )
    steps = (
        f"The {c.items} cost {a} * {p} = {a * p} dollars.",
        f"The {c.others} cost {b} * {q} = {b * q} dollars.",
        f"Together that is {a * p} + {b * q} = {a * p + b * q} dollars.",
    )
    return Problem("shopping", (a, p, b, q), question, steps, a * p + b * q)


def _change(r: random.Random, c: Cast) -> Problem:
    n, p, note = r.randint(2, 6), r.randint(2, 8), r.choice((50, 60, 100))
    question = r.choice(
        (
            f"{c.name} pays for {n} {c.items} at ${p} each with ${note}. How much change does {c.he} get?",
            f"A {c.item} costs ${p}. {c.name} has ${note} and buys {n} of them {c.place}. How many dollars does {c.he} have left?",
        )
    )
    steps = (
        f"The {c.items} cost {n} * {p} = {n * p} dollars.",
        f"That leaves {note} - {n * p} = {note - n * p} dollars.",
    )
    return Problem("change", (n, p, note), question, steps, note - n * p)


def _share(r: random.Random, c: Cast) -> Problem:
    n, each, own = r.randint(3, 9), r.randint(3, 12), r.randint(2, 9)
    total = n * each
    question = r.choice(
        (
            f"{c.name} and {c.his} friends, {n} children in all, share {total} {c.items} equally. {c.name} already had {own}. How many {c.items} does {c.name} have now?",
            f"{total} {c.items} are split evenly among {n} children. {c.name} is one of them and finds {own} more at home. How many {c.items} does {c.he} end up with?",
        )
    )
    steps = (
        f"Each child gets {total} / {n} = {each} {c.items}.",
        f"{c.name} then has {each} + {own} = {each + own} {c.items}.",
    )
    return Problem("share", (total, n, own), question, steps, each + own)


def _times_as_many(r: random.Random, c: Cast) -> Problem:
    k, a = r.randint(2, 6), r.randint(4, 25)
    question = r.choice(
        (
            f"{c.friend} has {a} {c.items}. {c.name} has {k} times as many. How many {c.items} do they have together?",
            f"{c.name} collected {k} times as many {c.items} as {c.friend}, who collected {a}. How many did the two collect in total?",
        )
    )
    steps = (
        f"{c.name} has {k} * {a} = {k * a} {c.items}.",
        f"Together they have {k * a} + {a} = {k * a + a} {c.items}.",
    )
    return Problem("times_as_many", (k, a), question, steps, k * a + a)


def _half_sold(r: random.Random, c: Cast) -> Problem:
    half, evening = r.randint(10, 40), r.randint(2, 9)
    total = 2 * half
    question = r.choice(
        (
            f"{c.name} bakes {total} rolls on {c.day}. {c.He} sells half of them in the morning and {evening} in the evening. How many rolls are left?",
            f"A stall has {total} {c.items}. Half are sold before noon and {evening} after noon. How many {c.items} remain?",
        )
    )
    steps = (
        f"Half of {total} is {total} / 2 = {half}.",
        f"Then {half} - {evening} = {half - evening} are left.",
    )
    return Problem("half_sold", (total, evening), question, steps, half - evening)


def _wages(r: random.Random, c: Cast) -> Problem:
    pay, hours, days = r.randint(8, 20), r.randint(2, 8), r.randint(2, 6)
    question = r.choice(
        (
            f"{c.name} earns ${pay} an hour and works {hours} hours a day for {days} days. How much does {c.he} earn?",
            f"For {days} days {c.name} works {hours} hours each day at ${pay} an hour. What is {c.his} pay in dollars?",
        )
    )
    steps = (
        f"{c.name} works {hours} * {days} = {hours * days} hours.",
        f"{c.He} earns {hours * days} * {pay} = {hours * days * pay} dollars.",
    )
    return Problem("wages", (pay, hours, days), question, steps, hours * days * pay)


def _saving(r: random.Random, c: Cast) -> Problem:
    week, weeks, had = r.randint(3, 12), r.randint(3, 10), r.randint(5, 30)
    price = had + week * weeks
    question = r.choice(
        (
            f"A bicycle costs ${price}. {c.name} has ${had} and saves ${week} every week. In how many weeks can {c.he} buy it?",
            f"{c.name} wants a coat for ${price}. {c.He} already has ${had} and puts away ${week} each week. How many weeks must {c.he} save?",
        )
    )
    steps = (
        f"{c.name} still needs {price} - {had} = {price - had} dollars.",
        f"That takes {price - had} / {week} = {weeks} weeks.",
    )
    return Problem("saving", (price, had, week), question, steps, weeks)


def _ages(r: random.Random, c: Cast) -> Problem:
    age, older, later = r.randint(5, 16), r.randint(2, 12), r.randint(2, 10)
    question = r.choice(
        (
            f"{c.name} is {age} years old. {c.friend} is {older} years older. How old will {c.friend} be in {later} years?",
            f"{c.friend} is {older} years older than {c.name}, who is {age}. What will {c.friend}'s age be {later} years from now?",
        )
    )
    steps = (
        f"{c.friend} is {age} + {older} = {age + older} years old now.",
        f"In {later} years that will be {age + older} + {later} = {age + older + later}.",
    )
    return Problem("ages", (age, older, later), question, steps, age + older + later)


def _reading(r: random.Random, c: Cast) -> Problem:
    day, days, more = r.randint(6, 30), r.randint(3, 9), r.randint(10, 60)
    pages = day * days + more
    question = r.choice(
        (
            f"A book has {pages} pages. {c.name} reads {day} pages a day for {days} days. How many pages are left?",
            f"{c.name} reads {day} pages every evening. After {days} evenings, how many pages of a {pages} page book has {c.he} still to read?",
        )
    )
    steps = (
        f"{c.name} reads {day} * {days} = {day * days} pages.",
        f"There are {pages} - {day * days} = {more} pages left.",
    )
    return Problem("reading", (pages, day, days), question, steps, more)


def _speed(r: random.Random, c: Cast) -> Problem:
    v, t, w, u = r.randint(3, 30), r.randint(2, 6), r.randint(3, 30), r.randint(2, 5)
    question = r.choice(
        (
            f"{c.name} cycles for {t} hours at {v} miles an hour, then {u} hours at {w} miles an hour. How many miles does {c.he} go?",
            f"A boat travels {v} miles an hour for {t} hours and {w} miles an hour for {u} more hours. How far does it travel in miles?",
        )
    )
    steps = (
        f"The first part is {v} * {t} = {v * t} miles.",
        f"The second part is {w} * {u} = {w * u} miles.",
        f"In all that is {v * t} + {w * u} = {v * t + w * u} miles.",
    )
    return Problem("speed", (v, t, w, u), question, steps, v * t + w * u)


def _fence(r: random.Random, c: Cast) -> Problem:
    a, b, p = r.randint(4, 30), r.randint(3, 20), r.randint(2, 9)
    question = r.choice(
        (
            f"{c.name}'s garden is {a} meters long and {b} meters wide. A fence costs ${p} a meter. What does a fence around the garden cost in dollars?",
            f"How many dollars does {c.name} need to fence a field of {a} meters by {b} meters, if each meter of fence costs ${p}?",
        )
    )
    steps = (
        f"Two sides together are {a} + {b} = {a + b} meters.",
        f"The whole way around is 2 * {a + b} = {2 * (a + b)} meters.",
        f"The fence costs {2 * (a + b)} * {p} = {2 * (a + b) * p} dollars.",
    )
    return Problem("fence", (a, b, p), question, steps, 2 * (a + b) * p)


def _tiles(r: random.Random, c: Cast) -> Problem:
    a, b, pack = r.randint(2, 9), r.randint(2, 9), r.randint(2, 6)
    a = a * pack
    question = r.choice(
        (
            f"A floor of {a} by {b} feet is covered with tiles of one square foot. Tiles come in packs of {pack}. How many packs does {c.name} need?",
            f"{c.name} paints a wall {a} feet long and {b} feet high. One can of paint covers {pack} square feet. How many cans does {c.he} use?",
        )
    )
    steps = (
        f"The area is {a} * {b} = {a * b} square feet.",
        f"That takes {a * b} / {pack} = {a * b // pack}.",
    )
    return Problem("tiles", (a, b, pack), question, steps, a * b // pack)


def _percent_off(r: random.Random, c: Cast) -> Problem:
    percent, hundreds = r.choice((10, 20, 25, 30, 40, 50)), r.randint(2, 20)
    price = hundreds * 20
    cut = price * percent // 100
    question = r.choice(
        (
            f"A lamp costs ${price}. On {c.day} it is {percent}% off. How many dollars does {c.name} pay for it?",
            f"{c.name} buys a jacket with a price of ${price} and a discount of {percent} percent. What does {c.he} pay in dollars?",
        )
    )
    steps = (
        f"The discount is {price} * {percent} / 100 = {cut} dollars.",
        f"{c.name} pays {price} - {cut} = {price - cut} dollars.",
    )
    return Problem("percent_off", (price, percent), question, steps, price - cut)


def _recipe(r: random.Random, c: Cast) -> Problem:
    cups, batch, k, has = (
        r.randint(2, 6),
        r.randint(4, 12),
        r.randint(3, 8),
        r.randint(1, 5),
    )
    want = batch * k
    question = r.choice(
        (
            f"A recipe for {batch} pancakes takes {cups} cups of flour. {c.name} wants {want} pancakes and has {has} cups. How many more cups does {c.he} need?",
            f"To make {batch} cakes {c.name} uses {cups} cups of sugar. For {want} cakes, how many cups must {c.he} buy if there are {has} cups at home?",
        )
    )
    steps = (
        f"That is {want} / {batch} = {k} batches.",
        f"They take {k} * {cups} = {k * cups} cups.",
        f"{c.name} needs {k * cups} - {has} = {k * cups - has} more.",
    )
    return Problem("recipe", (batch, cups, want, has), question, steps, k * cups - has)


def _average(r: random.Random, c: Cast) -> Problem:
    x, y, mean = r.randint(5, 30), r.randint(5, 30), r.randint(24, 40)
    z = 3 * mean - x - y
    question = r.choice(
        (
            f"{c.name} found {x} {c.items} on {c.day}, {y} the next day and {z} the day after. What is the average number a day?",
            f"Three baskets hold {x}, {y} and {z} {c.items}. If they are made equal, how many {c.items} are in each?",
        )
    )
    steps = (
        f"The sum is {x} + {y} + {z} = {3 * mean}.",
        f"Over three that is {3 * mean} / 3 = {mean}.",
    )
    return Problem("average", (x, y, z), question, steps, mean)


def _bus(r: random.Random, c: Cast) -> Problem:
    a, off, on, off2 = (
        r.randint(20, 45),
        r.randint(3, 10),
        r.randint(3, 12),
        r.randint(2, 9),
    )
    question = r.choice(
        (
            f"A bus leaves with {a} people. At the first stop {off} get off and {on} get on. At the second stop {off2} get off. How many people are on the bus?",
            f"{c.name} counts {a} people on the bus. Then {off} leave, {on} come in, and later {off2} leave. How many does {c.he} count now?",
        )
    )
    steps = (
        f"After the first stop there are {a} - {off} + {on} = {a - off + on} people.",
        f"Then there are {a - off + on} - {off2} = {a - off + on - off2}.",
    )
    return Problem("bus", (a, off, on, off2), question, steps, a - off + on - off2)


def _legs(r: random.Random, c: Cast) -> Problem:
    cows, hens = r.randint(2, 20), r.randint(2, 30)
    question = r.choice(
        (
            f"{c.name}'s farm has {cows} cows and {hens} hens. How many legs do the animals have together?",
            f"In the yard {c.name} sees {hens} ducks and {cows} sheep. How many legs is that in all?",
        )
    )
    steps = (
        f"The four-legged ones have {cows} * 4 = {cows * 4} legs.",
        f"The birds have {hens} * 2 = {hens * 2} legs.",
        f"In all there are {cows * 4} + {hens * 2} = {cows * 4 + hens * 2} legs.",
    )
    return Problem("legs", (cows, hens), question, steps, cows * 4 + hens * 2)


def _profit(r: random.Random, c: Cast) -> Problem:
    n, buy, gain = r.randint(4, 30), r.randint(2, 10), r.randint(2, 7)
    sell = buy + gain
    question = r.choice(
        (
            f"{c.name} buys {n} {c.items} at ${buy} each and sells them all at ${sell} each. What is {c.his} profit in dollars?",
            f"{n} {c.items} are bought for ${buy} apiece and sold for ${sell} apiece. How many dollars does {c.name} gain?",
        )
    )
    steps = (
        f"The gain on each {c.item} is {sell} - {buy} = {gain} dollars.",
        f"On all of them it is {n} * {gain} = {n * gain} dollars.",
    )
    return Problem("profit", (n, buy, sell), question, steps, n * gain)


def _remainder(r: random.Random, c: Cast) -> Problem:
    k, n = r.randint(3, 12), r.randint(4, 15)
    rest = r.randint(1, k - 1)
    total = k * n + rest
    question = r.choice(
        (
            f"{c.name} packs {total} {c.items} in bags of {k}. How many {c.items} are left when no more bags can be filled?",
            f"{total} {c.items} are put in rows of {k}. {c.name} keeps those that fill no row. How many does {c.he} keep?",
        )
    )
    steps = (
        f"{n} full groups hold {n} * {k} = {n * k} {c.items}.",
        f"That leaves {total} - {n * k} = {rest}.",
    )
    return Problem("remainder", (total, k), question, steps, rest)


def _minutes(r: random.Random, c: Cast) -> Problem:
    hours, extra, task = (
        r.randint(1, 4),
        r.choice((10, 15, 20, 30, 45)),
        r.randint(5, 55),
    )
    total = 60 * hours + extra
    unit = "hour" if hours == 1 else "hours"
    question = r.choice(
        (
            f"A film lasts {hours} {unit} and {extra} minutes. {c.name} has watched {task} minutes. How many minutes remain?",
            f"{c.name} has {hours} {unit} and {extra} minutes before {c.his} train leaves. The walk to the station takes {task} minutes. How many minutes does {c.he} have to spare?",
        )
    )
    steps = (
        f"The whole time is {hours} * 60 + {extra} = {total} minutes.",
        f"That leaves {total} - {task} = {total - task} minutes.",
    )
    return Problem("minutes", (hours, extra, task), question, steps, total - task)


def _sum_and_difference(r: random.Random, c: Cast) -> Problem:
    low, d = r.randint(4, 30), r.randint(2, 15)
    total = 2 * low + d
    question = r.choice(
        (
            f"{c.name} and {c.friend} have {total} {c.items} together. {c.name} has {d} more than {c.friend}. How many does {c.friend} have?",
            f"Of {total} {c.items}, {c.name} owns {d} more than {c.friend} and nobody else owns any. How many belong to {c.friend}?",
        )
    )
    steps = (
        f"Without the {d} extra there are {total} - {d} = {2 * low} {c.items}.",
        f"Half of them is {2 * low} / 2 = {low}.",
    )
    return Problem("sum_and_difference", (total, d), question, steps, low)


def _tank(r: random.Random, c: Cast) -> Problem:
    leak, net, minutes = r.randint(1, 5), r.randint(2, 9), r.randint(4, 30)
    fill, size = leak + net, net * minutes
    liters = "liter" if leak == 1 else "liters"
    question = r.choice(
        (
            f"A tap pours {fill} liters a minute into a tank of {size} liters. The tank loses {leak} {liters} a minute. How many minutes until it is full?",
            f"{c.name} fills a pool of {size} liters at {fill} liters a minute, but {leak} {liters} leak out each minute. How many minutes does it take?",
        )
    )
    steps = (
        f"Each minute adds {fill} - {leak} = {net} liters.",
        f"It takes {size} / {net} = {minutes} minutes.",
    )
    return Problem("tank", (fill, leak, size), question, steps, minutes)


def _doubling(r: random.Random, c: Cast) -> Problem:
    a, days = r.randint(2, 9), r.randint(2, 5)
    sizes = [a * 2**i for i in range(days + 1)]
    question = r.choice(
        (
            f"{c.name} has {a} lilies in the pond. Their number doubles every day. How many are there after {days} days?",
            f"On the first day {c.name} writes {a} lines. Each day {c.he} writes twice as many as the day before. How many lines does {c.he} write {days} days later?",
        )
    )
    steps = tuple(
        f"After {i + 1} day{'s' if i else ''}: {sizes[i]} * 2 = {sizes[i + 1]}."
        for i in range(days)
    )
    return Problem("doubling", (a, days), question, steps, sizes[-1])


def _think_of_a_number(r: random.Random, c: Cast) -> Problem:
    k, a, b = r.randint(2, 9), r.randint(2, 30), r.randint(2, 15)
    result = k * b + a
    question = r.choice(
        (
            f"{c.name} thinks of a number, multiplies it by {k} and adds {a}. The result is {result}. What was the number?",
            f"When a number is multiplied by {k} and then {a} is added, {c.name} gets {result}. Find the number.",
        )
    )
    steps = (
        f"Before adding there was {result} - {a} = {k * b}.",
        f"So the number is {k * b} / {k} = {b}.",
    )
    return Problem("think_of_a_number", (k, a, result), question, steps, b)


def _fraction_left(r: random.Random, c: Cast) -> Problem:
    parts, each, given = r.randint(3, 8), r.randint(4, 12), r.randint(1, 3)
    total = parts * each
    question = r.choice(
        (
            f"{c.name} has {total} {c.items}. {c.He} gives 1/{parts} of them to {c.friend} and loses {given}. How many {c.items} does {c.name} have left?",
            f"A jar holds {total} {c.items}. {c.friend} takes 1/{parts} of them and {c.name} takes {given}. How many are left in the jar?",
        )
    )
    left = total - each
    steps = (
        f"1/{parts} of {total} is {total} / {parts} = {each}.",
        f"That leaves {total} - {each} = {left}.",
        f"Then {left} - {given} = {left - given} are left.",
    )
    return Problem(
        "fraction_left", (total, parts, given), question, steps, left - given
    )


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
