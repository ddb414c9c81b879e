"""Which companion data keeps a model coding: all conditions under strong and light intervention, HumanEval(+) of each (sections 5, 6.3).

    python experiments/companions.py
    python experiments/companions.py --preset=tiny --max_steps=30 --evaluate_flags=--max_new_tokens=64

Reproduces Table 9 (Qwen2.5-Coder-32B, strong, HumanEval and HumanEval+: B0 65.9 and 58.5%, B4 57.9 and 49.4, B2 56.7 and 48.2, B1
54.9 and 47.6, B6 45.1 and 41.5, B3 42.7 and 36.6, B5 12.8 and 10.4), Table 10 (SV energy: B4 .001, B2 .006, B1 .014, B6 .041, B5 .646,
B3 1.096; Spearman's rho with HumanEval+ as printed -.94) and section 6.3 (light: B4 57.3% at EI .167, B2 57.9% at EI .563).
One 80 GB GPU: 32 GiB in training, 19 GB and 164 rows of cache in evaluation; at 300 TFLOP/s at most 30:28 hours a strong run and
11:57 a light one if every row were full, 12 trainings 255 hours; with packing an eighth to a half of it (reckoned by
--dry_run, which does so for any machine; not run). Training is done in one process, then evaluate.py runs once for each run.
Writes runs/<model>/B.../ with humaneval/ in each, runs/companions/study.json and table.txt. A killed study continues where it was.
"""

import pathlib

import study_flags
from absl import flags

from jaxent.data import mix
from jaxent.evaluate import humaneval
from jaxent.paper import models as paper_models
from jaxent.runs import evaluate as evaluate_runs
from jaxent.runs import questions, summary_table
from jaxent.stats import proportions

FLAGS = flags.FLAGS
flags.DEFINE_list("conditions", list(mix.CONDITIONS), "conditions of Table 1")
flags.DEFINE_list("interventions", ["strong", "light"], "strong, light or both")
flags.DEFINE_bool(
    "evaluate",
    True,
    "HumanEval(+) of every run; --noevaluate only trains and shows what was evaluated before",
)
flags.DEFINE_string(
    "humaneval",
    None,
    "HumanEvalPlus.jsonl (default: what evalplus downloads; with --preset=tiny eight embedded problems)",
)
flags.DEFINE_list(
    "evaluate_flags",
    [],
    "further flags of evaluate.py, such as --limit=8,--max_new_tokens=64",
)
flags.adopt_module_key_flags(study_flags)
BY = ("model", "intervention", "condition")
CODING = (
    "HumanEval (%)",
    "HumanEval+ (%)",
    "HumanEval+ passes",
    "of",
    "SV energy",
    "final loss",
)
FOUND = ("EI before", "EI", "EI change", "SEI", "V-purity", "domain accuracy", "drift")


def runs():
    chosen = (
        study_flags.models([paper_models.HUB[paper_models.QWEN_32B]]),
        study_flags.seeds([0]),
        FLAGS.conditions,
        FLAGS.interventions,
    )
    return questions.companions(*chosen, study_flags.settings())


def evaluated(outcomes, first):
    if not FLAGS.evaluate:
        return []
    problems = FLAGS.humaneval or (
        humaneval.EMBEDDED if FLAGS.preset == "tiny" else None
    )
    given = [f"--humaneval={problems}"] if problems else []
    given += [f"--mesh={FLAGS.mesh}"] if FLAGS.mesh else []
    return evaluate_runs.evaluate_all(
        outcomes,
        pathlib.Path(__file__).with_name("evaluate.py"),
        [*given, *FLAGS.evaluate_flags],
        first,
    )


def remark(found) -> str:
    return (
        f" HumanEval(+) of {len(found)} models comes on top, one evaluate.py each."
        if FLAGS.evaluate
        else ""
    )


def text(found) -> str:
    """Mean ± SD over seeds; "strong" for B0 is a label only. Then Table 10's rank correlation over conditions."""
    found = [
        (
            run,
            summary
            | {
                "coding": evaluate_runs.coding_scores(
                    pathlib.Path(FLAGS.output_dir) / run.name
                )
            },
        )
        for run, summary in found
    ]
    rows = summary_table.summarise_runs(found, BY, CODING + FOUND)
    return "\n\n".join(
        [summary_table.format_summary(rows, BY, (CODING, FOUND)), *correlations(rows)]
    )


def correlations(rows) -> list[str]:
    lines = []
    for model, intervention in dict.fromkeys(
        (row["model"], row["intervention"]) for row in rows
    ):
        here = [
            r
            for r in rows
            if (r["model"], r["intervention"]) == (model, intervention)
            and r["SV energy"]
            and r["HumanEval+ (%)"]
        ]
        pairs = [(r["SV energy"].mean, r["HumanEval+ (%)"].mean) for r in here]
        if len(pairs) > 2:
            found = proportions.spearman(*zip(*pairs))
            about = f"{pathlib.Path(model).name}, {intervention}: SV energy against HumanEval+"
            lines.append(
                f"{about}, Spearman's rho {found.rho:.2f}, p {found.p:.3g}, {found.n} conditions"
            )
    return lines


if __name__ == "__main__":
    study_flags.main("companions", runs, text, evaluated, remark)
