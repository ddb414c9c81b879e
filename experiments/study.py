r"""A study of your own: models, mixtures, seeds and tables from one file.

    python experiments/study.py --spec=study.json --dry_run
    python experiments/study.py --spec=study.json
    python experiments/study.py --spec=study.json --seeds=0 --max_steps=20 \
        --output_dir=runs/short

docs/studies.md says what the file holds; the paper's studies are files of the same kind
(jaxent/runs/studies/). Flags win over the file's settings, but not over what a model,
an intervention or an entry of its runs says for itself. With --preset=tiny the tiny
preset's settings hold where the file says nothing; the models are the file's.

Writes runs/<model>/<condition>-.../ and runs/<name of the study>/. A killed study
continues where it was.
"""

import functools
import pathlib
import sys

import study_flags
from absl import flags

from jaxent import command

FLAGS = flags.FLAGS
flags.DEFINE_string("spec", None, "JSON file of the study")
flags.adopt_module_key_flags(study_flags)
command.parse(__name__, __doc__)

import run_flags
import studies

from jaxent.runs import spec as specs
from jaxent.runs import study_file, study_spec


def read_study() -> study_spec.StudySpec:
    """The study of --spec, with the models, seeds and settings of other flags."""
    if not FLAGS.spec:
        raise ValueError("--spec is missing: expected a study in JSON, docs/studies.md")
    study = study_file.read_study(pathlib.Path(FLAGS.spec))
    if FLAGS.models:
        study = study.with_models(FLAGS.models)
    if FLAGS.seeds:
        study = study.with_seeds(studies.seeds(()))
    return study.with_settings(run_flags.given(), specs.PRESETS[FLAGS.preset])


def format_tables(study: study_spec.StudySpec, finished: list) -> str:
    """The study's tables, or those by what its runs' names say."""
    runs = [run for run, _ in finished]
    tables = study.tables or study_spec.default_tables(runs)
    return studies.format_tables(tables, finished)


def main() -> None:
    """Runs the study."""
    try:
        study = read_study()
        runs = study_spec.expand(study)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"study: {error}")
    table = functools.partial(format_tables, study)
    studies.run(studies.Study(study.name, lambda: runs, table))


if __name__ == "__main__":
    main()
