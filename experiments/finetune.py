"""Fine-tunes a LoRA adapter under one of the paper's conditions and measures entanglement as it goes.

    python experiments/finetune.py --model=Qwen/Qwen2.5-Coder-7B --condition=B3 --seed=0 --out=runs/qwen7b_b3_0
    python experiments/finetune.py --preset=tiny

The defaults are section 2.2's; --intervention=light is section 6.3's. Reproduces one row of Table 3:
Qwen-7B, B3, seed 0: EI 0.955 before, 0.712 after. Writes run.json, metrics.jsonl, checkpoints/ and, at
the end, adapter/ (PEFT's format) and summary.json to --out. --resume continues a killed run exactly.
"""

import dataclasses
import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys
import time

import jax
from absl import app, flags, logging

from jaxent.arrays import lora
from jaxent.checkpoint import hf, peft, safetensors_folder
from jaxent.data import batches, corpora, mix, probes, tokens
from jaxent.measure import capture, concepts, entangle, penalty
from jaxent.model import config as configs, transformer
from jaxent.report import records, tables
from jaxent.train import loop, step as steps

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "checkpoint folder or Hub id")
flags.DEFINE_enum("condition", "B3", mix.CONDITIONS, "what to train on (Table 1)")
flags.DEFINE_enum("intervention", "strong", ["strong", "light"], "light: rank 16, attention modules, 2000 steps")
flags.DEFINE_enum("preset", "none", ["none", "tiny"], "tiny: the embedded checkpoint and data, a minute on two cores")
flags.DEFINE_integer("seed", 0, "seed of adapter, data order and dropout")
flags.DEFINE_string("out", None, "run folder")
flags.DEFINE_bool("resume", False, "continue the run in --out")
flags.DEFINE_string("data_root", None, "folder of local files, or 'embedded'; the Hub otherwise")
flags.DEFINE_integer("max_examples", 50_000, "examples read from each source")
flags.DEFINE_integer("rank", 64, "LoRA rank")
flags.DEFINE_float("alpha", 128.0, "LoRA alpha")
flags.DEFINE_float("dropout", 0.05, "LoRA dropout")
flags.DEFINE_list("modules", list(lora.MODULES), "adapted linear modules")
flags.DEFINE_integer("steps", 5000, "optimizer steps")
flags.DEFINE_float("learning_rate", 1e-4, "peak learning rate")
flags.DEFINE_float("warmup_ratio", 0.03, "share of steps that warm up")
flags.DEFINE_integer("examples", 16, "examples an optimizer step (batch 1 x accumulation 16)")
flags.DEFINE_integer("micro_rows", 1, "packed rows run at a time; must divide --examples")
flags.DEFINE_integer("max_length", 2048, "tokens an example and a row")
flags.DEFINE_enum("packing", "packed", batches.PACKINGS, "packed, or none: an example a row")
flags.DEFINE_integer("curriculum_steps", 1000, "B5's steps of math before code")
flags.DEFINE_bool("quantize", True, "NF4 with double quantisation; otherwise the checkpoint's own weights")
flags.DEFINE_enum("dtype", None, ["float32", "bfloat16"], "arithmetic (default: float32 on CPU, else bfloat16)")
flags.DEFINE_string("probes", "triad", "probe set: triad, hexad or a JSONL file")
flags.DEFINE_integer("replicates", None, "first replicate sets of the probes only")
flags.DEFINE_float("csr_lambda", None, "weight of CSR's penalty (section 6.1; default 0.1 for B4, 0 otherwise)")
flags.DEFINE_integer("csr_every", 50, "steps between CSR steps: lambda acts on one step in so many")
flags.DEFINE_float("csr_variance", 0.9, "share of the target domain's variance that is free to change")
flags.DEFINE_string("csr_target", "code", "domain of the probes that is free to change")
flags.DEFINE_bool("csr_centred", False, "take the mean out before the target's subspace is fitted (the paper does not)")
flags.DEFINE_string("csr_probes", "hexad", "probe set of the penalty: triad, hexad or a JSONL file")
flags.DEFINE_integer("measure_every", 500, "steps between measurements")
flags.DEFINE_integer("save_every", 100, "steps between checkpoints")

