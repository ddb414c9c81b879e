"""Who may import whom inside the package, and that torch stays outside it."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "jaxent"
ALLOWED = {
    "arrays": {"arrays"},
    "model": {"arrays", "model"},
    "checkpoint": {"arrays", "model", "checkpoint"},
    "data": {"data"},
    "measure": {"arrays", "model", "data", "measure"},
    "train": {"arrays", "model", "measure", "data", "checkpoint", "train"},
    "decode": {"arrays", "model", "data", "decode"},
    "report": {"report"},
    "study": {"arrays", "model", "checkpoint", "data", "measure", "train", "decode", "report", "study"},
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
            assert parts[0] != "jaxent" or parts[1] in ALLOWED[folder], f"{file.name} imports {name}"
            assert folder != "report" or parts[0] != "jax"
            assert folder != "data" or parts[0] != "jax"
