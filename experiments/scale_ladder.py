"""How entanglement after fine-tuning depends on size (section 4).

    python experiments/scale_ladder.py
    python experiments/scale_ladder.py --preset=tiny --seeds=0,1

B3 on three sizes of Qwen2.5-Coder, B2 beside it on the largest. Reproduces Tables 2 and
3, EI before and after B3: 7B .945 and .641 ± .099, 3 seeds; 14B .810 and .063 ± .109, 3
seeds; 32B .622 and .000 ± .000, 8 seeds. Table 4, EI of the 32B every 500 steps: B3
from .370 at step 500 to .000 from step 3500 on, B2 between .290 and .450. Table 7,
margins of the base models: .000193, .000004, 1.781. Section 3.3 states one seed for B2,
Table 4 shows eight: there are eight here, as under B3.

One 80 GB GPU, of which 10, 17 and 32 GiB are used. At 300 TFLOP/s a run takes 6:45,
13:32 and 30:28 hours at most, if every row were full, and 22 trainings 548 hours; with
packing an eighth to a half of it. These are estimates of --dry_run, which makes them
for any machine; the study itself was not run.

Writes runs/<model>/B3-strong-seed.../ and the like, and runs/scale_ladder/. A killed
study continues where it was.
"""

import study_flags
from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "compared",
    None,
    "models that are also trained under B2 (default: the last one); empty for none",
)
flags.adopt_module_key_flags(study_flags)
command.parse(__name__, __doc__)

import studies

from jaxent.runs import questions
from jaxent.runs import spec as specs

STUDY = questions.paper_study("scale_ladder")


def runs() -> list[specs.RunSpec]:
    """B3 on every model and seed, B2 on the compared ones."""
    return questions.scale_ladder(
        studies.models(studies.models_of(STUDY), specs.TINY_LADDER),
        studies.seeds(()) or None,
        FLAGS.compared,
        studies.settings(),
    )


def table(finished: list) -> str:
    """Table 7, then by model, by seed, and by step, mean ± SD over seeds."""
    return studies.format_tables(STUDY.tables, finished)


if __name__ == "__main__":
    studies.run(studies.Study("scale_ladder", runs, table))
