"""What a run folder holds: the name of every file, and the way it is written."""

import os
import pathlib

REPORT = "report.html"


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file under a temporary name and renames it, so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
