"""Crosstalk between knowledge domains: what removing one domain's direction does to another's recall (section 3.6).

    python experiments/crosstalk.py
    python experiments/crosstalk.py --adapter=runs/qwen7b_b3_0/adapter --output_dir=runs/crosstalk-b3
    python experiments/crosstalk.py --preset=tiny

Reproduces Table 8 on Qwen2.5-Coder-7B (code against creative writing: CT 0.0015, BDR 0.991, asymmetry 1.00; math .088, .750,
1.00; formal logic .092, .747, 1.00; medical .170, .487, 1.00; legal .296, .499, .23). Writes crosstalk.json, table.txt and
the figure crosstalk (PNG and SVG) to --output_dir (runs/crosstalk); what is there is not measured again. About 6 GB and a minute on one GPU.
"""

import json
import pathlib
import sys

import checkpoint_flags
import device_flags
import numpy as np
from absl import app, flags

from jaxent.data import probes
from jaxent.distributed import processes
from jaxent.measure import capture, concepts, crosstalk
from jaxent.model import transformer
from jaxent.paper import tables as paper_tables
from jaxent.report.plots import measurement
from jaxent.runs import console, queue, validate
from jaxent.runs import folder as run_folder
from jaxent.runs import spec as specs

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "folder for the results")
flags.DEFINE_string("probes", "hexad", "probe set: hexad, triad or a JSONL file")
flags.DEFINE_enum(
    "pooling", "mean", capture.POOLINGS, "mean over a text's tokens, or its last"
)
flags.DEFINE_float("ridge_alpha", 1.0, "ridge penalty")
flags.DEFINE_bool(
    "dry_run", False, "print what would be measured, with its cost, and stop"
)
flags.DEFINE_float(
    "teraflops",
    None,
    "with --dry_run: sustained TFLOP/s to reckon with (default: measured here)",
)
flags.adopt_module_key_flags(checkpoint_flags)
NAME = "crosstalk.json"


def table(found: dict) -> str:
    """Every pair, those with code first, by raw crosstalk: Table 8's columns for each kind of damage."""
    blocks = [
        f"{found['probes']} probes in {found['sets']} replicate sets; [ ]: 95% interval over the sets, of the sets' mean damage,\n"
        "which differs from that on all probes: those are more."
    ]
    domains = found["domains"]
    for kind, damage in found["damage"].items():
        pairs = sorted(
            damage["pairs"],
            key=lambda p: (
                "code" not in (p["a"], p["b"]),
                p["ct"] if p["ct"] is not None else 9,
            ),
        )
        rows = [
            [
                f"{p['a']} - {p['b']}",
                *(_cell(found, kind, p, name) for name in ("ct", "bdr", "asymmetry")),
            ]
            for p in pairs
        ]
        cells = found["cells"].get(kind, {})
        matrix = [
            [a, *(_spread(cells.get(f"{a}>{b}"), v) for b, v in zip(domains, row))]
            for a, row in zip(domains, damage["matrix"])
        ]
        blocks.append(
            console.format_table(
                [f"{kind} damage, removed", *(f"{d} lost" for d in domains)], matrix
            )
        )
        blocks.append(
            console.format_table(
                [f"{kind} damage", "sym. crosstalk", "block-diag. ratio", "asymmetry"],
                rows,
            )
        )
    recall = ", ".join(f"{d} {r:.3f}" for d, r in zip(domains, found["recall"]))
    return "\n\n".join([*blocks, f"Recall before removal: {recall}."])


def _cell(found, kind, pair, name) -> str:
    return _spread(
        found["intervals"].get(kind, {}).get(f"{pair['a']}|{pair['b']}", {}).get(name),
        pair[name],
    )


def _spread(interval: dict | None, value) -> str:
    drawn = (
        f" [{interval['low']:.2f}, {interval['high']:.2f}]"
        if interval and interval["low"] is not None
        else ""
    )
    return console.format_cell(value) + drawn


def finished(out: pathlib.Path, about: dict) -> dict | None:
    """The measurement that is in the folder, None if there is none; ValueError if it is of something else."""
    if not (out / NAME).is_file():
        return None
    there = json.loads((out / NAME).read_text())
    for name, value in about.items():
        if there.get(name) != value:
            raise ValueError(
                f"--output_dir {out} holds a measurement with {name} {there.get(name)!r}, not {value!r}: give another folder"
            )
    return there


@processes.exit_together()
def main(_):
    try:
        defaults = {"output_dir": "runs/crosstalk"}
        started = checkpoint_flags.begin(
            defaults, defaults | {"model": paper_tables.HUB[paper_tables.QWEN_7B]}
        )
        if FLAGS.dry_run:
            print(
                queue.format_plan(
                    [
                        specs.RunSpec(
                            FLAGS.model,
                            "B0",
                            probes=FLAGS.probes,
                            quantize=FLAGS.load_in_4bit,
                        )
                    ],
                    pathlib.Path(FLAGS.output_dir),
                    FLAGS.teraflops,
                )
            )
            return
        probe_set = probes.load_probes(FLAGS.probes)
        device_flags.start()
        found, adapter = checkpoint_flags.opened()
        mesh = checkpoint_flags.mesh(found)
        examples, labels = (
            validate.encoded(found, probe_set),
            concepts.label_probes(probe_set.labels),
        )
        about = {
            "model": FLAGS.model,
            "adapter": FLAGS.adapter,
            "probe_set": probe_set.name,
            "pooling": FLAGS.pooling,
            "alpha": FLAGS.ridge_alpha,
            "dtype": str(np.dtype(transformer.default_compute(FLAGS.dtype).dtype)),
            "load_in_4bit": FLAGS.load_in_4bit,
        }
        about |= validate.hashes(found, FLAGS.adapter, probe_set)
        out = pathlib.Path(FLAGS.output_dir)
        before = json.loads(
            processes.broadcast_from_primary(lambda: json.dumps(finished(out, about)))
        )
        if before is not None:
            if processes.is_primary():
                print(f"{table(before)}\n\nMeasured before: {out}")
            return
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"crosstalk: {error}")
    model, adapter, compute = checkpoint_flags.loaded(found, adapter, mesh)
    x = capture.capture(
        model,
        examples,
        adapter,
        capture.CaptureConfig(-1, FLAGS.pooling),
        compute,
    )
    if not processes.shutdown():
        return
    measured = crosstalk.crosstalk(x, labels, alpha=FLAGS.ridge_alpha).to_json()
    about |= validate.provenance(found, started, FLAGS.adapter, probe_set)
    run_folder.write_text(out / NAME, json.dumps(about | measured, indent=1) + "\n")
    run_folder.write_text(out / "table.txt", table(measured) + "\n")
    measurement.crosstalk(measured, out / "crosstalk")
    print(f"{table(measured)}\n\nResults: {out}")


if __name__ == "__main__":
    app.run(main)
