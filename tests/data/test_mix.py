import collections
import os
import subprocess
import sys

import pytest

from jaxent.data import mix

SIZES = {
    "code": {"a": 50, "b": 7, "c": 30},
    "natural": {"n": 40},
    "math": {"g": 11, "m": 12},
}
GOLDEN = [
    ("n", 21),
    ("c", 2),
    ("a", 44),
    ("b", 0),
    ("c", 4),
    ("n", 36),
]  # B3, seed 0, step 3


def drawn(mixture, seed, steps):
    return [mix.draw_batch(mixture, SIZES, seed, s) for s in steps]


def test_draws_are_a_pure_function_of_seed_and_step():
    b3 = mix.condition_mixture("B3")
    forward, backward = drawn(b3, 0, range(30)), drawn(b3, 0, reversed(range(30)))
    mix._order.cache_clear(), mix.permutation.cache_clear()
    assert forward == backward[::-1] == drawn(b3, 0, range(30))
    assert forward != drawn(b3, 1, range(30))


def test_proportions_are_exact_and_sources_share_equally():
    names = collections.Counter(
        n for step in drawn(mix.condition_mixture("B3"), 5, range(15)) for n, _ in step
    )
    assert names["n"] == 72 and sum(names.values()) == 240
    assert names["a"] == names["b"] == names["c"] == 56


def test_every_example_of_a_source_is_drawn_once_an_epoch():
    flat = [
        i
        for step in drawn(mix.condition_mixture("B3"), 2, range(30))
        for n, i in step
        if n == "b"
    ]
    for epoch in range(len(flat) // 7):
        assert sorted(flat[epoch * 7 : epoch * 7 + 7]) == list(range(7))
    assert flat[:7] != flat[7:14]


def test_curriculum_is_math_then_code():
    b5 = mix.condition_mixture("B5", curriculum_steps=3)
    assert {n for step in drawn(b5, 0, range(3)) for n, _ in step} == {"g", "m"}
    assert {n for step in drawn(b5, 0, range(3, 9)) for n, _ in step} == {"a", "b", "c"}


def test_conditions():
    assert mix.condition_mixture("B0") is None
    assert mix.condition_mixture("B4") == mix.condition_mixture("B2")
    assert mix.condition_mixture("B6").domains == ("code", "creative")
    with pytest.raises(ValueError, match="condition 'B7': expected one of B0, B1"):
        mix.condition_mixture("B7")
    with pytest.raises(ValueError, match="mixture code:72,math:27: expected different"):
        mix.Phase(0, (("code", 72), ("math", 27)))


def test_named_mixtures_are_conditions_of_the_same_kind():
    """The same shares give the same draws, whether of Table 1 or of --mixture."""
    assert mix.parse_mixture("code:70,natural:30") == mix.condition_mixture("B3")
    own = mix.parse_mixture(" law:28, code:72 ")
    assert own.domains == ("code", "law")
    sizes = {"code": {"a": 50}, "law": {"l": 9}}
    flat = [n for s in range(25) for n, _ in mix.draw_batch(own, sizes, 4, s, 4)]
    assert collections.Counter(flat) == {"a": 72, "l": 28}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code", "expected DOMAIN:PERCENTAGE"),
        ("code:70,law", "expected DOMAIN:PERCENTAGE"),
        ("code:0.7,law:0.3", "whole numbers, such as code:70,law:30"),
        ("code:70,:30", "expected DOMAIN:PERCENTAGE"),
        ("code:-10,law:110", "expected DOMAIN:PERCENTAGE"),
        ("code:70,law:20", "above 0 that add up to 100"),
        ("code:100,law:0", "above 0 that add up to 100"),
        ("code:50,code:50", "expected different domains"),
    ],
)
def test_mixtures_in_another_form_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        mix.parse_mixture(text)


def test_draws_are_the_same_on_every_machine_and_process():
    """A literal: if numpy's Philox streams changed, every run would change silently."""
    assert mix.draw_batch(mix.condition_mixture("B3"), SIZES, 0, 3)[:6] == GOLDEN
    program = (
        "from jaxent.data import mix\n"
        "b3 = mix.condition_mixture('B3')\n"
        f"print(mix.draw_batch(b3, {SIZES!r}, 0, 3)[:6])\n"
    )
    for seed in ("1", "2"):
        fresh = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        assert fresh.stdout.strip() == repr(GOLDEN), fresh.stderr
