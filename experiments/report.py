"""Every table, figure and claim of the paper beside what was measured, as one page.

    python experiments/report.py --runs=runs --output_dir=report

Reads run folders, evaluations, crosstalk.json, measure.json, validity.json and studies
anywhere below --runs (any number of them, none needed). Writes report.html, which needs
no network and no other file, tables/ (Markdown, LaTeX, CSV) and figures/ (PNG, SVG) to
--output_dir. No accelerator, no JAX; about half a minute.
"""

import pathlib
import sys

from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string("runs", "runs", "folder of runs, read with all folders below it")
flags.DEFINE_string("output_dir", "report", "folder for the page, tables and figures")
flags.DEFINE_string(
    "title",
    "Entanglement under fine-tuning: published and measured",
    "the page's heading",
)
command.parse(__name__, __doc__)

from jaxent.report import page
from jaxent.runs import records


def main() -> None:
    """Reads the records, writes the page, says what could not be read."""
    try:
        collection = records.read_records(pathlib.Path(FLAGS.runs))
    except FileNotFoundError as error:
        sys.exit(f"report: {error}")
    out = pathlib.Path(FLAGS.output_dir)
    written = page.write(collection, out, FLAGS.title, sys.argv)
    for note in collection.unread:
        print(f"{note.path}: {note.text}")
    numbers = {
        "runs": collection.runs,
        "evaluations": collection.evaluations,
        "crosstalks": collection.crosstalks,
        "measurements": collection.singles,
        "companion metrics": collection.metrics,
        "validity studies": collection.validities,
    }
    print(", ".join(f"{len(those)} {kind}" for kind, those in numbers.items()))
    print(f"Report: {written}")


if __name__ == "__main__":
    command.run(main)
