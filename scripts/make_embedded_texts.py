"""Remakes the texts that the package carries, below jaxent/data/embedded.

    python3.11 scripts/make_embedded_texts.py OUTPUT_DIR

Code and natural language are cut out of the standard library of the Python that runs
the script, so other versions give other texts. The committed files, on which the
embedded checkpoints were trained, were made with Python 3.11.7; the script refuses
others.
"""

import argparse
import json
import pathlib
import platform
import sys
import sysconfig

from embedded_texts import domains, notices, passages, standard_library

PYTHON = "3.11.7"


def write_rows(file: pathlib.Path, texts: list[passages.Passage]) -> None:
    """Writes a domain's passages, one JSON object a line."""
    rows = [json.dumps(passages.to_row(p), ensure_ascii=False) for p in texts]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def main(folder: pathlib.Path) -> None:
    """Writes the files of the four domains, the notice and Python's licence."""
    if platform.python_version() != PYTHON:
        sys.exit(f"Python {platform.python_version()}: expected {PYTHON}")
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    sources = standard_library.read_sources(library)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "code.jsonl", domains.code(sources))
    write_rows(folder / "natural.jsonl", domains.natural(sources))
    write_rows(folder / "math.jsonl", domains.math())
    write_rows(folder / "creative.jsonl", domains.creative())
    notice = notices.format_notice(PYTHON, sources)
    (folder / "NOTICE.txt").write_text(notice, encoding="utf-8", newline="\n")
    licence = (library / "LICENSE.txt").read_text(encoding="utf-8")
    (folder / "LICENSE-PYTHON.txt").write_text(licence, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output_dir", type=pathlib.Path, metavar="OUTPUT_DIR")
    main(parser.parse_args().output_dir)
