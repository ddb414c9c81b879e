"""Whether disentanglement is undone by other data: a B3 adapter trained on under B2 (sections 3.5 and 7).

    python experiments/reversibility.py
    python experiments/reversibility.py --models=Qwen/Qwen2.5-Coder-7B,Qwen/Qwen2.5-Coder-14B --seeds=42,0,1 --then=B2,B3
    python experiments/reversibility.py --preset=tiny --seeds=0,1

Reproduces Tables 13 and 14: Qwen2.5-Coder-14B, seed 0, EI .279 after B3 and .245, .000, .000 at 500, 1000 and 1500 further steps,
V-purity .654, .671, .656, .563, domain accuracy 1.000, .983, 1.000, .883 (Table 3 prints EI .000 for the same run after B3). The
published one is a single seed at a single size: --models and --seeds take several, and --then=B2,B3 adds what more of B3
alone would have done. The optimizer and the schedule start afresh; B3 runs that are there are used. One 40 GB GPU (17 GiB are
used); at 300 TFLOP/s at most 13:32 hours for B3 and 4:04 for B2 if every row were full, with packing an eighth to a half of it
(reckoned by --dry_run, which does so for any machine; not run).
Writes runs/<model>/B2-strong-seed0-from-B3-strong-seed0/ and the B3 run beside it, runs/reversibility/study.json and table.txt.
A killed study continues where it was.
"""

import pathlib

import study_flags
from absl import flags

from jaxent.paper import models as paper_models
from jaxent.runs import questions, queue, summary_table

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "then", ["B2"], "conditions to train on under, each from the B3 adapter"
)
flags.DEFINE_integer(
    "further_steps",
    None,
    "steps of that (default: three tenths of --max_steps, 1500 of 5000)",
)
flags.adopt_module_key_flags(study_flags)
BY = ("model", "condition")
FOUND = (
    "EI before",
    "EI",
    "EI change",
    "SEI",
    "CVO",
    "V-purity",
    "domain accuracy",
    "final loss",
)
COURSE = ("EI", "SEI", "V-purity", "domain accuracy")


def runs():
    chosen = (
        study_flags.models([paper_models.HUB[paper_models.QWEN_14B]]),
        study_flags.seeds([0]),
    )
    return questions.reversibility(
        *chosen, FLAGS.then, FLAGS.further_steps, study_flags.settings()
    )


def text(found) -> str:
    """B3 from the base model, what came after it, by model; then every seed of the latter by step (0: the end of B3)."""
    first, then = (
        [(run, s) for run, s in found if bool(run.adapter) == continued]
        for continued in (False, True)
    )
    drawn = lambda title, chosen: (
        f"{title}\n{summary_table.format_summary(summary_table.summarise_runs(chosen, BY, FOUND), BY, (FOUND,))}"
    )
    course = summary_table.summarise_steps(
        queue.read_measurements(
            [run for run, _ in then], pathlib.Path(FLAGS.output_dir)
        ),
        (*BY, "seed"),
        COURSE,
    )
    steps = f"Continued, by step\n{summary_table.format_summary(course, (*BY, 'seed', 'step'), (COURSE,))}"
    return "\n\n".join(
        [
            drawn("B3 from the base model", first),
            drawn("Continued from its adapter", then),
            steps,
        ]
    )


if __name__ == "__main__":
    study_flags.main("reversibility", runs, text)
