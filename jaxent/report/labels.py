"""Labels that keep apart, by name, runs that differ in more than seed and condition."""

import collections
import dataclasses
from typing import Any

from jaxent.report import match
from jaxent.runs import records, seeds

_CELL = {"model", "condition", "intervention", "seed", "adapter", "csr_lambda"}
"""Settings that name the runs of a study apart; a label leaves them out."""
_SPEED = {
    "micro_batch_size",
    "packing",
    "remat",
    "decode_base",
    "save_steps",
    "measure_steps",
    "dtype",
}
"""Settings of a run's speed: results agree but for rounding."""
_HASH_DIGITS = 8


def label_models(results: match.ResultSet) -> match.ResultSet:
    """Adds to a model's name what sets its runs apart, so that no mean is over them.

    Args:
      results: records that are not the paper's.

    Returns:
      The same, models of runs named "tiny (lora_r 4)" where settings differ, and
      "tiny [2]" where two runs of one key differ in nothing.
    """
    names = _name_by_settings(results.runs)
    _number_repeats(results.runs, names)

    def relabel(result: match.KeyedResult) -> match.KeyedResult:
        name = names.get(result.of or "", result.key["model"])
        return dataclasses.replace(result, key={**result.key, "model": name})

    return dataclasses.replace(
        results,
        runs=tuple(map(relabel, results.runs)),
        evaluations=tuple(map(relabel, results.evaluations)),
        singles=tuple(map(relabel, results.singles)),
    )


def _name_by_settings(runs: tuple[match.KeyedResult[records.Run], ...]) -> dict:
    """By folder, the model's name with the settings in which its group differs."""

    def group(run: match.KeyedResult[records.Run]) -> tuple:
        continued = bool(run.record.settings.get("adapter"))
        return run.key["model"], run.key.get("intervention"), continued

    names: dict[str, str] = {}
    for members in seeds.group_by(runs, group).values():
        settings = [_result_settings(run.record) for run in members]
        fields = dict.fromkeys(field for one in settings for field in one)
        differing = []
        for field in fields:
            values = {repr(one[field]) for one in settings if field in one}
            if len(values) > 1:
                differing.append(field)
        for run, one in zip(members, settings):
            extra = ", ".join(f"{f} {one[f]}" for f in differing if f in one)
            model = run.key["model"]
            names[run.record.folder] = f"{model} ({extra})" if extra else model
    return names


def _number_repeats(
    runs: tuple[match.KeyedResult[records.Run], ...], names: dict[str, str]
) -> None:
    """Numbers, in `names`, the second and later runs of one key."""
    repeats: collections.Counter[tuple] = collections.Counter()
    for run in runs:
        folder = run.record.folder
        others = sorted((n, str(v)) for n, v in run.key.items() if n != "model")
        key = (names[folder], *others)
        repeats[key] += 1
        if repeats[key] > 1:
            names[folder] += f" [{repeats[key]}]"


def _result_settings(run: records.Run) -> dict[str, Any]:
    """What else than its cell decides a run's result."""
    without_effect = set(_SPEED)
    if not run.settings.get("csr_lambda"):
        without_effect |= {name for name in run.settings if name.startswith("csr_")}
    if run.settings["condition"] != "B5":
        without_effect.add("curriculum_steps")
    return {
        **{
            name: value
            for name, value in run.settings.items()
            if name not in _CELL | without_effect
        },
        "checkpoint": _shorten(run.record.get("model_hash")),
        "probe set": _shorten(run.probe_hash),
    }


def _shorten(hash: Any) -> Any:
    return hash[:_HASH_DIGITS] if isinstance(hash, str) else hash
