"""Names of models and of groups of runs, short enough for a figure."""

from collections.abc import Mapping


def short_model_name(model: str) -> str:
    """A model's name without the parts that its neighbours share.

    Example:
      >>> short_model_name("Qwen2.5-Coder-7B")
      'Qwen-7B'
    """
    name = model.replace("Qwen2.5-Coder-", "Qwen-")
    return name.replace("-v0.3", "").replace("-Coder", "")


def run_label(key: Mapping) -> str:
    """The condition of a run, with what tells it from others of that condition.

    Example:
      >>> run_label({"condition": "B4", "intervention": "light", "lambda": 0.1})
      'B4 light λ 0.1'
    """
    light = " light" if key.get("intervention") == "light" else ""
    weight = f" λ {key['lambda']:g}" if "lambda" in key else ""
    return f"{key['condition']}{light}{weight}"


def group_name(key: Mapping) -> str:
    """A group of runs in a few short lines: model, condition, weight of CSR."""
    model = _wrap(short_model_name(key["model"]))
    weight = f"\nλ {key['lambda']:g}" if "lambda" in key else ""
    return f"{model}\n{key['condition']} {key.get('intervention', '')}{weight}"


def _wrap(text: str, width: int = 22) -> str:
    """The text in lines of at most `width` characters where its words allow it."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) < width:
            lines[-1] = f"{lines[-1]} {word}".strip()
        else:
            lines.append(word)
    return "\n".join(lines)
