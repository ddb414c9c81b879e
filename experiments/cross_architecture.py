"""Whether B3 does to other families what it does to Qwen: four 7B models (section 4.4).

    python experiments/cross_architecture.py
    python experiments/cross_architecture.py --preset=tiny --seeds=0,1

Reproduces Tables 5 and 6, EI before and after B3: Qwen-7B .945 and .641 ± .099, 3
seeds; Mistral-7B 1.044 and .944 ± .098, 3; DeepSeek-Coder-6.7B 1.374 and 1.047 ± .210,
2; CodeLlama-7B .874 and 1.143 ± .070, 2. And Table 7's margins of DeepSeek (.000021)
and CodeLlama (.000000). Qwen's runs are scale_ladder.py's too, and are made once.

One GPU with 16 GB; 8.6 to 10.3 GiB are used. At 300 TFLOP/s a run takes 6:32 to 7:01
hours at most, if every row were full, and 10 trainings 67 hours; with packing an eighth
to a half of it. These are estimates of --dry_run, which makes them for any machine; the
study itself was not run.

Writes runs/<model>/B3-strong-seed.../ and runs/cross_architecture/. A killed study
continues where it was.
"""

import study_flags
from absl import flags

from jaxent import command

flags.adopt_module_key_flags(study_flags)
command.parse(__name__, __doc__)

import studies

from jaxent.runs import questions
from jaxent.runs import spec as specs

STUDY = questions.paper_study("cross_architecture")


def runs() -> list[specs.RunSpec]:
    """B3 on every model and seed."""
    return questions.cross_architecture(
        studies.models(studies.models_of(STUDY), specs.TINY_LADDER),
        studies.seeds(()) or None,
        studies.settings(),
    )


def table(finished: list) -> str:
    """The base models, then by model, mean ± SD over seeds, and by seed."""
    return studies.format_tables(STUDY.tables, finished)


if __name__ == "__main__":
    studies.run(studies.Study("cross_architecture", runs, table))
