r"""Crosstalk between knowledge domains (section 3.6).

    python experiments/crosstalk.py
    python experiments/crosstalk.py --adapter=runs/qwen7b_b3_0/adapter \
        --output_dir=runs/crosstalk-b3
    python experiments/crosstalk.py --preset=tiny

What removing one domain's direction does to another's recall.

Reproduces Table 8 on Qwen2.5-Coder-7B (code against creative writing: CT 0.0015, BDR
0.991, asymmetry 1.00; math .088, .750, 1.00; formal logic .092, .747, 1.00; medical
.170, .487, 1.00; legal .296, .499, .23). Writes crosstalk.json, table.txt and the
figure crosstalk (PNG and SVG) to --output_dir (runs/crosstalk); what is there is not
measured again. About 6 GB and a minute on one GPU.
"""

import json
import pathlib
import sys

import checkpoint_flags
import weight_flags
from absl import flags

from jaxent import command, json_files
from jaxent.paper import models as paper_models

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_string(
    "probes", "hexad", "probe set: hexad, triad, hexad_v2, triad_v2 or a JSONL file"
)
flags.DEFINE_enum(
    "pooling", "mean", ["mean", "last"], "mean over a text's tokens, or its last"
)
flags.DEFINE_float("ridge_alpha", 1.0, "ridge penalty")
flags.DEFINE_bool(
    "dry_run", False, "print what would be measured, with its cost, and stop"
)
flags.DEFINE_float(
    "teraflops",
    None,
    "with --dry_run: sustained TFLOP/s for the estimate (default: measured here)",
)
flags.adopt_module_key_flags(checkpoint_flags)
command.parse(__name__, __doc__)

import checkpoints
import devices
import numpy as np

from jaxent.data import probes
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, crosstalk
from jaxent.model import trained, transformer
from jaxent.report.plots import measurement
from jaxent.runs import console, dry_run, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs


def format_crosstalk(measured: dict) -> str:
    """Table 8's columns for each kind of damage, every pair, those with code first."""
    number, sets = measured["probes"], measured["sets"]
    blocks = [
        f"{number} probes in {sets} replicate sets, each fitted by itself: damage is "
        "the sets' mean, a pair's numbers\nare of that mean, and [ ] is its 95% "
        "interval over the sets."
    ]
    for kind, damage in measured["damage"].items():
        blocks += [
            format_matrix(measured, kind, damage["matrix"]),
            format_pairs(measured, kind, damage["pairs"]),
        ]
    recalls = zip(measured["domains"], measured["recall"])
    recall = ", ".join(f"{domain} {value:.3f}" for domain, value in recalls)
    blocks.append(f"Recall before removal: {recall}.")
    of_all = measured["all_probes"]["damage"]["raw"]["pairs"]
    title = f"raw, one fit on all {number} probes"
    return "\n\n".join([*blocks, format_pairs({"intervals": {}}, title, of_all)])


def format_matrix(measured: dict, kind: str, matrix: list[list[float]]) -> str:
    """What removing each domain's direction costs every domain."""
    domains = measured["domains"]
    intervals = measured["cells"].get(kind, {})
    rows = []
    for removed, values in zip(domains, matrix):
        cells = [
            with_interval(value, intervals.get(f"{removed}>{lost}"))
            for lost, value in zip(domains, values)
        ]
        rows.append([removed, *cells])
    header = [f"{kind} damage, removed", *(f"{d} lost" for d in domains)]
    return console.format_table(header, rows)


def format_pairs(measured: dict, kind: str, pairs: list[dict]) -> str:
    """CT, BDR and asymmetry of every pair, by CT, those with code first."""

    def order(pair: dict) -> tuple:
        ct = pair["ct"]
        return "code" not in (pair["a"], pair["b"]), 9 if ct is None else ct

    intervals = measured["intervals"].get(kind, {})
    rows = []
    for pair in sorted(pairs, key=order):
        of_pair = intervals.get(f"{pair['a']}|{pair['b']}", {})
        cells = [
            with_interval(pair[name], of_pair.get(name))
            for name in ("ct", "bdr", "asymmetry")
        ]
        rows.append([f"{pair['a']} - {pair['b']}", *cells])
    header = [f"{kind} damage", "sym. crosstalk", "block-diag. ratio", "asymmetry"]
    return console.format_table(header, rows)


