"""A companion domain on two axes, measured before any training on it.

    python experiments/companion_metric.py
    python experiments/companion_metric.py --preset=tiny --check --seeds=0,1,2

Interference is crosstalk with the target, transfer is what learning the companion does
to the target. The paper's conclusion asks for such a metric, after creative writing
(lowest crosstalk, worst coding) falsified crosstalk alone. It has no published numbers
but Table 8's crosstalk (creative .0015, math .088, natural language not measured) and
Table 9's order (math, creative, natural language).

Crosstalk is of the starts of training texts, so that natural language has one too.
Transfer is the cosine between companion and target gradients of the initial adapter
(corrected for their noise), and the fall of the target's held-out loss after a few
steps on the companion alone. --check trains B1 and the companions' conditions (B2 math,
B3 natural, B6 creative) and says whether the axes order the rise of held-out code loss;
three companions are ordered rightly by chance once in six times.

One GPU with 16 GB for Qwen2.5-Coder-7B (about 10 GiB), about as long as 220 training
steps a seed (an estimate; it was not run). Writes table.txt, study.json and the map
(map-<model>.png, .svg) to runs/companion_metric, runs of --check to runs/<model>.
"""

import pathlib
import sys

import study_flags
from absl import flags

from jaxent import command
from jaxent.data import mix
from jaxent.paper import models as paper_models

FLAGS = flags.FLAGS
flags.DEFINE_enum("target", "code", mix.DOMAINS, "domain that is to be kept or gained")
flags.DEFINE_list("companions", None, "domains to rank (default: all others)")
flags.DEFINE_integer("batches", 16, "optimizer steps' worth of examples in a gradient")
flags.DEFINE_integer("few_steps", 20, "steps on a companion alone")
flags.DEFINE_integer("held_out", 96, "held-out texts of the target")
flags.DEFINE_bool("check", False, "train the conditions and compare (target code only)")
flags.adopt_module_key_flags(study_flags)
command.parse(__name__, __doc__)

import devices
import studies

from jaxent.companion import metric as companion_metric
from jaxent.report.own_studies import companions as companion_report
from jaxent.report.plots import style
from jaxent.runs import dry_run
from jaxent.runs import outcomes as run_outcomes


def read_question() -> companion_metric.Question:
    """The question that the flags ask; ValueError for one that cannot be."""
    devices.only_one("companion_metric")
    others = [domain for domain in mix.DOMAINS if domain != FLAGS.target]
    return companion_metric.Question(
        FLAGS.target,
        tuple(FLAGS.companions or others),
        tuple(studies.seeds([0, 1, 2])),
        FLAGS.batches,
        FLAGS.few_steps,
        FLAGS.held_out,
        FLAGS.check,
    )


def main() -> None:
    """Measures every model, then writes tables and maps; a failed model is named."""
    out, settings = pathlib.Path(FLAGS.output_dir), studies.settings()
    models = studies.models([paper_models.HUB[paper_models.QWEN_7B]])
    try:
        question = read_question()
        if FLAGS.dry_run:
            planned = [question.planned(model, settings) for model in models]
            runs = [run for of_model in planned for run in of_model]
            print(dry_run.format_plan(runs, out, FLAGS.teraflops))
            return
    except ValueError as error:
        sys.exit(f"companion_metric: {error}")
    known = companion_metric.load_records(out)
    measured, outcomes, failed = {}, [], []
    for model in models:
        try:
            measured[model], of_model = companion_metric.examine(
                question, model, settings, out, known.get(model)
            )
            outcomes += of_model
        except (ValueError, FileNotFoundError, FloatingPointError) as error:
            failed.append(f"{model} failed: {error}")
    texts = [
        companion_metric.format_record(model, one) for model, one in measured.items()
    ]
    whole = "\n\n\n".join(texts)
    folder = run_outcomes.write_study(
        companion_metric.NAME, outcomes, whole, out, {"metric": known | measured}
    )
    for model, one in measured.items():
        name = f"map-{pathlib.Path(model).name.lower()}"
        style.save(companion_report.draw(one), folder / name)
    print(f"\n{whole}\n\nResults: {folder}")
    if failed := list(filter(None, [*failed, run_outcomes.format_failures(outcomes)])):
        sys.exit("\n" + "\n".join(failed))


if __name__ == "__main__":
    command.run(main)
