"""Every rendered cell: an interval holds its estimate, a change has its own sign."""

import re

import parsed_page
import pytest

NUMBER = r"[+-]?\d[\d.]*(?:e[+-]?\d+)?"
CELL = re.compile(rf"({NUMBER})(?: ± {NUMBER})? \[({NUMBER}), ({NUMBER})\]")


def cells_with_intervals(page):
    return [
        (id, text, *map(float, match.groups()))
        for id, cells in parsed_page.Parsed(page).tables.items()
        for _, text in cells
        if (match := CELL.fullmatch(text.strip()))
    ]


@pytest.mark.parametrize("which", ["full", "tiny"])
def test_an_interval_holds_the_estimate_that_stands_before_it(which, request):
    written = request.getfixturevalue(which)
    cells = cells_with_intervals(written.page)
    brackets = re.findall(r'class="interval">\[', written.page)
    assert len(cells) == len(brackets) > 10
    for id, text, estimate, low, high in cells:
        assert low <= estimate <= high, (id, text)


def rows(table):
    """The rows of a Markdown table, by heading, footnotes left out."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    split = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(split[0], cells)) for cells in split[2:]]


def leading_number(cell):
    match = re.match(NUMBER, re.sub(r"\[\^.*?\]|<sup>.*?</sup>", "", cell))
    return None if match is None else float(match.group())


CHANGES = {
    "change of CVO": ("CVO before", "CVO after"),
    "change of EI (%)": ("EI (as published) before", "EI (as published) after"),
}


@pytest.mark.parametrize("which", ["full", "tiny"])
def test_printed_changes_have_the_sign_of_the_printed_difference(which, request):
    written = request.getfixturevalue(which)
    compared = 0
    for file in (written.out / "tables").glob("*-summary.md"):
        for row in rows(file.read_text()):
            for change, (before, after) in CHANGES.items():
                printed = [leading_number(row[n]) for n in (change, before, after)]
                if None not in printed:
                    assert printed[0] * (printed[2] - printed[1]) >= 0, row
                    compared += 1
    assert compared > 3


@pytest.mark.parametrize("which", ["full", "tiny"])
def test_no_fit_on_all_probes_has_an_interval(which, request):
    for file in (request.getfixturevalue(which).out / "tables").glob("*.md"):
        for row in rows(file.read_text()):
            for heading, cell in row.items():
                assert "all probes" not in heading or "[" not in cell, file.name
