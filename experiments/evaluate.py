r"""How a checkpoint codes: pass@1 through EvalPlus, and likelihood (section 3.2).

    python experiments/evaluate.py --model=Qwen/Qwen2.5-Coder-7B \
        --adapter=runs/qwen7b_b3_0/adapter --output_dir=runs/evaluate
    python experiments/evaluate.py --model=smollm2 --nogenerate --output_dir=runs/base
    python experiments/evaluate.py --preset=tiny

pass@1 on HumanEval and HumanEval+ (or MBPP and MBPP+, --benchmark=mbpp): raw completion
or EvalPlus's chat form (--prompt_format=chat), greedy, 768 new tokens, all problems
decoded together, with or without an adapter. Likelihood: nats a byte of the canonical
solutions after their prompts, of the adapter and of the same weights without it, paired
by problem. It sees changes where pass@1 is 0 and 0, and takes one pass over the texts.

Writes likelihood.json, samples.raw.jsonl (as rows finish: a killed run continues),
samples.jsonl, eval_results.json, scores.json and evaluation.json to --output_dir.
Reproduces a row of Table 9: Qwen2.5-Coder-32B has 65.9% and 58.5% (108 and 96 of 164).

A 7B model with NF4 weights takes about 6 GB, and with 164 rows of 1280 tokens 12 GB of
cache; scoring takes minutes on a few cores. Generated programs run in a sandbox.
"""

import collections
import dataclasses
import gc
import json
import pathlib
import sys
import time

import evaluation_flags
from absl import flags

from jaxent import command, json_files

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(evaluation_flags)
command.parse(__name__, __doc__)

import checkpoints
import devices
import jax
import numpy as np

