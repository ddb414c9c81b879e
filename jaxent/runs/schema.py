"""What each kind of record must hold, and the names that older records use.

The writers (`jaxent.runs.execute`, `experiments/`) and the reader
(`jaxent.runs.records`) share this: a record that lacks a field is refused by name.
"""

import pathlib
import types
from collections.abc import Mapping
from typing import Any

from jaxent import json_files
from jaxent.runs import folder as run_folder

READ = frozenset(
    (
        run_folder.RECORD,
        run_folder.METRICS,
        run_folder.SUMMARY,
        run_folder.SCORES,
        run_folder.EVALUATION,
        run_folder.LIKELIHOOD,
        run_folder.CROSSTALK,
        run_folder.MEASURE,
        run_folder.STUDY,
        run_folder.VALIDITY,
        run_folder.EQUIVALENCE,
    )
)
"""Files that hold records."""
NOT_READ = frozenset(
    (
        run_folder.LOCK,
        run_folder.TABLE,
        run_folder.SAMPLES,
        run_folder.RAW_SAMPLES,
        run_folder.SAMPLES_IDENTITY,
        run_folder.EVALPLUS_RESULTS,
        run_folder.EVALPLUS_LOG,
    )
)
"""Files that are written beside records and that no reader of records needs."""

REQUIRED: Mapping[str, tuple[str, ...]] = types.MappingProxyType(
    {
        "run": ("settings",),
        "run settings": ("model", "condition", "seed"),
        "measure": (
            *("step", "ei", "accuracy", "margins", "singular"),
            *("intervals", "set_values", "all_probes"),
        ),
        "train": ("step", "loss"),
        "summary": ("before", "after", "adapter_hash"),
        "scores": ("ended", "subset"),
        "evaluation": ("settings",),
        "evaluation settings": ("model", "adapter"),
        "likelihood": ("nats_a_byte", "base_nats_a_byte", "paired", "solutions"),
        "crosstalk": ("model", "domains", "damage", "all_probes"),
        "layer": (
            *("model", "adapter", "layer", "ei", "damage"),
            *("intervals", "set_values", "all_probes"),
        ),
        "study": ("runs",),
        "metric": ("question", "axes", "ranks", "conditions", "worse", "judged"),
        "validity": ("panels", "coverage"),
        "equivalence": ("checks", "ratio"),
    }
)
"""By kind of record, the fields that a reader needs."""

_OLD_RUN_SETTINGS = {
    "rank": "lora_r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "modules": "lora_target_modules",
    "quantize": "load_in_4bit",
    "steps": "max_steps",
    "examples": "batch_size",
    "start": "adapter",
    "replicates": "probe_sets",
    "micro_rows": "micro_batch_size",
    "measure_every": "measure_steps",
    "save_every": "save_steps",
    "max_examples": "max_train_samples",
}
_OLD_EVALUATION_SETTINGS = {
    "quantize": "load_in_4bit",
    "max_new": "max_new_tokens",
    "samples": "n_samples",
}
_OLD_MEASUREMENT_FIELDS = {"quantize": "load_in_4bit"}


def _rename_fields(record: Mapping, names: Mapping[str, str]) -> dict:
    return {names.get(name, name): value for name, value in record.items()}


def upgrade_run_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Renames the settings of an older run.json as today's are named.

    Args:
      settings: settings of a run.json of any age.

    Returns:
      The same under the names of `jaxent.runs.spec.RunSpec`.

    Example:
      >>> upgrade_run_settings({"rank": 8, "packing": "packed"})
      {'lora_r': 8, 'packing': True}
    """
    upgraded = _rename_fields(settings, _OLD_RUN_SETTINGS)
    if isinstance(upgraded.get("packing"), str):
        upgraded["packing"] = upgraded["packing"] == "packed"
    return upgraded


def upgrade_evaluation_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Renames the settings of an older evaluation.json as today's flags are named.

    Args:
      settings: settings of an evaluation.json of any age.

    Returns:
      The same under today's names.

    Example:
      >>> upgrade_evaluation_settings({"model": "m", "max_new": 768})
      {'model': 'm', 'max_new_tokens': 768}
    """
    return _rename_fields(settings, _OLD_EVALUATION_SETTINGS)


def upgrade_measurement(record: Mapping[str, Any]) -> dict[str, Any]:
    """Renames the fields of an older measure.json or crosstalk.json.

    Args:
      record: such a record of any age.

    Returns:
      The same under today's names; `alpha`, the ridge penalty, keeps its name.

    Example:
      >>> upgrade_measurement({"alpha": 1.0, "quantize": False})
      {'alpha': 1.0, 'load_in_4bit': False}
    """
    return _rename_fields(record, _OLD_MEASUREMENT_FIELDS)


def require_fields(record: Any, kind: str) -> dict:
    """Checks that a record holds the fields of its kind.

    Args:
      record: a parsed JSON value.
      kind: a name of `REQUIRED`.

    Returns:
      The record.

    Raises:
      ValueError: it is no JSON object, or lacks a field; names the first one.

    Example:
      >>> require_fields({"step": 1}, "train")
      Traceback (most recent call last):
      ValueError: lacks 'loss'
    """
    record = require_type(record, dict)
    for name in REQUIRED[kind]:
        if name not in record:
            older = name == "all_probes"
            hint = ": an older version measured it, measure again" if older else ""
            raise ValueError(f"lacks {name!r}{hint}")
    return record


def require_type(value: Any, kind: type) -> Any:
    """Checks the type of a parsed JSON value.

    Args:
      value: the value.
      kind: dict or list.

    Returns:
      The value.

    Raises:
      ValueError: it is of another type.

    Example:
      >>> require_type([1, 2], dict)
      Traceback (most recent call last):
      ValueError: a JSON list, expected a dict
    """
    if not isinstance(value, kind):
        name = type(value).__name__
        raise ValueError(f"a JSON {name}, expected a {kind.__name__}")
    return value


def explain_error(error: Exception) -> str:
    """Says what went wrong in reading a record, without the path of this machine.

    Args:
      error: what was raised.

    Returns:
      One line.

    Example:
      >>> explain_error(FileNotFoundError(2, "No such file", "/runs/a/run.json"))
      'No such file: run.json'
    """
    if isinstance(error, OSError):
        if not error.filename:
            return str(error)
        return f"{error.strerror or error}: {pathlib.Path(error.filename).name}"
    if isinstance(error, json_files.FileError):
        return error.problem
    if isinstance(error, ValueError):
        return str(error)
    return f"{type(error).__name__}: {error}"
