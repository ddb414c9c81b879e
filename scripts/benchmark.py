"""How fast jaxent is beside what people would otherwise run.

    pip install -e '.[test]'
    python scripts/benchmark.py --quick --output_dir=benchmark
    python scripts/benchmark.py --what=step,mixture --model=smollm2 --pairs=5

step: a QLoRA step. mixture: steps on the paper's mixtures. decode: greedy decoding.
prefill: prompts to caches. capture: activations of the probes. measure: all estimators.
seeds: seeds in one step. load: a checkpoint into NF4. start: from finetune.py's
command to its first step.

Peers are transformers + PEFT + bitsandbytes (--against=peft), transformers, and
scikit-learn, all on the CPU, as we are. One that is not installed is left out, and only
our side is timed. Sides run in turn, and the ratio is the median of the rounds' ratios;
processor time stands beside it for machines that do other work. With --output_dir rows
go to benchmark.json one by one, and those that are there are not measured again.
"""

import importlib
import os
import pathlib
import sys
import tempfile

from absl import flags

from jaxent import command

WHAT = (
    "step",
    "mixture",
    "decode",
    "prefill",
    "capture",
    "measure",
    "seeds",
    "load",
    "start",
)
FLAGS = flags.FLAGS
flags.DEFINE_list("what", list(WHAT), "what to measure")
flags.DEFINE_list("against", ["peft", "transformers", "sklearn"], "beside whom")
flags.DEFINE_string("output_dir", None, "folder of benchmark.json")
flags.DEFINE_bool("overwrite", False, "measure rows again that are there")
flags.DEFINE_bool("quick", False, "everything small, under five minutes")
flags.DEFINE_integer("pairs", None, "timed rounds (default: 5; 2 with --quick)")
flags.DEFINE_string("model", "smollm2", "a real checkpoint; none: only random ones")
flags.DEFINE_string("data_root", "embedded", "texts of mixtures, as finetune.py's")
flags.DEFINE_string(
    "problems", None, "HumanEvalPlus.jsonl (default: the embedded problems)"
)
flags.DEFINE_integer("mixture_steps", 1, "optimizer steps of one timed run of mixture")
flags.DEFINE_integer("layers", 4, "layers of the random model")
flags.DEFINE_integer("vocab", 32_000, "vocabulary of the random model")
flags.DEFINE_list(
    "lengths", None, "tokens a row of steps (default: 512,2048; 256 with --quick)"
)
command.parse(__name__, __doc__)

os.environ["JAX_PLATFORMS"] = "cpu"  # before jax is imported: peers run there too

from benchmarks import cases, pairs, results

from jaxent.checkpoint import real_model


def read_settings(scratch: pathlib.Path) -> cases.Settings:
    """The settings of the flags.

    Raises:
      ValueError: a flag has an impossible value.
    """
    lengths = FLAGS.lengths or (["256"] if FLAGS.quick else ["512", "2048"])
    if not all(text.isdecimal() and int(text) > 1 for text in lengths):
        raise ValueError(f"--lengths {','.join(lengths)}: expected numbers above 1")
    for name in ("layers", "vocab", "mixture_steps"):
        if FLAGS[name].value < 1:
            raise ValueError(f"--{name} {FLAGS[name].value}: expected at least 1")
    model = None if FLAGS.model in ("", "none") else FLAGS.model
    if model == real_model.NAME and not real_model.is_there():
        print("SmolLM2 is not there (./scripts/get_real_model): its rows are left out")
        model = None
    return cases.Settings(
        scratch,
        FLAGS.quick,
        FLAGS.layers,
        FLAGS.vocab,
        tuple(map(int, lengths)),
        model,
        FLAGS.data_root,
        FLAGS.problems,
        FLAGS.mixture_steps,
    )


def choose_pairs() -> int:
    """Timed rounds of each row."""
    rounds = FLAGS.pairs or (2 if FLAGS.quick else 5)
    if rounds < 1:
        raise ValueError(f"--pairs {rounds}: expected at least 1")
    return rounds


def check_names(name: str, given: list[str], known: tuple[str, ...]) -> None:
    """ValueError for a word of a list flag that it does not know."""
    for word in given:
        if word not in known:
            raise ValueError(f"--{name} {word}: expected some of {','.join(known)}")


def has_peer(case: cases.Case) -> bool:
    """Whether a row's peer is wanted and installed; says so where it is not."""
    if case.peer is None:
        return True
    if case.peer not in FLAGS.against:
        return False
    missing = cases.missing_packages(case.peer, case.packages)
    if missing:
        print(f"{case.key}: without its peer, {', '.join(missing)} not installed")
    return not missing


def measure_case(case: cases.Case, rounds: int, with_peer: bool) -> dict:
    """Measures a row and prints it."""
    print(f"{case.key} ...", flush=True)
    work = case.make(with_peer)
    rate = results.matmul_rate()
    timing = pairs.measure(work, rounds)
    record = results.make_record(case, work, timing, rate)
    for row in results.table_rows(record):
        print("   " + " | ".join(row[1:]), flush=True)
    return record


def main():
    """Measures row by row, then prints the table of all rows that were asked for."""
    try:
        check_names("what", FLAGS.what, WHAT)
        check_names("against", FLAGS.against, tuple(cases.PEERS))
        rounds = choose_pairs()
        out = FLAGS.output_dir and pathlib.Path(FLAGS.output_dir)
        records = results.read_records(out) if out else {}
        with tempfile.TemporaryDirectory() as scratch:
            settings = read_settings(pathlib.Path(scratch))
            asked = []
            for what in FLAGS.what:
                module = importlib.import_module(f"benchmarks.{what}")
                asked += list(module.make_cases(settings))
            for case in asked:
                with_peer = has_peer(case)
                done = results.is_done(records.get(case.key), with_peer)
                if done and not FLAGS.overwrite:
                    print(f"{case.key}: there already")
                    continue
                records[case.key] = measure_case(case, rounds, with_peer)
                if out:
                    results.write_records(out, records)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"benchmark: {error}")
    measured = [records[case.key] for case in asked if case.key in records]
    print(f"\n{results.format_table(measured)}")


if __name__ == "__main__":
    command.run(main)
