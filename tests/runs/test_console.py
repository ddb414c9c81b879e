import math

import pytest

from jaxent.runs import console


def test_columns_are_as_wide_as_their_widest_cell():
    text = console.format_table(["name", "EI"], [["a", 0.5], ["longer", None]])
    assert text.split("\n") == [
        "name       EI",
        "-------------",
        "a       0.500",
        "longer      -",
    ]
    assert console.format_cell(math.nan) == "nan"


def test_a_bar_in_a_markdown_cell_is_escaped():
    text = console.format_markdown(["a"], [["x|y"]], ["---:"])
    assert text == "| a |\n| ---: |\n| x\\|y |"


@pytest.mark.parametrize(
    ("seconds", "clock", "duration"),
    [
        (12, "0:00:12", "12 s"),
        (90, "0:01:30", "1.5 min"),
        (3599.6, "1:00:00", "60.0 min"),
        (109_680, "30:28:00", "30.5 h"),
    ],
)
def test_durations(seconds, clock, duration):
    assert console.format_clock(seconds) == clock
    assert console.format_duration(seconds) == duration