def with_interval(value: float | None, interval: dict | None) -> str:
    """A value and its interval over probe sets, as 0.123 [0.100, 0.150]."""
    text = console.format_cell(value)
    if not interval or interval["low"] is None:
        return text
    return f"{text} [{interval['low']:.3f}, {interval['high']:.3f}]"


def measured_before(out: pathlib.Path, about: dict) -> dict | None:
    """The measurement that is in the folder, None if there is none.

    Raises:
        ValueError: if it is of something else.
    """
    if not (out / run_folder.CROSSTALK).is_file():
        return None
    there = run_folder.read_json(out / run_folder.CROSSTALK)
    for name, value in about.items():
        if there.get(name) != value:
            raise ValueError(
                f"--output_dir {out} holds a measurement with {name} "
                f"{there.get(name)!r}, not {value!r}: give another folder"
            )
    return there


def describe(checkpoint: validate.Checkpoint, probe_set: probes.ProbeSet) -> dict:
    """What the measurement depends on."""
    compute = transformer.default_compute(weight_flags.dtype())
    about = {
        "model": FLAGS.model,
        "revision": FLAGS.revision,
        "adapter": FLAGS.adapter,
        "probe_set": probe_set.name,
        "pooling": FLAGS.pooling,
        "alpha": FLAGS.ridge_alpha,
        "dtype": str(np.dtype(compute.dtype)),
        "load_in_4bit": FLAGS.load_in_4bit,
    }
    return about | validate.hashes(checkpoint, FLAGS.adapter, probe_set)


def format_cost(out: pathlib.Path) -> str:
    """What measuring would cost, for --dry_run."""
    run = specs.RunSpec(
        FLAGS.model,
        "B0",
        probes=FLAGS.probes,
        load_in_4bit=FLAGS.load_in_4bit,
        revision=FLAGS.revision,
    )
    return dry_run.format_plan([run], out, FLAGS.teraflops)


@processes.exit_together()
def main() -> None:
    """Captures activations on the devices, then measures on the host."""
    try:
        tiny = {"output_dir": "runs/crosstalk"}
        paper = {"model": paper_models.HUB[paper_models.QWEN_7B]}
        started = checkpoints.begin(tiny, tiny | paper)
        out = pathlib.Path(FLAGS.output_dir)
        if FLAGS.dry_run:
            print(format_cost(out))
            return
        probe_set = probes.load_probes(FLAGS.probes)
        devices.start()
        checkpoint, tuned = checkpoints.open_all()
        mesh = checkpoints.choose_mesh(checkpoint)
        ids = validate.encode_probes(checkpoint, probe_set)
        labels = concepts.label_probes(probe_set.labels)
        about = describe(checkpoint, probe_set)
        before = processes.broadcast_from_primary(
            lambda: json.dumps(measured_before(out, about))
        )
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"crosstalk: {error}")
    if before != "null":
        record = json_files.parse_json(before, run_folder.CROSSTALK, finite=False)
        if processes.is_primary():
            print(f"{format_crosstalk(record)}\n\nMeasured before: {out}")
        return
    base, tuned, compute = checkpoints.load(checkpoint, tuned, mesh)
    model, adapter = trained.split(base, tuned)
    where = capture.CaptureConfig(-1, FLAGS.pooling)
    x = capture.capture(model, ids, adapter, where, compute)
    if not processes.shutdown():
        return
    try:
        measured = crosstalk.crosstalk(x, labels, alpha=FLAGS.ridge_alpha).to_json()
    except ValueError as error:
        sys.exit(f"crosstalk: {error}")
    about |= validate.provenance(checkpoint, started, FLAGS.adapter, probe_set)
    run_folder.write_json(out / run_folder.CROSSTALK, about | measured)
    text = format_crosstalk(measured)
    run_folder.write_text(out / run_folder.TABLE, text + "\n")
    measurement.crosstalk(measured, out / "crosstalk")
    print(f"{text}\n\nResults: {out}")


if __name__ == "__main__":
    command.run(main)
