"""A companion domain on two axes, before any training on it: crosstalk with the target (interference) and transfer to it.

    python experiments/companion_metric.py
    python experiments/companion_metric.py --preset=tiny --check --seeds=0,1,2

What the paper's conclusion asks for, after creative writing (lowest crosstalk, worst coding) falsified crosstalk alone; it has
no published numbers but Table 8's crosstalk (creative .0015, math .088, NL not measured) and Table 9's order (math, creative, NL).
Crosstalk is of the starts of training texts, so that natural language has one too. Transfer is the cosine between companion and target
gradients of the initial adapter (corrected for their noise), and the fall of the target's held-out loss after a few
steps on the companion alone. --check trains B1 and the companions' conditions (B2 math, B3 natural, B6 creative) and says
whether the axes order the rise of held-out code loss; three companions are ordered rightly by chance once in six times.
One GPU with 16 GB for Qwen2.5-Coder-7B (about 10 GiB), about as long as 220 training steps a seed (reckoned, not run).
Writes table.txt, study.json and the map (map-<model>.png, .svg) to runs/companion_metric, runs of --check to runs/<model>.
"""

import pathlib
import sys

import device_flags
import study_flags
from absl import app, flags, logging

from jaxent.companion import metric as companion_metric
from jaxent.data import mix
from jaxent.paper import tables as paper_tables
from jaxent.report import figures, plots_own
from jaxent.runs import queue

FLAGS = flags.FLAGS
flags.DEFINE_enum("target", "code", mix.DOMAINS, "domain that is to be kept or gained")
flags.DEFINE_list("companions", None, "domains to rank (default: all others)")
flags.DEFINE_integer("batches", 16, "optimizer steps' worth of examples in a gradient")
flags.DEFINE_integer("few_steps", 20, "steps on a companion alone")
flags.DEFINE_integer("held_out", 96, "held-out texts of the target")
flags.DEFINE_bool("check", False, "train the conditions and compare (target code only)")
flags.adopt_module_key_flags(study_flags)


def main(_):
    logging.set_verbosity(logging.WARNING)
    out, settings, models = (
        pathlib.Path(FLAGS.output_dir),
        study_flags.settings(),
        study_flags.models([paper_tables.HUB[paper_tables.QWEN_7B]]),
    )
    companions, seeds = (
        FLAGS.companions or [d for d in mix.DOMAINS if d != FLAGS.target],
        study_flags.seeds([0, 1, 2]),
    )
    found, outcomes, failed = {}, [], []
    try:
        device_flags.only_one("companion_metric")
        numbers = FLAGS.batches, FLAGS.few_steps, FLAGS.held_out
        question = companion_metric.Question(
            FLAGS.target, tuple(companions), tuple(seeds), *numbers, FLAGS.check
        )
        if FLAGS.dry_run:
            print(
                queue.format_plan(
                    [
                        run
                        for model in models
                        for run in question.planned(model, settings)
                    ],
                    out,
                    FLAGS.teraflops,
                )
            )
            return
    except ValueError as error:
        sys.exit(f"companion_metric: {error}")
    known = companion_metric.load_records(out)
    for model in models:
        try:
            found[model], of_model = companion_metric.examine(
                question, model, settings, out, known.get(model)
            )
            outcomes += of_model
        except (ValueError, FileNotFoundError, FloatingPointError) as error:
            failed.append(f"{model} failed: {error}")
    whole = "\n\n\n".join(
        companion_metric.format_record(model, record) for model, record in found.items()
    )
    folder = queue.write_study(
        companion_metric.NAME, outcomes, whole, out, {"metric": known | found}
    )
    for model, record in found.items():
        figures.save(
            plots_own.companions(record),
            folder / f"map-{pathlib.Path(model).name.lower()}",
        )
    print(f"\n{whole}\n\nResults: {folder}")
    if failed := list(filter(None, [*failed, queue.format_failures(outcomes)])):
        sys.exit("\n" + "\n".join(failed))


if __name__ == "__main__":
    app.run(main)
