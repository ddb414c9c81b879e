r"""How much CSR's weight matters: condition B4 at several lambdas (section 6.2).

    python experiments/csr_lambda.py
    python experiments/csr_lambda.py --preset=tiny --lambdas=0,.03,.1,.3 \
        --interventions=strong,light --seeds=0,1,2

Reproduces Tables 11 and 12. Qwen2.5-Coder-32B, seed 0: EI after 5000 steps .105, .115
and .105 at lambda .03, .10 and .30, domain accuracy 1.000.

One 80 GB GPU; 32 GB are used. At 300 TFLOP/s a run takes 31 hours if every row were
full, about 4 with packing. These are estimates of --dry_run, which makes them for any
machine; the study itself was not run.

Writes runs/<model>/B4-.../ and runs/csr_lambda/. A killed study continues where it was.
"""

import study_flags
from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "lambdas", ["0.03", "0.1", "0.3"], "weights of the penalty; 0 is B2's training"
)
flags.DEFINE_list("interventions", ["strong"], "strong, light or both")
flags.adopt_module_key_flags(study_flags)
command.parse(__name__, __doc__)

import studies

from jaxent.runs import questions
from jaxent.runs import spec as specs

STUDY = questions.paper_study("csr_lambda")


def runs() -> list[specs.RunSpec]:
    """B4 at every lambda, intervention, model and seed."""
    return questions.csr_lambda(
        studies.models(studies.models_of(STUDY)),
        studies.seeds([0]),
        [float(x) for x in FLAGS.lambdas],
        FLAGS.interventions,
        studies.settings(),
    )


def table(finished: list) -> str:
    """Mean ± SD over seeds.

    Drift is mean |h - h0|^2 / mean |h0|^2, in total and outside the target's subspace.
    """
    return studies.format_tables(STUDY.tables, finished)


if __name__ == "__main__":
    studies.run(studies.Study("csr_lambda", runs, table))
