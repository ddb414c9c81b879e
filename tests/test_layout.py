"""Who may import whom inside the package, and that torch stays outside it."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "jaxent"
FLOORS = (
    ("arrays", "data", "paper", "stats"),
    ("distributed",),
    ("model",),
    ("checkpoint", "decode", "measure"),
    ("train", "evaluate"),
    ("runs",),
    ("capacity", "companion", "report"),
)
ALLOWED = {
    "arrays": {"arrays"},
    "data": {"data"},
    "paper": {"paper"},
    "stats": {"stats"},
    "distributed": {"arrays", "distributed"},
    "model": {"arrays", "distributed", "model"},
    "checkpoint": {"arrays", "distributed", "model", "checkpoint"},
    "decode": {"arrays", "distributed", "model", "data", "decode"},
    "measure": {"arrays", "distributed", "model", "data", "stats", "measure"},
    "train": {
        "arrays",
        "distributed",
        "model",
        "data",
        "stats",
        "checkpoint",
        "measure",
        "train",
    },
    "evaluate": {
        "arrays",
        "distributed",
        "model",
        "data",
        "stats",
        "decode",
        "evaluate",
    },
    "runs": {room for floor in FLOORS[:5] for room in floor} | {"runs"},
    "capacity": {room for floor in FLOORS[:6] for room in floor} | {"capacity"},
    "companion": {room for floor in FLOORS[:6] for room in floor} | {"companion"},
    "report": {"runs", "paper", "stats", "report"},
}
FORBIDDEN = {"torch", "peft", "bitsandbytes"}


def imported(file: pathlib.Path) -> set[str]:
    """Dotted names a file imports; "from a import b" counts as a.b."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_follow_the_table(folder):
    files = list((PACKAGE / folder).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            parts = name.split(".")
            assert parts[0] not in FORBIDDEN, f"{file.name} imports {name}"
            assert parts[0] != "jaxent" or parts[1] in ALLOWED[folder], (
                f"{file.name} imports {name}"
            )
            assert (
                folder not in ("report", "data", "paper", "stats") or parts[0] != "jax"
            )
