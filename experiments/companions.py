r"""Which companion data keeps a model coding (sections 5 and 6.3).

    python experiments/companions.py
    python experiments/companions.py --preset=tiny --max_steps=30 \
        --evaluate_flags=--max_new_tokens=64

All conditions under strong and light intervention, with HumanEval(+) of each.
Reproduces Table 9, Qwen2.5-Coder-32B, strong, HumanEval and HumanEval+ in percent: B0
65.9 and 58.5, B4 57.9 and 49.4, B2 56.7 and 48.2, B1 54.9 and 47.6, B6 45.1 and 41.5,
B3 42.7 and 36.6, B5 12.8 and 10.4. Table 10, SV energy: B4 .001, B2 .006, B1 .014, B6
.041, B5 .646, B3 1.096; Spearman's rho with HumanEval+ as printed -.94. Section 6.3,
light: B4 57.3% at EI .167, B2 57.9% at EI .563.

One 80 GB GPU: 32 GiB in training, 19 GB and 164 rows of cache in evaluation. At 300
TFLOP/s a strong run takes 30:28 hours and a light one 11:57 at most, if every row were
full, and 12 trainings 255 hours; with packing an eighth to a half of it. These are
estimates of --dry_run, which makes them for any machine; the study itself was not run.
Training is done in one process, then evaluate.py runs once for each run.

Writes runs/<model>/B.../ with humaneval/ in each, and runs/companions/. A killed study
continues where it was.
"""

import pathlib

import study_flags
from absl import flags

from jaxent import command
from jaxent.data import mix

FLAGS = flags.FLAGS
flags.DEFINE_list("conditions", list(mix.CONDITIONS), "conditions of Table 1")
flags.DEFINE_list("interventions", ["strong", "light"], "strong, light or both")
flags.DEFINE_bool(
    "evaluate",
    True,
    "HumanEval(+) of every run; --noevaluate trains only, and shows what was evaluated "
    "before",
)
flags.DEFINE_string(
    "problems",
    None,
    "HumanEvalPlus.jsonl (default: what evalplus downloads; with --preset=tiny eight "
    "embedded problems)",
)
flags.DEFINE_list(
    "evaluate_flags",
    [],
    "further flags of evaluate.py, such as --limit=8,--max_new_tokens=64",
)
flags.adopt_module_key_flags(study_flags)
command.parse(__name__, __doc__)

import studies

from jaxent.evaluate import benchmarks
from jaxent.runs import evaluate as evaluate_runs
from jaxent.runs import questions, summary_table
from jaxent.runs import spec as specs
from jaxent.stats import proportions

STUDY = questions.paper_study("companions")


def runs() -> list[specs.RunSpec]:
    """Every condition under every intervention, model and seed."""
    return questions.companions(
        studies.models(studies.models_of(STUDY)),
        studies.seeds([0]),
        FLAGS.conditions,
        FLAGS.interventions,
        studies.settings(),
    )


def evaluate(outcomes: list, is_primary: bool) -> list:
    """Runs evaluate.py on every finished run; gives the evaluations that failed."""
    if not FLAGS.evaluate:
        return []
    embedded = benchmarks.EMBEDDED if FLAGS.preset == "tiny" else None
    problems = FLAGS.problems or embedded
    given = [f"--problems={problems}"] if problems else []
    given += [f"--mesh={FLAGS.mesh}"] if FLAGS.mesh else []
    script = pathlib.Path(__file__).with_name("evaluate.py")
    further = [*given, *FLAGS.evaluate_flags]
    return evaluate_runs.evaluate_all(outcomes, script, further, is_primary)


def remark(planned: list) -> str:
    """What a dry run says of the evaluations."""
    if not FLAGS.evaluate:
        return ""
    return f" HumanEval(+) of {len(planned)} models comes on top, one evaluate.py each."


def table(finished: list) -> str:
    """Mean ± SD over seeds, then Table 10's rank correlation over conditions.

    "strong" for B0 is a label only.
    """
    root = pathlib.Path(FLAGS.output_dir)
    scored = [
        (run, summary | {"coding": evaluate_runs.coding_scores(root / run.name)})
        for run, summary in finished
    ]
    by = STUDY.tables[0].by
    rows = summary_table.summarise_runs(scored, by, ("SV energy", "HumanEval+ (%)"))
    shown = studies.format_tables(STUDY.tables, scored)
    return "\n\n".join([shown, *correlations(rows)])


def correlations(rows: list[dict]) -> list[str]:
    """SV energy against HumanEval+ over conditions, a line a model and intervention."""
    lines = []
    groups = dict.fromkeys((row["model"], row["intervention"]) for row in rows)
    for model, intervention in groups:
        pairs = [
            (row["SV energy"].mean, row["HumanEval+ (%)"].mean)
            for row in rows
            if (row["model"], row["intervention"]) == (model, intervention)
            and row["SV energy"]
            and row["HumanEval+ (%)"]
        ]
        if len(pairs) > 2:
            rank = proportions.spearman(*zip(*pairs))
            lines.append(
                f"{pathlib.Path(model).name}, {intervention}: SV energy against "
                f"HumanEval+, Spearman's rho {rank.rho:.2f}, p {rank.p:.3g}, "
                f"{rank.n} conditions"
            )
    return lines


if __name__ == "__main__":
    studies.run(studies.Study("companions", runs, table, evaluate, remark))