_TINY = pathlib.Path(corpora.__file__).parent / "checkpoints" / "tiny"
_PRESETS = {
    "light": {"rank": 16, "alpha": 32.0, "modules": list(lora.ATTENTION), "steps": 2000},
    "tiny": {"model": str(_TINY), "data_root": corpora.EMBEDDED, "out": "runs/tiny", "steps": 60, "rank": 16,
             "alpha": 32.0, "max_length": 256, "learning_rate": 1e-3, "measure_every": 20, "save_every": 20},
}  # fmt: skip


def apply_presets() -> None:
    """Presets change defaults only: a flag given on the command line stays as given."""
    for name in (FLAGS.intervention, FLAGS.preset):
        for flag, value in _PRESETS.get(name, {}).items():
            if not FLAGS[flag].present:
                setattr(FLAGS, flag, value)


@dataclasses.dataclass(frozen=True)
class Checked:
    """Everything that can be found wrong before a model is loaded."""

    folder: pathlib.Path
    config: configs.Config
    tokenizer: tokens.Tokenizer
    probes: probes.ProbeSet
    mixture: mix.Mixture | None
    spec: lora.Spec
    hyper: steps.Hyper
    csr: tuple[penalty.Spec, probes.ProbeSet] | None
    length: int


def check() -> Checked:
    """Flags, files and data, cheaply; ValueError or FileNotFoundError in one line."""
    for name in ("model", "out"):
        if not FLAGS[name].value:
            raise ValueError(f"--{name} is missing (or use --preset=tiny)")
    if FLAGS.examples % FLAGS.micro_rows:
        raise ValueError(f"--micro_rows {FLAGS.micro_rows}: expected a divisor of --examples {FLAGS.examples}")
    mixture = mix.condition(FLAGS.condition, FLAGS.curriculum_steps)
    spec = lora.Spec(FLAGS.rank, FLAGS.alpha, FLAGS.dropout, tuple(FLAGS.modules))
    hyper = steps.Hyper(
        FLAGS.steps, FLAGS.learning_rate, FLAGS.warmup_ratio, micro_rows=FLAGS.micro_rows, csr_every=FLAGS.csr_every
    )
    csr = check_csr()
    probe_set = probes.load(FLAGS.probes, FLAGS.replicates)
    corpora.check(mixture.domains if mixture else (), FLAGS.data_root)
    folder = safetensors_folder.locate(FLAGS.model)
    config = configs.read(folder)
    hf.check(safetensors_folder.open_folder(folder), config)
    length = min(FLAGS.max_length, config.context)
    return Checked(folder, config, tokens.load(folder), probe_set, mixture, spec, hyper, csr, length)


def check_csr() -> tuple[penalty.Spec, probes.ProbeSet] | None:
    """The penalty's settings and probes, or None without one."""
    weight = FLAGS.csr_lambda if FLAGS.csr_lambda is not None else 0.1 * (FLAGS.condition == "B4")
    if weight == 0:
        return None
    spec = penalty.Spec(weight, FLAGS.csr_target, FLAGS.csr_variance, FLAGS.csr_centred)
    probe_set = probes.load(FLAGS.csr_probes)
    penalty.check_target(spec, [p.domain for p in probe_set.probes])
    return spec, probe_set


def record(checked: Checked) -> dict:
    """What run.json says: settings that decide the result, and where they ran."""
    names = FLAGS.flags_by_module_dict()[sys.argv[0]]
    settings = {f.name: f.value for f in names if f.name not in ("resume", "out", "preset", "intervention")}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True)
    packages = ("jaxent", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "transformers", "datasets", "numpy")
    return {
        "settings": settings,
        "command": sys.argv,
        "probes": {"name": checked.probes.name, "number": len(checked.probes.probes), "hash": checked.probes.hash},
        "csr_probes": checked.csr[1].hash if checked.csr else None,
        "tokenizer": checked.tokenizer.hash,
        "git": commit.stdout.strip() or None,
        "versions": {p: importlib.metadata.version(p) for p in packages} | {"python": platform.python_version()},
        "device": jax.devices()[0].device_kind,
    }


def check_run(out: pathlib.Path, run: dict) -> None:
    """Refuses a folder that holds a run, or with --resume one whose settings, probes, tokenizer or texts are others."""
    file = out / "run.json"
    if not file.is_file():
        return
    if not FLAGS.resume:
        raise ValueError(f"--out {out} already holds a run: give another folder, or --resume to continue it")
    before = json.loads(file.read_text())
    pairs = [(name, value, before["settings"].get(name)) for name, value in run["settings"].items()]
    pairs += [(name, run[name], before.get(name)) for name in ("probes", "csr_probes", "tokenizer", "corpus") if name in run]
    for name, value, old in pairs:
        if value != old:
            raise ValueError(f"--resume: {name} is {value!r}, but the run in {out} has {old!r}")


