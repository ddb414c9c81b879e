"""Every table, figure and claim of the paper beside what the runs in a folder measured, as one page.

    python experiments/report.py --runs=runs --output_dir=report

Reads run folders, evaluations, crosstalk.json, measure.json, validity.json and studies anywhere below --runs (any number of them,
none needed) and writes report.html, which needs no network and no other file, tables/ (Markdown, LaTeX, CSV) and figures/ (PNG, SVG) to --output_dir.
No accelerator, no JAX; about half a minute.
"""

import pathlib
import sys

from absl import app, flags

from jaxent.report import page
from jaxent.runs import records

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", "runs", "folder of runs, read with all folders below it")
flags.DEFINE_string("output_dir", "report", "folder for the page, tables and figures")
flags.DEFINE_string(
    "title",
    "Entanglement under fine-tuning: published and measured",
    "the page's heading",
)


def main(_):
    try:
        found = records.read_records(pathlib.Path(FLAGS.runs))
    except FileNotFoundError as error:
        sys.exit(f"report: {error}")
    written = page.write(found, pathlib.Path(FLAGS.output_dir), FLAGS.title, sys.argv)
    for note in found.unread:
        print(f"{note.path}: {note.text}")
    numbers = {
        "runs": found.runs,
        "evaluations": found.evaluations,
        "crosstalks": found.crosstalks,
        "measurements": found.singles,
        "companion metrics": found.metrics,
        "validity studies": found.validities,
    }
    print(", ".join(f"{len(those)} {kind}" for kind, those in numbers.items()))
    print(f"Report: {written}")


if __name__ == "__main__":
    app.run(main)
