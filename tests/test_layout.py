"""The house rules: who may import whom; how long a line, function or file may be."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jaxent"
FLOORS = (
    ("arrays", "data", "paper", "stats"),
    ("distributed",),
    ("model",),
    ("checkpoint", "decode", "measure"),
    ("train", "evaluate"),
    ("runs",),
    ("capacity", "companion", "report"),
)


def _below(floor: int) -> set[str]:
    return {room for rooms in FLOORS[:floor] for room in rooms}


ALLOWED = {
    "arrays": set(),
    "data": set(),
    "paper": set(),
    "stats": set(),
    "distributed": {"arrays"},
    "model": {"arrays", "distributed"},
    "checkpoint": {"arrays", "distributed", "model"},
    "decode": {"arrays", "distributed", "model", "data"},
    "measure": {"arrays", "distributed", "model", "data", "stats"},
    "train": _below(3) | {"checkpoint", "measure"},
    "evaluate": _below(3) | {"decode"},
    "runs": _below(5),
    "capacity": _below(6),
    "companion": _below(6),
    "report": {"runs", "paper", "stats"},
}
"""The rooms that a room may import, besides itself."""

SHARED = {"compile_cache", "json_files"}
"""Modules beside the rooms that every room may import; they import no room."""
FORBIDDEN = {"torch", "peft", "bitsandbytes"}
WITHOUT_JAX = {"data", "paper", "stats", "report"}
SOURCES = sorted(
    path
    for folder in ("jaxent", "experiments", "scripts", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
LONGEST_LINE = 88


def _name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def imported(file: pathlib.Path) -> set[str]:
    """Dotted names a file imports; "from a import b" counts as a.b."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_room_has_its_floor():
    rooms = {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()
    }
    assert rooms == set(ALLOWED) == {room for rooms in FLOORS for room in rooms}


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_follow_the_table(room):
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        for name in imported(file):
            parts = name.split(".")
            assert parts[0] not in FORBIDDEN, f"{_name(file)} imports {name}"
            if parts[0] == "jaxent":
                allowed = ALLOWED[room] | {room} | SHARED
                assert parts[1] in allowed, f"{_name(file)} imports {name}"
            if room in WITHOUT_JAX:
                assert parts[0] != "jax", f"{_name(file)} imports {name}"


@pytest.mark.parametrize("module", sorted(SHARED))
def test_shared_modules_import_no_room(module):
    names = imported(PACKAGE / f"{module}.py")
    assert not [name for name in names if name.startswith("jaxent.")]


def test_json_is_read_in_one_place():
    """Elsewhere a damaged file would end in a traceback."""
    readers = set()
    for path in [*MODULES, *(ROOT / "experiments").glob("*.py"), *SCRIPTS]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_name = isinstance(node, ast.Attribute)
            if is_name and ast.unparse(node) in ("json.load", "json.loads"):
                readers.add(_name(path))
    assert readers == {"jaxent/json_files.py"}


def test_no_arrow_runs_up():
    floor_of = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    for room, others in ALLOWED.items():
        assert all(floor_of[other] < floor_of[room] for other in others), room


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_a_reader_can_hold_it(path):
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    is_table = text.startswith("# ruff: noqa: E501")  # nothing but a table of data
    long = [i for i, line in enumerate(lines, 1) if len(line) > LONGEST_LINE]
    assert is_table or not long, f"lines {long} are over {LONGEST_LINE} columns"
    assert is_table or len(lines) <= LONGEST_FILE, f"{len(lines)} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            size = node.end_lineno - node.lineno + 1
            assert size <= LONGEST_FUNCTION, f"{node.name} has {size} lines"
        if isinstance(node, ast.Assign):
            assert not isinstance(node.value, ast.Lambda), f"line {node.lineno}: lambda"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_module_has_a_test_file_of_its_name(path):
    folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
    assert (folder / f"test_{path.stem.lstrip('_')}.py").is_file()
