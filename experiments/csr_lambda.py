"""How much CSR's weight matters: condition B4 at several lambdas (section 6.2).

    python experiments/csr_lambda.py
    python experiments/csr_lambda.py --preset=tiny --lambdas=0,.03,.1,.3 --interventions=strong,light --seeds=0,1,2

Reproduces Tables 11 and 12: Qwen2.5-Coder-32B, seed 0, EI after 5000 steps .105, .115 and .105 at lambda .03, .10 and .30,
domain accuracy 1.000. One 80 GB GPU (32 GB are used); at 300 TFLOP/s 31 hours a run if every row were full, about 4 with
packing (reckoned by --dry_run, which does so for any machine; not run).
Writes runs/<model>/B4-.../ and runs/csr_lambda/study.json and table.txt. A killed study continues where it was.
"""

import study_flags
from absl import flags

from jaxent.paper import models as paper_models
from jaxent.runs import questions, summary_table

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "lambdas", ["0.03", "0.1", "0.3"], "weights of the penalty; 0 is B2's training"
)
flags.DEFINE_list("interventions", ["strong"], "strong, light or both")
flags.adopt_module_key_flags(study_flags)
BY = ("model", "intervention", "csr_lambda")
MOVED = (
    "CSR probes' drift",
    "outside",
    "drift",
    "drift outside",
    "CSR / LM gradient",
    "CSR loss",
    "SV energy",
    "final loss",
)
FOUND = ("EI before", "EI", "SEI", "CVO", "V-purity", "domain accuracy")


def runs():
    chosen = (
        study_flags.models([paper_models.HUB[paper_models.QWEN_32B]]),
        study_flags.seeds([0]),
    )
    return questions.csr_lambda(
        *chosen,
        [float(x) for x in FLAGS.lambdas],
        FLAGS.interventions,
        study_flags.settings(),
    )


def text(found) -> str:
    """Mean ± SD over seeds; drift is mean |h - h0|^2 / mean |h0|^2, in total and outside the target's subspace."""
    return summary_table.format_summary(
        summary_table.summarise_runs(found, BY, MOVED + FOUND), BY, (MOVED, FOUND)
    )


if __name__ == "__main__":
    study_flags.main("csr_lambda", runs, text)
