import pytest

from jaxent.paper import quotes


def test_quoted_numbers_have_the_digits_printed():
    for q in quotes.QUOTES:
        assert round(q.value, q.digits) == q.value and q.sections
    assert quotes.find_quote("z_b2_b3").value == 2.15


def test_a_number_that_does_not_exist():
    with pytest.raises(KeyError, match="reduction_7b"):
        quotes.find_quote("nothing")


def test_ids_are_unique():
    assert len({quote.id for quote in quotes.QUOTES}) == len(quotes.QUOTES)
