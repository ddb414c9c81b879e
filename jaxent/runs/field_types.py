"""Values of a file against the types of a dataclass's fields."""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a finite number",
    str: "text",
    types.NoneType: "null",
}


def field_types(kind: type) -> dict[str, Any]:
    """The type of every field of a dataclass, by name.

    Example:
      >>> @dataclasses.dataclass
      ... class Point:
      ...     x: int
      >>> field_types(Point)
      {'x': <class 'int'>}
    """
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def fits(value: Any, hint: Any) -> bool:
    """Whether a parsed JSON value is of a type.

    Text is never taken for a number, nor true for 1; a whole number is also a float.

    Args:
      value: the value.
      hint: a type, as a field is annotated with. One that is not known here fits.

    Example:
      >>> fits("1e-4", float), fits(1, float), fits(True, int), fits(["a"], list[str])
      (False, True, False, True)
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint in (list, tuple) or origin in (list, tuple):
        return isinstance(value, list | tuple) and _elements_fit(value, hint)
    if isinstance(origin or hint, type) and issubclass(origin or hint, Mapping):
        return isinstance(value, Mapping)
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in _NAMES:
        return isinstance(value, hint)
    return True


def _elements_fit(values: list | tuple, hint: Any) -> bool:
    arguments = typing.get_args(hint)
    if not arguments:
        return True
    if typing.get_origin(hint) is list or arguments[-1] is Ellipsis:
        return all(fits(value, arguments[0]) for value in values)
    return len(values) == len(arguments) and all(map(fits, values, arguments))


def convert(value: Any, hint: Any) -> Any:
    """A value that fits, in the form that the field has: a list as a tuple.

    Args:
      value: a value for which `fits` holds.
      hint: the field's type.

    Example:
      >>> convert([1, 2], tuple[int, ...]), convert(1, float)
      ((1, 2), 1.0)
    """
    if isinstance(value, list):
        return tuple(convert(one, Any) for one in value)
    options = typing.get_args(hint) or (hint,)
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if float in options and int not in options else value
    return value


def describe(hint: Any) -> str:
    """What a type takes, in words.

    Example:
      >>> describe(str | None), describe(tuple[str, ...])
      ('text or null', 'a list of text')
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(describe, arguments))
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if hint in (list, tuple) or origin in (list, tuple):
        return f"a list of {describe(arguments[0])}" if arguments else "a list"
    if isinstance(origin or hint, type) and issubclass(origin or hint, Mapping):
        return "an object"
    return _NAMES.get(hint, str(hint))


def require_known(name: str, known: Iterable[str], where: str) -> None:
    """Checks a key of an object.

    Args:
      name: the key.
      known: the keys that there are.
      where: the file and the object's place in it.

    Raises:
      ValueError: there is no such key; names the nearest one, or all.

    Example:
      >>> require_known("sed", ["seed"], "a.json: runs[0]")
      Traceback (most recent call last):
      ValueError: a.json: runs[0]: key 'sed', expected 'seed'
    """
    known = list(known)
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    expected = repr(close[0]) if close else f"one of {', '.join(known)}"
    raise ValueError(f"{where}: key {name!r}, expected {expected}")


def require_type(value: Any, hint: Any, where: str) -> Any:
    """Checks a value and gives it the form that the field has.

    Args:
      value: the value.
      hint: the field's type.
      where: the file and the value's place in it.

    Returns:
      `convert(value, hint)`.

    Raises:
      ValueError: it is of another type.

    Example:
      >>> require_type("8", int, "a.json: runs[0].lora_r")
      Traceback (most recent call last):
      ValueError: a.json: runs[0].lora_r '8', expected an integer
    """
    if not fits(value, hint):
        raise ValueError(f"{where} {value!r}, expected {describe(hint)}")
    return convert(value, hint)
