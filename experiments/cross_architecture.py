"""Whether B3 does to other families what it does to Qwen: four models of about 7B (section 4.4).

    python experiments/cross_architecture.py
    python experiments/cross_architecture.py --preset=tiny --seeds=0,1

Reproduces Tables 5 and 6 (EI before and after B3: Qwen-7B .945 and .641 ± .099, 3 seeds; Mistral-7B 1.044 and .944 ± .098, 3;
DeepSeek-Coder-6.7B 1.374 and 1.047 ± .210, 2; CodeLlama-7B .874 and 1.143 ± .070, 2) and Table 7's margins of DeepSeek (.000021)
and CodeLlama (.000000). One GPU with 16 GB (8.6 to 10.3 GiB are used); at 300 TFLOP/s at most 6:32 to 7:01 hours a run if
every row were full, 10 trainings 67 hours; with packing an eighth to a half of it (reckoned by --dry_run, which does so for any
machine; not run). Qwen's runs are scale_ladder.py's too, and are made once.
Writes runs/<model>/B3-strong-seed.../, runs/cross_architecture/study.json and table.txt. A killed study continues where it was.
"""

import study_flags
from absl import flags

from jaxent.paper import models as paper_models
from jaxent.runs import questions, summary_table
from jaxent.runs import spec as specs

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study_flags)
MODELS = [
    paper_models.HUB[m]
    for m in (
        paper_models.QWEN_7B,
        paper_models.DEEPSEEK,
        paper_models.MISTRAL,
        paper_models.CODELLAMA,
    )
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


def runs():
    return questions.cross_architecture(
        study_flags.models(MODELS, specs.TINY_LADDER),
        study_flags.seeds(()) or None,
        study_flags.settings(),
    )


def text(found) -> str:
    """The base models, then by model, mean ± SD over seeds, and by seed."""
    of = lambda condition: [
        (run, summary) for run, summary in found if run.condition == condition
    ]
    drawn = lambda title, chosen, by, quantities: (
        f"{title}\n{summary_table.format_summary(summary_table.summarise_runs(chosen, by, quantities), by, (quantities,))}"
    )
    return "\n\n".join(
        [
            drawn("Base models", of("B0"), ("model", "condition"), MARGINS),
            drawn("By model", of("B3"), ("model", "condition"), FOUND),
            drawn("By seed", of("B3"), ("model", "condition", "seed"), FOUND),
        ]
    )


if __name__ == "__main__":
    study_flags.main("cross_architecture", runs, text)
