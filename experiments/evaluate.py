r"""HumanEval and HumanEval+ pass@1 of a checkpoint through EvalPlus (section 3.2).

    python experiments/evaluate.py --model=Qwen/Qwen2.5-Coder-7B \
        --adapter=runs/qwen7b_b3_0/adapter --output_dir=runs/evaluate
    python experiments/evaluate.py --preset=tiny

Raw completion, greedy, 768 new tokens, all 164 problems decoded together, with or
without an adapter. Writes samples.raw.jsonl (as rows finish: a killed run continues),
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

import checkpoint_flags
import weight_flags
from absl import flags

from jaxent import command, json_files

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_enum(
    "weights",
    "nf4",
    ["nf4", "dequantized", "merged"],
    "nf4: as trained; dequantized: the same values, decoded once; merged: the adapter "
    "added in",
)
flags.DEFINE_string(
    "humaneval",
    None,
    "HumanEvalPlus.jsonl (default: what evalplus downloads; with --preset=tiny eight "
    "embedded problems)",
)
flags.DEFINE_integer("limit", None, "first problems only; every output says so")
flags.DEFINE_integer("max_new_tokens", 768, "new tokens a problem")
flags.DEFINE_float("temperature", 0.0, "0: greedy")
flags.DEFINE_float("top_p", 1.0, "share of the probability that is sampled from")
flags.DEFINE_integer("n_samples", 1, "samples a problem, for pass@k")
flags.DEFINE_integer("seed", 0, "seed of sampling")
flags.DEFINE_float("min_time_limit", 10.0, "seconds a test may take at least")
flags.DEFINE_float(
    "gt_time_limit_factor", 20.0, "times the canonical solution's time a test may take"
)
flags.DEFINE_bool("score", True, "score the samples; --noscore only generates them")
flags.DEFINE_bool(
    "allow_unsandboxed",
    False,
    "run generated programs without the protections this system lacks",
)
flags.adopt_module_key_flags(checkpoint_flags)
command.parse(__name__, __doc__)

import checkpoints
import devices
import jax
import numpy as np

from jaxent.checkpoint import peft
from jaxent.decode import choose, generate, loop, plan
from jaxent.distributed import axes, processes
from jaxent.evaluate import humaneval, sandbox, scoring
from jaxent.model import blocks, convert
from jaxent.model import config as configs
from jaxent.runs import folder as run_folder
from jaxent.runs import validate

SETTINGS = (
    "model",
    "adapter",
    "weights",
    "load_in_4bit",
    "dtype",
    "max_new_tokens",
    "temperature",
    "top_p",
    "n_samples",
)
"""Flags that decide a sample, recorded with the results."""


def settings() -> dict:
    """The values of `SETTINGS`, dtype under its full name and None for auto."""
    values = {name: FLAGS[name].value for name in SETTINGS}
    return values | {"dtype": weight_flags.dtype()}


def make_runner(config: configs.Config, mesh) -> loop.Runner:
    """The model in the form --weights asks for, on the mesh if there is one."""
    adapter = None
    if FLAGS.adapter:
        adapter = peft.load_adapter(FLAGS.adapter, config, FLAGS.model)
    checkpoint = validate.open_checkpoint(FLAGS.model)
    model, adapter, compute = checkpoints.load(checkpoint, adapter, mesh)
    if FLAGS.weights == "nf4":
        return loop.Runner(model, adapter, compute)
    check_memory(config, mesh, compute)
    if FLAGS.weights == "dequantized":
        model = convert.to_dense(model, compute.dtype)
        return loop.Runner(model, adapter, compute)
    model = convert.to_dense(model, compute.dtype, adapter)
    return loop.Runner(model, None, compute)


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


def generate_missing(
    folder: pathlib.Path,
    checkpoint: validate.Checkpoint,
    mesh,
    problems: humaneval.Problems,
    done: list[humaneval.Sample],
) -> dict:
    """Generates the samples that are missing; each is on disk as soon as it is done.

    Returns:
        What it took: samples, tokens, seconds, how they ended, near ties.
    """
    missing = humaneval.missing_samples(problems, done, FLAGS.n_samples)
    todo = [problem for problem, count in missing for _ in range(count)]
    if not todo:
        return {"samples": 0}
    runner, tokenizer = make_runner(checkpoint.config, mesh), checkpoint.tokenizer
    prompts = [problem.prompt for problem in todo]
    warn_of_context(max(map(len, tokenizer.encode(prompts))), checkpoint.config)

    def keep(row: int, completion) -> None:
        if processes.is_primary():
            sample = humaneval.finish_sample(todo[row], completion.text)
            humaneval.append_samples(folder, problems, [sample])

    # Samples made after a restart must not repeat the draws of those before it.
    seed = np.random.SeedSequence([FLAGS.seed, len(done)]).generate_state(1)[0]
    started = time.perf_counter()
    completions = generate(
        runner.model,
        tokenizer,
        prompts,
        FLAGS.max_new_tokens,
        stops=humaneval.STOPS,
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


def resume(
    folder: pathlib.Path, checkpoint: validate.Checkpoint, problems: humaneval.Problems
) -> list[humaneval.Sample]:
    """The samples that are there, as the first process sees them.

    Samples of another identity (settings, tokenizer, problems) are never mixed in.
    """
    identity = settings() | {
        "seed": FLAGS.seed,
        "tokenizer": checkpoint.tokenizer.hash,
        "humaneval": problems.md5,
    }

    def read() -> str:
        samples = humaneval.resume(folder, identity)
        return json.dumps([dataclasses.asdict(sample) for sample in samples])

    text = processes.broadcast_from_primary(read)
    samples = json_files.parse_json(text, humaneval.RAW, list)
    return [humaneval.Sample(**sample) for sample in samples]


def score(folder: pathlib.Path, problems: humaneval.Problems) -> dict:
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
    if FLAGS.score:
        processes.broadcast_from_primary(
            lambda: str(sandbox.require_protections(FLAGS.allow_unsandboxed))
        )


@processes.exit_together()
def main() -> None:
    """Generates, then scores."""
    tiny = {
        "output_dir": "runs/evaluate",
        "max_new_tokens": 64,
        "humaneval": str(humaneval.EMBEDDED),
    }
    try:
        started = checkpoints.begin(tiny)
        devices.start()
        check_flags()
        problems = processes.primary_then_all(
            lambda: humaneval.load_problems(FLAGS.humaneval, FLAGS.limit)
        )
        checkpoint, _ = checkpoints.open_all()
        mesh = checkpoints.choose_mesh(checkpoint)
        out = pathlib.Path(FLAGS.output_dir)
        done = resume(out, checkpoint, problems)
        took = generate_missing(out, checkpoint, mesh, problems, done)
    except (ValueError, FileNotFoundError, PermissionError) as error:
        sys.exit(f"evaluate: {error}")
    if not processes.shutdown():
        return
    gc.collect()
    jax.clear_caches()  # the model is gone before programs are timed
    humaneval.write_sanitized(out, problems)
    record = {
        "settings": settings(),
        "subset": problems.subset,
        "generation": took,
    }
    if FLAGS.score:
        record |= score(out, problems)
    elif problems.subset:
        print(problems.subset.upper())
    seed = FLAGS.seed if FLAGS.temperature else None
    record |= validate.provenance(checkpoint, started, FLAGS.adapter, seed=seed)
    run_folder.write_json(out / run_folder.EVALUATION, record)
    if took["samples"]:
        print(
            f"{took['samples']} samples, {took['tokens']} tokens, "
            f"{took['tokens_per_second']:.0f} tokens/s; near ties in "
            f"{took['samples_with_near_ties']}"
        )
    print(f"Results: {out}")


if __name__ == "__main__":
    command.run(main)
