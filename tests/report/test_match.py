import pytest

from jaxent.report import match
from jaxent.runs import records


@pytest.mark.parametrize(
    ("cell", "key", "expected"),
    [
        ({"condition": "B0", "seed": 0}, {"condition": "B0"}, True),
        ({"condition": "B3", "seed": 0}, {"condition": "B3", "seed": 1}, False),
        ({"condition": "B3"}, {"condition": "B3", "seed": 1}, True),
        ({"condition": "B4"}, {"condition": "B4", "lambda": 0.1}, True),
        ({"condition": "B4"}, {"condition": "B4", "lambda": 0.3}, False),
        ({"condition": "B4", "lambda": 0.3}, {"condition": "B4", "lambda": 0.3}, True),
        ({"condition": "B2"}, {"condition": "B3>B2"}, False),
    ],
)
def test_which_keys_belong_to_a_cell(cell, key, expected):
    assert match.matches(cell, key) == expected


def test_a_base_models_name_is_without_its_label():
    run = records.Run("a", {"settings": {"model": "/x/tiny"}}, (), (), None)
    result = match.KeyedResult({"model": "tiny (lora_r 4)", "condition": "B3"}, run)
    assert result.base == "tiny"
    assert not match.ResultSet() and match.ResultSet(runs=(result,))
    assert match.ResultSet(runs=(result,)).finished == ()
