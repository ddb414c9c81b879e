import types

import pytest

from jaxent.paper import errata
from jaxent.paper import tables as paper_tables
from jaxent.report import grid

COLUMN = paper_tables.Column("ei", "EI", 2)


def erratum(expected, column="ei", reason="Why."):
    key = types.MappingProxyType({})
    return errata.Erratum("T1", column, key, "conflict", reason, expected)


@pytest.mark.parametrize(
    ("kind", "text", "is_number"),
    [
        ("measured", "0.5 ± 0.1", True),
        ("published", "-3.0e-06", True),
        ("measured", "falls", False),
        ("key", "0.5", False),
        ("missing", "not run", False),
    ],
)
def test_which_cells_are_numbers(kind, text, is_number):
    assert grid.Cell(text, kind).is_number == is_number


def test_plain_text_is_on_one_line():
    assert grid.Cell("a\nb", "text", "[1, 2]").plain == "a; b [1, 2]"


def test_neighbours_of_one_title_share_a_heading():
    heads = [("model", ""), ("EI", "published"), ("EI", "measured"), ("n", "")]
    rows = (
        (
            grid.Cell("B3", "key"),
            grid.Cell("0.5", "published"),
            grid.Cell("falls", "measured"),
            grid.Cell("–", "nothing"),
        ),
    )
    table = grid.Grid("t", "T", "", tuple(grid.Head(*h) for h in heads), rows, (), ())
    assert table.groups == [[0], [1, 2], [3]]
    assert [table.has_numbers(i) for i in range(4)] == [False, True, False, False]
    assert [table.has_words(i) for i in range(4)] == [False, False, True, False]


def test_one_expected_value_is_said_once():
    notes = grid.Footnotes()
    assert notes.of_errata([erratum(0.5)], "a", COLUMN) == (1,)
    assert notes.of_errata([erratum(0.5)], "b", COLUMN) == (1,)
    assert notes.texts == ("Conflict: Why. Expected 0.50.",)


def test_several_expected_values_are_named_by_what_tells_them_apart():
    notes = grid.Footnotes()
    notes.of_errata([erratum(0.5), erratum(0.1, "ei.sd")], "a", COLUMN)
    assert notes.texts == ("Conflict: Why. Expected: 0.50 (EI); 0.10 (EI SD).",)
    notes.of_errata([erratum(0.7)], "b", COLUMN)
    assert notes.texts == (
        "Conflict: Why. Expected: 0.50 (a, EI); 0.10 (a, EI SD); 0.70 (b, EI).",
    )


def test_other_reasons_have_other_notes():
    notes = grid.Footnotes()
    assert notes.number("A remark.") == 1
    marks = [erratum(None), erratum(None, reason="Else."), erratum(None)]
    assert notes.of_errata(marks) == (2, 3)
    assert notes.texts == ("A remark.", "Conflict: Why.", "Conflict: Else.")


def test_an_erratum_in_words():
    assert grid.describe_erratum(erratum(0.1234567)) == (
        "Conflict: Why. Expected 0.123457."
    )
    assert grid.describe_erratum(erratum(None)) == "Conflict: Why."
