r"""Whether other data undoes disentanglement: B3, then B2 (sections 3.5 and 7).

    python experiments/reversibility.py
    python experiments/reversibility.py --seeds=42,0,1 --then=B2,B3 \
        --models=Qwen/Qwen2.5-Coder-7B,Qwen/Qwen2.5-Coder-14B
    python experiments/reversibility.py --preset=tiny --seeds=0,1

Reproduces Tables 13 and 14. Qwen2.5-Coder-14B, seed 0: EI .279 after B3 and .245, .000,
.000 at 500, 1000 and 1500 further steps, V-purity .654, .671, .656, .563, domain
accuracy 1.000, .983, 1.000, .883 (Table 3 prints EI .000 for the same run after B3).
The published one is a single seed at a single size: --models and --seeds take several,
and --then=B2,B3 adds what more of B3 alone would have done. The optimizer and the
schedule start afresh; B3 runs that are there are used.

One 40 GB GPU; 17 GiB are used. At 300 TFLOP/s 13:32 hours for B3 and 4:04 for B2 at
most, if every row were full; with packing an eighth to a half of it. These are
estimates of --dry_run, which makes them for any machine; the study itself was not run.

Writes runs/<model>/B2-strong-seed0-from-B3-strong-seed0/ with the B3 run beside it, and
runs/reversibility/. A killed study continues where it was.
"""

import study_flags
from absl import flags

from jaxent import command

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
command.parse(__name__, __doc__)

import studies

from jaxent.runs import questions
from jaxent.runs import spec as specs

STUDY = questions.paper_study("reversibility")


def runs() -> list[specs.RunSpec]:
    """B3 on every model and seed, then what continues it."""
    return questions.reversibility(
        studies.models(studies.models_of(STUDY)),
        studies.seeds([0]),
        FLAGS.then,
        FLAGS.further_steps,
        studies.settings(),
    )


def table(finished: list) -> str:
    """B3, what came after it, by model; then every seed of the latter by step.

    Step 0 is the end of B3.
    """
    return studies.format_tables(STUDY.tables, finished)


if __name__ == "__main__":
    studies.run(studies.Study("reversibility", runs, table))
