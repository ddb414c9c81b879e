"""What records must hold, and older names."""

import dataclasses

import pytest

from jaxent import json_files
from jaxent.runs import schema, spec


def test_every_upgraded_setting_is_one_of_todays():
    fields = {field.name for field in dataclasses.fields(spec.RunSpec)}
    old = {
        "rank": 8,
        "alpha": 16.0,
        "dropout": 0.1,
        "modules": ["q_proj"],
        "quantize": False,
        "steps": 3,
        "examples": 4,
        "start": None,
        "replicates": 2,
        "micro_rows": 1,
        "measure_every": 3,
        "save_every": 3,
        "max_examples": 10,
        "packing": "none",
    }
    upgraded = schema.upgrade_run_settings(old)
    assert set(upgraded) <= fields
    assert upgraded["lora_r"] == 8
    assert upgraded["packing"] is False


def test_todays_settings_stay():
    settings = spec.RunSpec("model").to_json()
    assert schema.upgrade_run_settings(settings) == settings


def test_every_file_is_read_or_known():
    assert not schema.READ & schema.NOT_READ
    assert "run.json" in schema.READ


@pytest.mark.parametrize("kind", schema.REQUIRED)
def test_a_missing_field_is_named(kind):
    whole = dict.fromkeys(schema.REQUIRED[kind])
    assert schema.require_fields(whole, kind) is whole
    last = schema.REQUIRED[kind][-1]
    del whole[last]
    with pytest.raises(ValueError, match=f"lacks '{last}'"):
        schema.require_fields(whole, kind)


def test_errors_name_the_file_without_its_path():
    error = PermissionError(13, "Permission denied", "/somewhere/run.json")
    assert schema.explain_error(error) == "Permission denied: run.json"
    damaged = json_files.FileError("/somewhere/run.json", ", line 2: not JSON")
    assert schema.explain_error(damaged) == "line 2: not JSON"
    assert schema.explain_error(KeyError("ei")) == "KeyError: 'ei'"
