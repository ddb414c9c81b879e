"""What of a record's settings departs from the paper's: "lora_r 8, not 64".

A setting that a record does not state counts as the paper's.
"""

from collections.abc import Mapping
from typing import Any

from jaxent.paper import settings as paper_settings
from jaxent.runs import records


def of_run(settings: Mapping[str, Any], continued: bool = False) -> list[str]:
    """Lists what of a run's settings is not the paper's.

    Args:
      settings: of a run.json.
      continued: whether the run continues another run's adapter.

    Returns:
      A few words a departure.

    Example:
      >>> of_run({"condition": "B3", "intervention": "strong", "lora_r": 8})
      ['lora_r 8, not 64']
    """
    expected = _expected_settings(settings, continued)
    texts = []
    if "data_root" in expected:
        del expected["data_root"]
        texts = _other_texts(settings)
        if _own_data(settings):
            del expected["max_train_samples"]
    return _differing(settings, expected) + texts


def _expected_settings(settings: Mapping, continued: bool) -> dict[str, Any]:
    if settings["condition"] == "B0":
        return dict(paper_settings.BASE_MODEL)
    name = settings.get("intervention", "strong")
    expected = dict(paper_settings.INTERVENTIONS.get(name, paper_settings.STRONG))
    if settings.get("csr_lambda"):
        expected |= paper_settings.CSR
    if continued:
        expected["max_steps"] = paper_settings.CONTINUED_STEPS
    return expected


def _own_data(settings: Mapping) -> str | None:
    """The mixture or file of a run on data of one's own; None for a condition."""
    return settings.get("mixture") or settings.get("dataset")


def _other_texts(settings: Mapping) -> list[str]:
    """What sets the texts apart from all published ones, in random order."""
    data_root, own = settings.get("data_root"), _own_data(settings)
    found = []
    if own:
        found.append(f"own data ({own})")
    elif data_root is not None:
        texts = "embedded texts" if data_root == "embedded" else f"texts of {data_root}"
        found.append(f"{texts}, not the published data")
    if settings.get("eval_steps") and data_root != "embedded":
        found.append(f"{settings['eval_share']:.0%} of the texts held out")
    if settings.get("streaming"):
        found.append("texts streamed, shuffled within windows")
    return found


def of_evaluation(evaluation: records.Evaluation) -> list[str]:
    """Lists what of an evaluation is not the paper's.

    Args:
      evaluation: an evaluation folder.

    Returns:
      A few words a departure; a subset of the problems is one.
    """
    subset = evaluation.scores["subset"]
    departures = _differing(evaluation.settings, paper_settings.CODING)
    return departures + ([subset] if subset else [])


def of_crosstalk(content: Mapping[str, Any]) -> list[str]:
    """Lists what of a crosstalk.json is not the paper's.

    Args:
      content: the record.

    Returns:
      A few words a departure.
    """
    probes = _other_probes(content, "hexad")
    return probes + _differing(content, paper_settings.MEASUREMENT)


def of_measurement(
    layer: Mapping[str, Any], last_layer: int | None = None
) -> list[str]:
    """Lists what of a layer's record in a measure.json is not the paper's.

    Args:
      layer: the record.
      last_layer: number of the model's last layer, which the paper measures; None for
        a model that is not the paper's.

    Returns:
      A few words a departure.
    """
    expected = {**paper_settings.MEASUREMENT, **paper_settings.LAST_LAYER}
    if last_layer is not None:
        expected["layer"] = last_layer
    return _other_probes(layer, "triad") + _differing(layer, expected)


def _other_probes(content: Mapping, name: str) -> list[str]:
    """Another probe set, or else another number of probes than all of the set."""
    return _differing(content, {"probe_set": name}) or _differing(
        content, {"probes": paper_settings.PROBES[name]}
    )


def _differing(settings: Mapping, expected: Mapping) -> list[str]:
    texts = []
    for name, value in expected.items():
        actual = settings.get(name, value)
        if isinstance(actual, list):
            actual = tuple(actual)
        if actual != value:
            texts.append(f"{name} {_format_value(actual)}, not {_format_value(value)}")
    return texts


def _format_value(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)
