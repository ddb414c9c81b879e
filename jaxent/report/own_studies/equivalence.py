"""What check_equivalence.py found, beside other frameworks and float64, as a table."""

import pathlib
from collections.abc import Mapping, Sequence

from jaxent.report import grid
from jaxent.runs import records

_NUMBERS = {
    "ours": "ours to float64, median",
    "theirs": "theirs to float64, median",
    "worst": "ours to float64, largest",
    "bound": "allowed",
    "difference": "ours to theirs, largest",
}
"""Field of a check to its heading."""
_HEADS = ("quantity", "verdict", "framework", "model", *_NUMBERS.values())
_NOTE = (
    "Where there is no float64 reference, the largest distance of the two results has "
    "to be within what is allowed."
)


def equivalence_tables(documents: Sequence[records.Equivalence]) -> list[grid.Grid]:
    """A row a check of every equivalence.json.

    Args:
      documents: the records.

    Returns:
      One grid; none without records.
    """
    pairs = [(one, check) for one in documents for check in one.content["checks"]]
    if not pairs:
        return []
    ratio = documents[0].content["ratio"]
    passed = sum(bool(check["passed"]) for _, check in pairs)
    return [
        grid.Grid(
            "equivalence-table",
            "Beside other frameworks",
            f"{passed} of {len(pairs)} checks passed: ours is within what is allowed, "
            f"and its median at most {ratio:g} times as far from float64 as theirs (or "
            "two roundings of float32). Distances are relative.",
            tuple(map(grid.Head, _HEADS)),
            tuple(_row(_model(one), check) for one, check in pairs),
            (_NOTE,) if any(check["ours"] is None for _, check in pairs) else (),
            tuple(_fact(one, check) for one, check in pairs),
        )
    ]


def _model(document: records.Equivalence) -> str:
    settings = document.content.get("settings") or {}
    return pathlib.PurePath(settings.get("model") or document.folder).name


def _row(model: str, check: Mapping) -> tuple[grid.Cell, ...]:
    unreferenced = check["ours"] is None
    verdict = ("pass", "supported") if check["passed"] else ("fail", "contradicted")
    return (
        grid.Cell(check["name"], "key", notes=(1,) if unreferenced else ()),
        grid.Cell(*verdict),
        grid.Cell(check["against"], "text"),
        grid.Cell(model, "text"),
        *(_number(name, check[name]) for name in _NUMBERS),
    )


def _number(name: str, value: float | None) -> grid.Cell:
    if value is None:
        return grid.Cell(grid.NOTHING, "nothing")
    text = "0" if value == 0 else f"{value:.1e}"
    return grid.Cell(text, "measured" if name == "ours" else "published")


def _fact(document: records.Equivalence, check: Mapping) -> dict:
    fields = ("name", "against", *_NUMBERS, "passed")
    return {
        "folder": document.folder,
        "model": _model(document),
        **{name: check[name] for name in fields},
    }
