"""How entanglement after fine-tuning depends on size: B3 on three sizes of Qwen2.5-Coder, B2 beside it on the largest (section 4).

    python experiments/scale_ladder.py
    python experiments/scale_ladder.py --preset=tiny --seeds=0,1

Reproduces Tables 2 and 3 (EI before and after B3: 7B .945 and .641 ± .099, 3 seeds; 14B .810 and .063 ± .109, 3 seeds; 32B .622
and .000 ± .000, 8 seeds), 4 (EI of the 32B every 500 steps: B3 from .370 at step 500 to .000 from step 3500 on, B2 between .290
and .450) and 7 (margins of the base models: .000193, .000004, 1.781). Section 3.3 states one seed for B2, Table 4 shows
eight: there are eight here, as under B3. One 80 GB GPU, of which 10, 17 and 32 GiB are used; at 300 TFLOP/s at most 6:45, 13:32
and 30:28 hours a run if every row were full, 22 trainings 548 hours; with packing an eighth to a half of it (reckoned by
--dry_run, which does so for any machine; not run).
Writes runs/<model>/B3-strong-seed.../ and the like, runs/scale_ladder/study.json and table.txt. A killed study continues where it was.
"""

import pathlib

import study_flags
from absl import flags

from jaxent.paper import models as paper_models
from jaxent.runs import questions, queue, summary_table
from jaxent.runs import spec as specs

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "compared",
    None,
    "models that are also trained under B2 (default: the last one); empty for none",
)
flags.adopt_module_key_flags(study_flags)
MODELS = [
    paper_models.HUB[m]
    for m in (paper_models.QWEN_7B, paper_models.QWEN_14B, paper_models.QWEN_32B)
]
FOUND = (
    "EI before",
    "EI",
    "EI change",
    "V-purity",
    "domain accuracy",
    "SEI",
    "CVO",
    "final loss",
)
MARGINS = (
    "EI before",
    "domain margin",
    "register margin",
    "shape margin",
    "V-purity before",
)
COURSE = ("EI", "SEI", "V-purity", "domain accuracy")


def runs():
    seeds = study_flags.seeds(()) or None
    return questions.scale_ladder(
        study_flags.models(MODELS, specs.TINY_LADDER),
        seeds,
        FLAGS.compared,
        study_flags.settings(),
    )


def text(found) -> str:
    """Table 7, then by model, by seed, and by step, mean ± SD over seeds."""
    of = lambda *conditions: [
        (run, summary) for run, summary in found if run.condition in conditions
    ]
    drawn = lambda title, chosen, by, quantities: (
        f"{title}\n{summary_table.format_summary(summary_table.summarise_runs(chosen, by, quantities), by, (quantities,))}"
    )
    both, by = [run for run, _ in of("B3", "B2")], ("model", "condition")
    course = summary_table.summarise_steps(
        queue.read_measurements(both, pathlib.Path(FLAGS.output_dir)), by, COURSE
    )
    return "\n\n".join(
        [
            drawn("Base models", of("B0"), ("model", "condition"), MARGINS),
            drawn("By model", of("B3", "B2"), by, FOUND),
            drawn("By seed", of("B3", "B2"), (*by, "seed"), FOUND),
            f"By step\n{summary_table.format_summary(course, (*by, 'step'), (COURSE,))}",
        ]
    )


if __name__ == "__main__":
    study_flags.main("scale_ladder", runs, text)
