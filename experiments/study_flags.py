"""Flags and main program that the studies share."""

import pathlib
import sys
from collections.abc import Callable, Sequence

import device_flags
import run_flags
from absl import app, flags, logging

from jaxent.distributed import processes
from jaxent.runs import dry_run, queue
from jaxent.runs import outcomes as run_outcomes
from jaxent.runs import spec as specs

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "preset",
    "paper",
    list(specs.PRESETS),
    "paper: the published models and settings; tiny: the embedded ones",
)
flags.DEFINE_list(
    "models", None, "checkpoint folders or Hub ids instead of the preset's"
)
flags.DEFINE_alias("model", "models")
flags.DEFINE_list("seeds", None, "seeds instead of the study's")
flags.DEFINE_string(
    "output_dir",
    "runs",
    "folder of all runs; a study's own results go to a folder of its name in it",
)
flags.DEFINE_bool("dry_run", False, "print the runs with their cost and stop")
flags.DEFINE_float(
    "teraflops",
    None,
    "with --dry_run: sustained TFLOP/s to reckon with (default: measured here)",
)
flags.adopt_module_key_flags(run_flags)
flags.adopt_module_key_flags(device_flags)


def models(
    published: Sequence[str], tiny: Sequence[str] = (specs.TINY_MODEL,)
) -> list[str]:
    return FLAGS.models or list(tiny if FLAGS.preset == "tiny" else published)


def seeds(published: Sequence[int]) -> list[int]:
    return [int(s) for s in FLAGS.seeds] if FLAGS.seeds else list(published)


def settings() -> dict:
    """The preset's settings, overridden by those given on the command line."""
    return specs.PRESETS[FLAGS.preset] | run_flags.given()


def main(
    name: str,
    runs: Callable[[], list[specs.RunSpec]],
    table: Callable[[list], str],
    after: Callable[[list[run_outcomes.Outcome], bool], list[run_outcomes.Outcome]]
    | None = None,
    remark: Callable[[list[specs.RunSpec]], str] = lambda runs: "",
) -> None:
    """Runs the script's study: the runs of `runs()`, then `table` of those finished.

    after: what else is done with the outcomes, the device free for other processes, on every host alike (True on the one that shows
    progress); gives what failed of it. remark: what a dry run says of it.
    """

    @processes.exit_together()
    def start(_):
        logging.set_verbosity(logging.WARNING)
        out = pathlib.Path(FLAGS.output_dir)
        try:
            device_flags.check()
            found = runs()
            if FLAGS.dry_run:
                print(dry_run.format_plan(found, out, FLAGS.teraflops) + remark(found))
                return
            together = device_flags.seeds_together()
            if after:
                outcomes, first = queue.run_in_subprocess(
                    found, out, FLAGS.mesh, together
                )
            else:
                device_flags.start()
                outcomes = queue.run_all(
                    found, out, mesh=FLAGS.mesh, seeds_together=together
                )
                first = processes.shutdown()
        except ValueError as error:
            sys.exit(f"{name}: {error}")
        also = after(outcomes, first) if after else []
        if not first:
            return
        text = table(run_outcomes.finished_summaries(outcomes))
        folder = run_outcomes.write_study(name, [*outcomes, *also], text, out)
        print(f"\n{text}\n\nResults: {folder}")
        if failed := run_outcomes.format_failures([*outcomes, *also]):
            sys.exit(f"\n{failed}")

    app.run(start)
