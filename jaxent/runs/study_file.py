"""Studies in JSON files; what is wrong is named by file, key, value and expected."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from jaxent import json_files
from jaxent.runs import field_types, study_spec, summary_table
from jaxent.runs import spec as specs

FOLDER = pathlib.Path(__file__).parent / "studies"
"""The studies of the paper."""

_STUDY = {
    "name": str,
    "models": list,
    "seeds": list[int],
    "settings": dict,
    "interventions": dict,
    "runs": list,
    "tables": list,
}
_TABLE = {
    "title": str,
    "by": list[str],
    "columns": list,
    "where": dict,
    "unless": dict,
    "steps": bool,
}
_OF_KEYS = {"model": "models", "seed": "seeds"}  # fields that have keys of their own


def read_study(file: pathlib.Path) -> study_spec.StudySpec:
    """Reads a study.

    Args:
      file: a JSON file; docs/studies.md says what it holds.

    Returns:
      The study.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: in one line, with the key, the value and what is expected.

    Example:
      >>> study = read_study(FOLDER / "csr_lambda.json")
      >>> study.name, study.cells[0].values["csr_lambda"]
      ('csr_lambda', (0.03, 0.1, 0.3))
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file, expected a study in JSON")
    raw = json_files.read_json(file)
    return parse_study(raw, str(file))


def parse_study(raw: Any, source: str) -> study_spec.StudySpec:
    """Checks a parsed study.

    Args:
      raw: the parsed JSON.
      source: the file's name, for errors.

    Returns:
      The study.

    Raises:
      ValueError: something is wrong, in one line.
    """
    content = _object(raw, _STUDY, f"{source}:", required=("name", "models", "runs"))
    name = content["name"]
    if not re.fullmatch(r"[\w][\w.-]*", name):
        raise ValueError(
            f"{source}: name {name!r}, expected a folder's name: letters, digits, "
            "'.', '-' and '_'"
        )
    interventions = {
        label: _settings(settings, f"{source}: interventions.{label}")
        for label, settings in content.get("interventions", {}).items()
    }
    models = _elements(content["models"], f"{source}: models")
    cells = _elements(content["runs"], f"{source}: runs")
    tables = content.get("tables", [])
    return study_spec.StudySpec(
        name,
        tuple(_model(one, where) for where, one in models),
        tuple(_cell(one, where, source) for where, one in cells),
        _seeds(content.get("seeds", [0]), f"{source}: seeds"),
        _settings(content.get("settings", {}), f"{source}: settings"),
        interventions,
        tuple(_table(one, f"{source}: tables[{i}]") for i, one in enumerate(tables)),
        source,
    )


def _object(
    raw: Any, keys: Mapping[str, Any], where: str, required: tuple[str, ...] = ()
) -> dict[str, Any]:
    """An object with none but known keys, each of its type."""
    if not isinstance(raw, dict):
        raise ValueError(f"{where} {raw!r}, expected an object")
    for name, value in raw.items():
        field_types.require_known(name, keys, where.removesuffix(":"))
        if not field_types.fits(value, keys[name]):
            expected = field_types.describe(keys[name])
            raise ValueError(f"{_join(where, name)} {value!r}, expected {expected}")
    for name in required:
        if name not in raw:
            raise ValueError(f"{where.removesuffix(':')}: key {name!r} is missing")
    return raw


def _join(where: str, name: str) -> str:
    return f"{where} {name}" if where.endswith(":") else f"{where}.{name}"


def _elements(values: list, where: str) -> list[tuple[str, Any]]:
    """(place, element) of a list that must not be empty."""
    if not values:
        raise ValueError(f"{where} [], expected at least one")
    return [(f"{where}[{i}]", value) for i, value in enumerate(values)]


def _seeds(values: list, where: str) -> tuple[int, ...]:
    field_types.require_type(values, list[int], where)
    if not values or len(set(values)) != len(values) or min(values) < 0:
        raise ValueError(f"{where} {values!r}, expected distinct integers from 0 on")
    return tuple(values)


