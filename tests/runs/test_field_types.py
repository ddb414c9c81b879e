import dataclasses
import typing

import pytest

from jaxent.runs import field_types, spec

CASES = [
    (int, [3, 0, -1], [True, 3.0, "3", None, [3]]),
    (float, [3, 0.5], ["1e-4", True, float("nan"), float("inf"), None]),
    (bool, [True, False], [1, 0, "false", None]),
    (str, ["", "a"], [1, None, ["a"]]),
    (str | None, ["a", None], [1, False]),
    (typing.Optional[int], [1, None], ["1"]),  # noqa: UP045, both forms are read
    (tuple[str, ...], [["a", "b"], ("a",), []], ["ab", [1], None]),
    (tuple[str, int], [["a", 1]], [["a"], ["a", "b"]]),
    (list[int], [[1]], [["1"], 1]),
    (tuple[tuple[str, int], ...], [[["law", 30]]], [[["law", "30"]], ["law"]]),
    (dict[str, int], [{"a": 1}], [["a"], "a"]),
    (typing.Literal["all", "completion"], ["all"], ["none", 1]),
    (typing.Any, [None, "a", 1], []),
]


@pytest.mark.parametrize(("hint", "fitting", "others"), CASES)
def test_what_fits_a_type(hint, fitting, others):
    for value in fitting:
        assert field_types.fits(value, hint), value
    for value in others:
        assert not field_types.fits(value, hint), value
        with pytest.raises(ValueError, match="f.json: a.* expected "):
            field_types.require_type(value, hint, "f.json: a")


def test_values_have_the_form_of_the_field():
    convert = field_types.convert
    assert convert([["law", 30]], tuple[tuple[str, int], ...]) == (("law", 30),)
    assert isinstance(convert(1, float), float)
    assert isinstance(convert(1, float | None), float)
    assert isinstance(convert(1, int | None), int) and convert(True, bool) is True


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (float | None, "a finite number or null"),
        (tuple[tuple[str, int], ...], "a list of a list of text"),
        (dict, "an object"),
        (typing.Literal["a", "b"], "one of 'a', 'b'"),
        (bool, "true or false"),
    ],
)
def test_types_in_words(hint, text):
    assert field_types.describe(hint) == text


def test_every_field_of_a_run_has_a_type_that_its_default_fits():
    hints = field_types.field_types(spec.RunSpec)
    assert list(hints) == [field.name for field in dataclasses.fields(spec.RunSpec)]
    for name, value in spec.RunSpec("m").to_json().items():
        assert field_types.fits(value, hints[name]), name


def test_an_unknown_key_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="key 'sede', expected 'seed'$"):
        field_types.require_known("sede", ["seed", "model"], "f")
    with pytest.raises(ValueError, match="key 'zzz', expected one of seed, model$"):
        field_types.require_known("zzz", ["seed", "model"], "f")