from jaxent.decode import choose, generate, loop, plan
from jaxent.distributed import axes, processes
from jaxent.evaluate import (
    benchmarks,
    likelihood,
    prompts,
    sample_files,
    sandbox,
    scoring,
)
from jaxent.model import blocks, convert, trained
from jaxent.model import config as configs
from jaxent.runs import folder as run_folder
from jaxent.runs import validate


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and where the results go.

    hashes: of the model's and the adapter's weights.
    """

    folder: pathlib.Path
    checkpoint: validate.Checkpoint
    problems: benchmarks.Problems
    prompts: prompts.Prompts
    hashes: dict


def make_runners(
    checkpoint: validate.Checkpoint, mesh
) -> tuple[loop.Runner, loop.Runner | None]:
    """The model in the form --weights asks for, on the mesh if there is one.

    Returns:
        The model with its adapter, and the same without the adapter, None where there
        is none. Both share the weights; of merged ones the second has the unmerged.
    """
    _, tuned = checkpoints.open_all()
    base, tuned, compute = checkpoints.load(checkpoint, tuned, mesh)
    if FLAGS.weights != "nf4":
        check_memory(checkpoint.config, mesh, compute)
    if FLAGS.weights == "dequantized":
        base = convert.to_dense(base, compute.dtype)
    bare = loop.Runner(base, None, compute) if FLAGS.adapter else None
    model, adapter = trained.split(base, tuned)
    if FLAGS.weights == "merged":
        model, adapter = convert.to_dense(model, compute.dtype, adapter), None
    return loop.Runner(model, adapter, compute), bare


def check_memory(config: configs.Config, mesh, compute) -> None:
    """Raises ValueError where dense weights do not fit the memory that is free."""
    linear = sum(k * n for k, n in blocks.linear_shapes(config).values())
    parts = axes.axis_size(mesh, "embed") * axes.axis_size(mesh, "mlp")
    needed = plan.dense_bytes(config, linear, compute.dtype) // parts
    free = processes.all_min(plan.free_bytes())
    if needed > free:
        raise ValueError(
            f"--weights={FLAGS.weights} needs {needed / 2**30:.1f} GiB, but "
            f"{free / 2**30:.1f} are free: use nf4"
        )


def measure_likelihood(
    evaluation: Evaluation, runner: loop.Runner, base: loop.Runner | None
) -> dict:
    """Nats a byte of the canonical solutions, as likelihood.json holds them."""
    problems, config = evaluation.problems, evaluation.checkpoint.config
    encoded, left_out = likelihood.encode_solutions(
        evaluation.prompts, problems, config.context
    )
    show = processes.is_primary()
    nats = likelihood.solution_nats(runner, encoded, show)
    of_base = likelihood.solution_nats(base, encoded, show) if base else None
    record = {
        "settings": evaluation_flags.settings(),
        "hashes": evaluation.hashes,
        "data": {"version": problems.version, "md5": problems.md5},
        "subset": problems.subset,
        **likelihood.make_record(encoded, left_out, nats, of_base),
    }
    if processes.is_primary():
        file = evaluation.folder / run_folder.LIKELIHOOD
        run_folder.write_json(file, record)
        print(likelihood.summary(record))
    return record


def read_likelihood(evaluation: Evaluation) -> dict | None:
    """The likelihood.json that is there, as the first process sees it.

    None where there is none, or of other weights than today's.
    """
    file = evaluation.folder / run_folder.LIKELIHOOD

    def read() -> str:
        return file.read_text(encoding="utf-8") if file.is_file() else "null"

    text = processes.broadcast_from_primary(read)
    record = json_files.parse_json(text, str(file), kind=None, finite=False)
    return record if record and record["hashes"] == evaluation.hashes else None


def run_model(evaluation: Evaluation, done: list[sample_files.Sample]) -> dict:
    """Measures and generates what is missing; loads the model only for that.

    Returns:
        What generating took.
    """
    todo = []
    if FLAGS.generate:
        missing = sample_files.missing_samples(
            evaluation.problems, done, FLAGS.n_samples
        )
        todo = [problem for problem, count in missing for _ in range(count)]
    measure = FLAGS.likelihood and read_likelihood(evaluation) is None
    if not todo and not measure:
        return {"samples": 0}
    mesh = checkpoints.choose_mesh(evaluation.checkpoint)
    runner, base = make_runners(evaluation.checkpoint, mesh)
    if measure:
        measure_likelihood(evaluation, runner, base)
    del base
    if not todo:
        return {"samples": 0}
    return generate_samples(evaluation, runner, todo, len(done))


def generate_samples(
    evaluation: Evaluation,
    runner: loop.Runner,
    todo: list[benchmarks.Problem],
    done: int,
) -> dict:
    """Generates samples; each is on disk as soon as it is done.

    Returns:
        What it took: samples, tokens, seconds, how they ended, near ties.
    """
    asked = evaluation.prompts
    encoded = [asked.encode(problem) for problem in todo]
    warn_of_context(max(map(len, encoded)), evaluation.checkpoint.config)

    def keep(row: int, completion) -> None:
        if processes.is_primary():
            sample = sample_files.finish_sample(
                todo[row], completion.text, asked.stops, not asked.is_chat
            )
            sample_files.append_samples(
                evaluation.folder, evaluation.problems, [sample]
            )

    # Samples made after a restart must not repeat the draws of those before it.
    seed = np.random.SeedSequence([FLAGS.seed, done]).generate_state(1)[0]
    started = time.perf_counter()
    completions = generate(
        runner.model,
        evaluation.checkpoint.tokenizer,
        encoded,
        FLAGS.max_new_tokens,
        stops=asked.stops,
        temperature=FLAGS.temperature,
        top_p=FLAGS.top_p,
        seed=int(seed),
        adapter=runner.adapter,
        compute=runner.compute,
        progress=processes.is_primary(),
        on_done=keep,
    )
    return describe(completions, time.perf_counter() - started)


def warn_of_context(longest: int, config: configs.Config) -> None:
    """Says where positions pass those that the model was trained on."""
    if longest + FLAGS.max_new_tokens > config.context and processes.is_primary():
        print(
            f"{longest} prompt and {FLAGS.max_new_tokens} new tokens pass the model's "
            f"context of {config.context}: positions it has not seen"
        )


def describe(completions: list, seconds: float) -> dict:
    """What generating took, for evaluation.json."""
    tokens = sum(len(c.ids) for c in completions)
    return {
        "samples": len(completions),
        "tokens": tokens,
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "ends": dict(collections.Counter(c.end for c in completions)),
        "near_ties": sum(c.near_ties for c in completions),
        "samples_with_near_ties": sum(c.near_ties > 0 for c in completions),
    }


def resume(evaluation: Evaluation) -> list[sample_files.Sample]:
    """The samples that are there, as the first process sees them.

    Samples of another identity (settings, tokenizer, problems) are never mixed in.
    """
    identity = evaluation_flags.settings() | {
        "seed": FLAGS.seed,
        "tokenizer": evaluation.checkpoint.tokenizer.hash,
        "problems": evaluation.problems.md5,
    }

    def read() -> str:
        samples = sample_files.resume(evaluation.folder, identity)
        return json.dumps([dataclasses.asdict(sample) for sample in samples])

    text = processes.broadcast_from_primary(read)
    samples = json_files.parse_json(text, sample_files.RAW, list)
    return [sample_files.Sample(**sample) for sample in samples]


def score(folder: pathlib.Path, problems: benchmarks.Problems) -> dict:
    """Runs the samples through EvalPlus, prints the scores, gives their record."""
    began = time.perf_counter()
    scores = scoring.score_samples(
        folder,
        problems,
        min_time_limit=FLAGS.min_time_limit,
        gt_time_limit_factor=FLAGS.gt_time_limit_factor,
        allow_unsandboxed=FLAGS.allow_unsandboxed,
    )
    print(scoring.summary(scores))
    suites, ks = ("base", "plus"), sorted({1, FLAGS.n_samples})
    return {
        "scoring_seconds": time.perf_counter() - began,
        "pass": {f"{s}@{k}": scores.pass_at(k, s) for s in suites for k in ks},
        "counts": {suite: scores.counts(suite) for suite in suites},
    }


def check_flags() -> None:
    """Raises ValueError for flags that cannot be, before anything is loaded."""
    choose.Sampling(FLAGS.temperature, FLAGS.top_p)
    if FLAGS.n_samples < 1 or (FLAGS.n_samples > 1 and FLAGS.temperature == 0):
        raise ValueError(
            f"--n_samples {FLAGS.n_samples}: expected 1, or a --temperature above 0"
        )
    if not FLAGS.generate and not FLAGS.likelihood:
        raise ValueError("--nogenerate --nolikelihood: expected one of the two")
    if FLAGS.generate and FLAGS.score:
        processes.broadcast_from_primary(
            lambda: str(sandbox.require_protections(FLAGS.allow_unsandboxed))
        )


def open_evaluation() -> Evaluation:
    """Opens what the flags name; ValueError for what cannot be."""
    benchmark = benchmarks.BENCHMARKS[FLAGS.benchmark]
    problems = processes.primary_then_all(
        lambda: benchmarks.load_problems(FLAGS.problems, FLAGS.limit, benchmark)
    )
    checkpoint, _ = checkpoints.open_all()
    template = None
    if FLAGS.prompt_format == "chat":
        template = prompts.find_template(checkpoint.tokenizer, checkpoint.folder)
    asked = prompts.Prompts(benchmark, checkpoint.tokenizer, template)
    asked.write(problems.items[0])  # a template that fails does so now
    hashes = validate.hashes(checkpoint, FLAGS.adapter)
    out = pathlib.Path(FLAGS.output_dir)
    return Evaluation(out, checkpoint, problems, asked, hashes)


def write_results(evaluation: Evaluation, took: dict, started: float) -> None:
    """Scores the samples, and writes evaluation.json last."""
    out, problems = evaluation.folder, evaluation.problems
    record = {
        "settings": evaluation_flags.settings(),
        "subset": problems.subset,
        "generation": took,
    }
    if FLAGS.generate:
        sample_files.write_sanitized(out, problems)
    if FLAGS.generate and FLAGS.score:
        record |= score(out, problems)
    elif problems.subset:
        print(problems.subset.upper())
    seed = FLAGS.seed if FLAGS.temperature else None
    record |= validate.provenance(
        evaluation.checkpoint, started, FLAGS.adapter, seed=seed
    )
    run_folder.write_json(out / run_folder.EVALUATION, record)
    if took["samples"]:
        print(
            f"{took['samples']} samples, {took['tokens']} tokens, "
            f"{took['tokens_per_second']:.0f} tokens/s; near ties in "
            f"{took['samples_with_near_ties']}"
        )
    print(f"Results: {out}")


@processes.exit_together()
def main() -> None:
    """Measures and generates, then scores."""
    tiny = {
        "output_dir": "runs/evaluate",
        "max_new_tokens": 64,
    }
    if FLAGS.benchmark == "humaneval":
        tiny["problems"] = str(benchmarks.EMBEDDED)
    try:
        started = checkpoints.begin(tiny)
        devices.start()
        check_flags()
        evaluation = open_evaluation()
        done = resume(evaluation)
        took = run_model(evaluation, done)
    except (ValueError, FileNotFoundError, PermissionError) as error:
        sys.exit(f"evaluate: {error}")
    if not processes.shutdown():
        return
    gc.collect()
    jax.clear_caches()  # the model is gone before programs are timed
    write_results(evaluation, took, started)


if __name__ == "__main__":
    command.run(main)
