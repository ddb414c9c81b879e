"""The main program that the studies share, by `study_flags`."""

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence

import devices
import run_flags
from absl import flags

from jaxent import command
from jaxent.distributed import processes
from jaxent.runs import dry_run, queue, study_spec, summary_table
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs

FLAGS = flags.FLAGS


def models(
    published: Sequence[str], tiny: Sequence[str] = (specs.TINY_MODEL,)
) -> list[str]:
    """The models of --models, or the preset's."""
    return FLAGS.models or list(tiny if FLAGS.preset == "tiny" else published)


def seeds(published: Sequence[int]) -> list[int]:
    """The seeds of --seeds, or the study's."""
    return [int(s) for s in FLAGS.seeds] if FLAGS.seeds else list(published)


def models_of(study: study_spec.StudySpec) -> list[str]:
    """The names of a study's models."""
    return [model.name for model in study.models]


def settings() -> dict:
    """The preset's settings, overridden by those given on the command line."""
    return specs.PRESETS[FLAGS.preset] | run_flags.given()


@dataclasses.dataclass(frozen=True)
class Study:
    """What tells one study from another.

    name: the script's.
    runs: gives the list of runs.
    table: the text that answers the question, from the finished runs' summaries.
    after: what else is done with the outcomes once the devices are free; it is called
        on every host alike with (outcomes, whether this process shows progress) and
        gives the outcomes that failed in it.
    remark: what a dry run says besides the runs' cost.
    """

    name: str
    runs: Callable[[], list[specs.RunSpec]]
    table: Callable[[list], str]
    after: (
        Callable[[list[run_outcomes.Outcome], bool], list[run_outcomes.Outcome]] | None
    ) = None
    remark: Callable[[list[specs.RunSpec]], str] | None = None


def run(study: Study) -> None:
    """Runs a study from the command line: its runs, then its table."""
    guarded = processes.exit_together()(_run)
    command.run(lambda: guarded(study))


def _run(study: Study) -> None:
    out = pathlib.Path(FLAGS.output_dir)
    try:
        devices.check()
        runs = study.runs()
        if FLAGS.dry_run:
            remark = study.remark(runs) if study.remark else ""
            print(dry_run.format_plan(runs, out, FLAGS.teraflops) + remark)
            return
        outcomes, is_primary = _train(study, runs, out)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"{study.name}: {error}")
    failed = study.after(outcomes, is_primary) if study.after else []
    if not is_primary:
        return
    outcomes_of_all = [*outcomes, *failed]
    text = study.table(run_outcomes.finished_summaries(outcomes))
    folder = run_outcomes.write_study(study.name, outcomes_of_all, text, out)
    print(f"\n{text}\n\nResults: {folder}")
    if failures := run_outcomes.format_failures(outcomes_of_all):
        sys.exit(f"\n{failures}")


def _train(
    study: Study, runs, out: pathlib.Path
) -> tuple[list[run_outcomes.Outcome], bool]:
    """The outcomes of all runs, and whether this process is the one that writes."""
    together = devices.seeds_together()
    if study.after:
        return queue.run_in_subprocess(runs, out, FLAGS.mesh, together)
    devices.start()
    outcomes = queue.run_all(runs, out, mesh=FLAGS.mesh, seeds_together=together)
    return outcomes, processes.shutdown()


def format_tables(tables: Sequence[study_spec.Table], finished: list) -> str:
    """A study's tables, mean ± SD over what each leaves open.

    Args:
        tables: what is shown.
        finished: (run, its summary) of every finished run.
    """
    return "\n\n".join(_format_table(table, finished) for table in tables)


def _format_table(table: study_spec.Table, finished: list) -> str:
    chosen = [(run, summary) for run, summary in finished if table.selects(run)]
    columns = [column for block in table.blocks for column in block]
    by: tuple[str, ...] = table.by
    if table.steps:
        out = pathlib.Path(FLAGS.output_dir)
        measured = run_outcomes.read_measurements([run for run, _ in chosen], out)
        rows = summary_table.summarise_steps(measured, by, columns)
        by = (*by, "step")
    else:
        rows = summary_table.summarise_runs(chosen, by, columns)
    shown = summary_table.format_summary(rows, by, table.blocks)
    return f"{table.title}\n{shown}" if table.title else shown