def open_run(out: pathlib.Path, run: dict) -> None:
    """Makes the run folder and its run.json, unless it is there already."""
    file = out / "run.json"
    if not file.is_file():
        records.write(file, json.dumps(run, indent=1) + "\n")


def anchor_of(model, checked: Checked, compute) -> penalty.Anchor | None:
    """CSR's anchor, once its penalty is seen to reach the adapter."""
    if checked.csr is None:
        return None
    spec, probe_set = checked.csr
    ids = checked.tokenizer.encode(probe_set.texts)
    anchor = penalty.prepare(model, ids, [p.domain for p in probe_set.probes], spec, FLAGS.micro_rows * checked.length, compute)
    fresh = lora.init(jax.random.key(FLAGS.seed), checked.spec, model.config.layers, transformer.shapes(model.config))
    penalty.check(model, fresh, anchor, checked.spec, compute)
    kept, d = anchor.subspace.shape[::-1]
    print(f"CSR: {kept} of {d} dimensions hold {spec.variance:.0%} of {spec.target}'s variance; lambda {spec.weight:g} "
          f"acts on one step in {FLAGS.csr_every}")  # fmt: skip
    return anchor


def summary(measured: list[dict]) -> str:
    """Entanglement, V-purity and accuracies before and after, as a table."""
    before, after = measured[0], measured[-1]
    names = {"EI (literal)": "ei", "nested EI": "nested_ei", "SEI": "sei", "CVO": "cvo", "V-purity": "v_purity"}
    rows = [[title, before[name], after[name]] for title, name in names.items()]
    rows += [[f"accuracy, {c}", before["accuracy"][c], after["accuracy"][c]] for c in before["accuracy"]]
    return tables.text(["", "before", f"after step {after['step']}"], rows)


def main(_):
    logging.set_verbosity(logging.WARNING)
    apply_presets()
    try:
        checked = check()
        out, run = pathlib.Path(FLAGS.out), record(checked)
        check_run(out, run)
        if checked.length < FLAGS.max_length:
            print(f"The model's context is {checked.length} tokens: used instead of --max_length {FLAGS.max_length}")
        domains = checked.mixture.domains if checked.mixture else ()
        corpus = corpora.load(domains, checked.tokenizer, checked.length, FLAGS.data_root, FLAGS.max_examples, progress=True)
        run["corpus"] = corpus.hashes
        check_run(out, run)
        open_run(out, run)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"finetune: {error}")
    ids = checked.tokenizer.encode(checked.probes.texts)
    labels = concepts.label(checked.probes.labels)
    compute = transformer.default_compute(FLAGS.dtype)
    model = hf.load(str(checked.folder), FLAGS.quantize, progress=True)

    def measure(adapter) -> dict:
        started = time.perf_counter()
        found = entangle.measure(capture.capture(model, ids, adapter, checked.spec, compute=compute), labels)
        return found.to_json() | {"seconds": time.perf_counter() - started}

    def batch_at(index: int):
        return corpus.batch(checked.mixture, FLAGS.seed, index, checked.length, FLAGS.examples, FLAGS.packing)

    if checked.mixture is None:
        measured = [{"step": 0, **measure(None)}]
        records.write(out / "metrics.jsonl", json.dumps({"kind": "measure", **measured[0]}) + "\n")
    else:
        plan = loop.Plan(checked.hyper, checked.spec, compute, FLAGS.seed, FLAGS.measure_every, FLAGS.save_every)
        try:
            anchor = anchor_of(model, checked, compute)
            state = loop.fit(model, plan, batch_at, measure, out, anchor=anchor)
        except (penalty.NoGradient, loop.NonFinite) as error:
            sys.exit(f"finetune: {error}")
        peft.save(state.adapter, checked.spec, out / "adapter", FLAGS.model)
        measured = [r for r in loop.logs.read(out / "metrics.jsonl") if r["kind"] == "measure"]
    records.write(out / "summary.json", json.dumps({"before": measured[0], "after": measured[-1]}, indent=1) + "\n")
    print(f"\n{summary(measured)}\n\nRun folder: {out}")


if __name__ == "__main__":
    app.run(main)