def _fields() -> dict[str, Any]:
    """The type of every field of a run that a file may set by its own name."""
    hints = field_types.field_types(specs.RunSpec)
    return {name: hint for name, hint in hints.items() if name not in _OF_KEYS}


def _check_field(name: str, where: str, more: tuple[str, ...] = ()) -> None:
    if name in _OF_KEYS:
        raise ValueError(f"{where}: key {name!r}, expected {_OF_KEYS[name]!r}")
    field_types.require_known(name, [*more, *_fields()], where)


def _settings(raw: Any, where: str) -> dict[str, Any]:
    """Fields of `RunSpec`, whichever there are, each of its type."""
    if not isinstance(raw, dict):
        raise ValueError(f"{where} {raw!r}, expected an object of settings of a run")
    hints = _fields()
    settings = {}
    for name, value in raw.items():
        _check_field(name, where)
        place = f"{where}.{name}"
        settings[name] = field_types.require_type(value, hints[name], place)
    return settings


def _model(raw: Any, where: str) -> study_spec.Model:
    """A model: its name, or its name with seeds and settings of its own."""
    if isinstance(raw, str):
        raw = {"model": raw}
    if not isinstance(raw, dict) or not isinstance(raw.get("model"), str):
        raise ValueError(
            f"{where} {raw!r}, expected a folder, a Hub id, or an object with 'model'"
        )
    own = {name: value for name, value in raw.items() if name not in ("model", "seeds")}
    seeds = None
    if "seeds" in raw:
        seeds = _seeds(raw["seeds"], f"{where}.seeds")
    return study_spec.Model(raw["model"], seeds, _settings(own, where))


def _cell(raw: Any, where: str, source: str) -> study_spec.Cell:
    """Runs: every field of `RunSpec` with a value or a list of values."""
    if not isinstance(raw, dict):
        raise ValueError(f"{where} {raw!r}, expected an object of settings of a run")
    values, begin_from, models, seeds = {}, None, None, None
    for name, value in raw.items():
        place = f"{where}.{name}"
        _check_field(name, where, ("models", "seeds"))
        if name == "models":
            models = field_types.require_type(value, list[str], place)
        elif name == "seeds":
            seeds = _seeds(value, place)
        elif name == "adapter" and isinstance(value, dict):
            begin_from = _settings(value, place)
        else:
            values[name] = _values(value, _fields()[name], place)
    place = where.removeprefix(f"{source}: ")
    return study_spec.Cell(values, models, seeds, begin_from, place)


def _values(value: Any, hint: Any, where: str) -> tuple:
    """The values of a field: itself, or each element of a list."""
    if field_types.fits(value, hint):
        return (field_types.convert(value, hint),)
    if not isinstance(value, list):
        return (field_types.require_type(value, hint, where),)
    elements = _elements(value, where)
    found = [field_types.require_type(one, hint, place) for place, one in elements]
    return tuple(dict.fromkeys(found))


def _table(raw: Any, where: str) -> study_spec.Table:
    content = _object(raw, _TABLE, where, required=("by", "columns"))
    columns = content["columns"]
    blocks = columns if columns and isinstance(columns[0], list) else [columns]
    fields = [*_fields(), *_OF_KEYS]
    for name in content["by"]:
        field_types.require_known(name, fields, f"{where}.by")
    for block in blocks:
        field_types.require_type(block, list[str], f"{where}.columns")
        for name in block:
            known = summary_table.QUANTITIES
            field_types.require_known(name, known, f"{where}.columns")
    chosen = {
        key: _selection(content.get(key, {}), f"{where}.{key}")
        for key in ("where", "unless")
    }
    return study_spec.Table(
        tuple(content["by"]),
        tuple(map(tuple, blocks)),
        content.get("title", ""),
        steps=content.get("steps", False),
        **chosen,
    )


def _selection(raw: dict, where: str) -> dict[str, tuple]:
    """By field, the values that are selected."""
    hints = field_types.field_types(specs.RunSpec)
    selected = {}
    for name, value in raw.items():
        field_types.require_known(name, hints, where)
        selected[name] = _values(value, hints[name], f"{where}.{name}")
    return selected
