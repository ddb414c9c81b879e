"""HumanEval and HumanEval+ pass@1 of a checkpoint, with or without an adapter, through EvalPlus (section 3.2).

    python experiments/evaluate.py --model=Qwen/Qwen2.5-Coder-7B --adapter=runs/qwen7b_b3_0/adapter --output_dir=runs/evaluate
    python experiments/evaluate.py --preset=tiny

Raw completion, greedy, 768 new tokens, all 164 problems decoded together. Writes samples.raw.jsonl (as rows finish: a
killed run continues), samples.jsonl, eval_results.json, scores.json and evaluation.json to --output_dir. Reproduces a row of
Table 9: Qwen2.5-Coder-32B has 65.9% and 58.5% (108 and 96 of 164). A 7B model with NF4 weights takes about 6 GB, and with
164 rows of 1280 tokens 12 GB of cache; scoring takes minutes on a few cores. Generated programs run in a sandbox.
"""

import collections
import dataclasses
import gc
import json
import pathlib
import sys
import time

import checkpoint_flags
import device_flags
import jax
import numpy as np
from absl import app, flags

from jaxent.checkpoint import peft
from jaxent.decode import choose, generate, loop, plan
from jaxent.distributed import axes, processes
from jaxent.evaluate import humaneval, sandbox, scoring
from jaxent.model import blocks, convert
from jaxent.model import config as configs
from jaxent.runs import folder as run_folder
from jaxent.runs import validate

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_enum(
    "weights",
    "nf4",
    ["nf4", "dequantized", "merged"],
    "nf4: as trained; dequantized: the same values, decoded once; merged: the adapter added in",
)
flags.DEFINE_string(
    "humaneval",
    None,
    "HumanEvalPlus.jsonl (default: what evalplus downloads; with --preset=tiny eight embedded problems)",
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


def runner(config: configs.Config, mesh) -> loop.Runner:
    """The model in the form --weights asks for, on the mesh if there is one."""
    adapter = peft.load_adapter(FLAGS.adapter, config) if FLAGS.adapter else None
    model, adapter, compute = checkpoint_flags.loaded(
        validate.open_checkpoint(FLAGS.model), adapter, mesh
    )
    if FLAGS.weights != "nf4":
        linear = sum(k * n for k, n in blocks.linear_shapes(config).values())
        parts = axes.axis_size(mesh, "embed") * axes.axis_size(mesh, "mlp")
        needed, free = (
            plan.dense_bytes(config, linear, compute.dtype) // parts,
            processes.all_min(plan.free_bytes()),
        )
        if needed > free:
            raise ValueError(
                f"--weights={FLAGS.weights} needs {needed / 2**30:.1f} GiB, but {free / 2**30:.1f} are free: use nf4"
            )
        model = convert.to_dense(
            model, compute.dtype, adapter if FLAGS.weights == "merged" else None
        )
    if FLAGS.weights == "merged":
        adapter = None
    return loop.Runner(model, adapter, compute)


def generated(
    folder,
    found: validate.Checkpoint,
    mesh,
    problems: humaneval.Problems,
    done: list[humaneval.Sample],
) -> dict:
    """Generates the samples that are missing, each on disk as soon as it is done; what it took."""
    todo = [
        problem
        for problem, count in humaneval.missing_samples(problems, done, FLAGS.n_samples)
        for _ in range(count)
    ]
    if not todo:
        return {"samples": 0}
    run, tokenizer = runner(found.config, mesh), found.tokenizer
    longest = max(map(len, tokenizer.encode([p.prompt for p in todo])))
    if longest + FLAGS.max_new_tokens > found.config.context and processes.is_primary():
        print(
            f"{longest} prompt and {FLAGS.max_new_tokens} new tokens pass the model's context of {found.config.context}: positions it has not seen"
        )
    started = time.perf_counter()
    texts = generate(
        run.model,
        tokenizer,
        [p.prompt for p in todo],
        FLAGS.max_new_tokens,
        stops=humaneval.STOPS,
        temperature=FLAGS.temperature,
        top_p=FLAGS.top_p,
        seed=int(np.random.SeedSequence([FLAGS.seed, len(done)]).generate_state(1)[0]),
        adapter=run.adapter,
        compute=run.compute,
        progress=processes.is_primary(),
        on_done=lambda row, completion: (
            processes.is_primary()
            and humaneval.append_samples(
                folder, problems, [humaneval.finish_sample(todo[row], completion.text)]
            )
        ),
    )
    seconds, produced = time.perf_counter() - started, sum(len(c.ids) for c in texts)
    return {
        "samples": len(texts),
        "tokens": produced,
        "seconds": seconds,
        "tokens_per_second": produced / seconds,
        "ends": dict(collections.Counter(c.end for c in texts)),
        "near_ties": sum(c.near_ties for c in texts),
        "samples_with_near_ties": sum(c.near_ties > 0 for c in texts),
    }


def identity(tokenizer, problems: humaneval.Problems) -> dict:
    """What a sample depends on: samples of another identity are never mixed in."""
    names = (
        "model",
        "adapter",
        "weights",
        "load_in_4bit",
        "dtype",
        "max_new_tokens",
        "temperature",
        "top_p",
        "n_samples",
        "seed",
    )
    return {name: FLAGS[name].value for name in names} | {
        "tokenizer": tokenizer.hash,
        "humaneval": problems.md5,
    }


def resumed(
    out: pathlib.Path, found: validate.Checkpoint, problems: humaneval.Problems
) -> list[humaneval.Sample]:
    """The samples that are there, as the first process sees them."""
    text = processes.broadcast_from_primary(
        lambda: json.dumps(
            [
                dataclasses.asdict(s)
                for s in humaneval.resume(out, identity(found.tokenizer, problems))
            ]
        )
    )
    return [humaneval.Sample(**sample) for sample in json.loads(text)]


@processes.exit_together()
def main(_):
    try:
        started = checkpoint_flags.begin(
            {
                "output_dir": "runs/evaluate",
                "max_new_tokens": 64,
                "humaneval": str(humaneval.EMBEDDED),
            }
        )
        device_flags.start()
        choose.Sampling(FLAGS.temperature, FLAGS.top_p)
        if FLAGS.n_samples < 1 or (FLAGS.n_samples > 1 and FLAGS.temperature == 0):
            raise ValueError(
                f"--n_samples {FLAGS.n_samples}: expected 1, or a --temperature above 0"
            )
        if FLAGS.score:
            processes.broadcast_from_primary(
                lambda: str(sandbox.require_protections(FLAGS.allow_unsandboxed))
            )
        problems = processes.primary_then_all(
            lambda: humaneval.load_problems(FLAGS.humaneval, FLAGS.limit)
        )
        found = checkpoint_flags.opened()[0]
        mesh = checkpoint_flags.mesh(found)
        out = pathlib.Path(FLAGS.output_dir)
        took = generated(out, found, mesh, problems, resumed(out, found, problems))
    except (ValueError, FileNotFoundError, PermissionError) as error:
        sys.exit(f"evaluate: {error}")
    if not processes.shutdown():
        return
    gc.collect()
    jax.clear_caches()  # the model is gone before programs are timed
    humaneval.write_sanitized(out, problems)
    settings = (
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
    record = {
        "settings": {f: FLAGS[f].value for f in settings},
        "subset": problems.subset,
        "generation": took,
    }
    if FLAGS.score:
        limits = {
            "min_time_limit": FLAGS.min_time_limit,
            "gt_time_limit_factor": FLAGS.gt_time_limit_factor,
        }
        began = time.perf_counter()
        scores = scoring.score_samples(
            out, problems, **limits, allow_unsandboxed=FLAGS.allow_unsandboxed
        )
        ks = sorted({1, FLAGS.n_samples})
        record |= {
            "scoring_seconds": time.perf_counter() - began,
            "pass": {
                f"{suite}@{k}": scores.pass_at(k, suite)
                for suite in ("base", "plus")
                for k in ks
            },
            "counts": {suite: scores.counts(suite) for suite in ("base", "plus")},
        }
        print(scoring.summary(scores))
    elif problems.subset:
        print(problems.subset.upper())
    record |= validate.provenance(
        found, started, FLAGS.adapter, seed=FLAGS.seed if FLAGS.temperature else None
    )
    run_folder.write_text(out / "evaluation.json", json.dumps(record, indent=1) + "\n")
    if took["samples"]:
        print(
            f"{took['samples']} samples, {took['tokens']} tokens, {took['tokens_per_second']:.0f} tokens/s; near ties in {took['samples_with_near_ties']}"
        )
    print(f"Results: {out}")


if __name__ == "__main__":
    app.run(main)
